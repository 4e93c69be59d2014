// SPDX-License-Identifier: MIT
//
// Thread states, one for each pair of OS thread and interpreter, made on first use and kept until
// the thread or the interpreter ends: making one costs 50 to 350 us. A thread state never moves to
// another thread.
#ifndef SUBI_THREAD_STATE_H
#define SUBI_THREAD_STATE_H

#include "backend.h"

// As PyThreadState_New, but it does not look for the bounds of this thread's stack again if a thread state
// of this thread has been noted, to which the thread was attached once.
PyThreadState *subi_thread_state_new(PyInterpreterState *interp);
void subi_thread_state_note_stack(const PyThreadState *tstate);

// Makes tstate, to which the calling thread is attached, its one for n's interpreter. -1: out of
// memory.
int subi_thread_state_keep(native *n, PyThreadState *tstate);

// Attaches the calling thread, which has no thread state, to n's interpreter: takes its GIL.
// Frees the thread states of threads that have ended. NULL: out of memory, nothing changed.
PyThreadState *subi_thread_state_attach(native *n);

// Replaces the calling thread's, which is attached and kept, by a new one, so that nothing of what
// the thread left in it remains. -1: out of memory, nothing changed.
int subi_thread_state_exchange(native *n);

// Whether tstate is one of ours, and not of a thread that the interpreter itself started. Attached.
bool subi_thread_state_is_kept(const native *n, const PyThreadState *tstate);

// The opposite of attach. Gives the GIL up.
void subi_thread_state_detach(void);

// Attached, but not with tstate, which no thread uses any more: frees it, which runs finalizers.
void subi_thread_state_free(PyThreadState *tstate);

// How many thread states of ours the interpreter has.
int subi_thread_state_count(const native *n);

// Frees all thread states of ours but the calling thread's, which is attached.
void subi_thread_state_drop_others(native *n);

// Frees the calling thread's, which is detached.
void subi_thread_state_drop_mine(native *n);

// Forgets the calling thread's own, which the caller is about to end.
void subi_thread_state_forget(native *n);

#endif
