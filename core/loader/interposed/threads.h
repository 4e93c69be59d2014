// SPDX-License-Identifier: MIT
//
// The OS threads that code in a slot's copies has started. While one of them has not ended it may
// execute code there, be it the last instructions of its start routine, so the copies are not to be
// unmapped.
//
// What is not counted: threads of libraries that are no copies (libgomp, OpenBLAS). They call into a
// copy only for a piece of work that a thread of the slot has given them and waits for, and go back to
// waiting in code of their own.
#ifndef SUBI_THREADS_H
#define SUBI_THREADS_H

#include "../slot.h"

// Before a copy of source is loaded: notes whether it can start threads that are not seen here.
void subi__threads_expect(subi_slot *s, const subi__source *source);

// Whether no such thread is left. Blocks, for 100 ms at most. The caller is to be no thread of s.
bool subi__threads_wait(subi_slot *s);

// Whether there is none now.
bool subi__threads_gone(subi_slot *s);

// Counts this thread, too, for a moment; with the lock of the slots. The slot may be gone afterwards.
void subi__threads_enter(subi_slot *s);
void subi__threads_leave(subi_slot *s);

// In the child of a fork, which has one thread. The slot may be any.
void subi__threads_survived(subi_slot *s);

#endif
