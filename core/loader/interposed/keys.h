// SPDX-License-Identifier: MIT
//
// The pthread keys that code in a slot's copies has made. What the system knows of them has no
// destructor: a thread may outlive the slot, and would call one that is unmapped. The threads that are
// counted (threads.h) call them here, while the code is there. In others, such as those of the main
// interpreter that have run code of the slot, what such a key has is left.
#ifndef SUBI_KEYS_H
#define SUBI_KEYS_H

#include "../slot.h"

// A thread of the slot is about to end: calls the destructors of what the keys have in it.
void subi__keys_destroy(subi_slot *s);

// No code of the slot is loaded any more: deletes the keys.
void subi__keys_free(subi_slot *s);

#endif
