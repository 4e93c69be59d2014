// SPDX-License-Identifier: MIT
//
// Objects of threads (thread_local of C++, thread_local! of Rust) that have destructors, in code of
// copies. The system keeps a library as long as a thread has such an object, whatever is closed. Here
// they are noted in the slot:
// - a thread that ends, whoever started it, destroys its objects in slots that are there;
// - a thread that closes a slot destroys its own in it;
// - what other threads have in a slot that is unmapped goes without being destroyed;
// - a library that has had such objects is not unmapped before the slot is closed, whoever closes it.
#ifndef SUBI_LOCALS_H
#define SUBI_LOCALS_H

#include "../slot.h"

// Destroys what this thread has in the slot, which cannot be unmapped meanwhile: the newest first.
void subi__locals_destroy(subi_slot *s);

// No code of the slot runs any more but destructors of its copies, which are about to be unmapped: nothing
// of it will be destroyed, or keep a copy.
void subi__locals_free(subi_slot *s);

#endif
