// SPDX-License-Identifier: MIT
//
// Handlers of signals that lie in copies: none may be called when its code is gone. What was there
// before is put back, unless somebody else may have kept the handler, to put that back some day.
#ifndef SUBI_HANDLERS_H
#define SUBI_HANDLERS_H

#include "../slot.h"

// The slot is about to be closed: none of its handlers is there any more, and if code in another slot
// puts one back, what was there before it is put there. False: somebody else may put one back, so their
// code must stay.
bool subi__handlers_remove(const subi_slot *s);

// Nothing of the slot is loaded any more.
void subi__handlers_forget(const subi_slot *s);

#endif
