// SPDX-License-Identifier: MIT
//
// Unmapping all copies of a slot.
#ifndef SUBI_UNLOAD_H
#define SUBI_UNLOAD_H

#include "slot.h"

// Runs the destructors of all of them, and then unmaps them. False: some are left, or all; nothing is
// unmapped that another one may still call.
bool subi__unload(subi_slot *s);

#endif
