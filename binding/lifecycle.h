// SPDX-License-Identifier: MIT
//
// Closing interpreters, whatever their kind.
#ifndef SUBI_LIFECYCLE_H
#define SUBI_LIFECYCLE_H

#include "backend.h"
#include "state.h"

// Ends an interpreter that has no other thread. Attached to it; no thread state afterwards.
void subi_lifecycle_end(native *n);

// What is left to do when the interpreter has ended: frees n, and what it had of other runtimes'
// business. In any runtime but n's own, if that is private.
void subi_lifecycle_discard(native *n);

// See runtime.h. end: joins the interpreter's threads, runs its atexit functions, ends or renews it, unless it has to
// linger.
// SUBI_OK, SUBI_BUSY (the caller is one of its threads), SUBI_TIMEOUT (names says which threads are
// left), SUBI_INTERRUPTED (look at signals, and call again), SUBI_NOMEM.
// end_spare: ends one that is in nobody's hands, and discards it. Out of memory: it stays.
subi_result subi_lifecycle_end_here(native *n, int64_t deadline, char *names, size_t size,
                                    ending *how);
void subi_lifecycle_end_spare_here(native *n);

// Closes an idle interpreter: joins the threads that it started, runs its atexit functions, frees
// it. Waits for a run in progress until run_deadline, and for the threads until the deadline; when
// one is still alive then, the interpreter stays open.
// SUBI_OK, or with an exception set: SUBI_INTERRUPTED, SUBI_TIMEOUT (TimeoutError says which
// threads), SUBI_NOMEM. Without one: SUBI_BUSY (also when the caller is one of its threads), and
// whatever else the core's begin_close answers.
subi_result subi_lifecycle_close(module_state *state, subi_interp *i, int64_t run_deadline,
                                 int64_t deadline);

// Whether i is of a kind that we make, and so may close.
bool subi_lifecycle_is_ours(subi_interp *i);

// For a Python object that stands for the interpreter and goes away: closes it when it was the
// last one, unless it has threads. Keeps the exception that is set, raises none. Drops the
// object's reference.
void subi_lifecycle_drop_user(subi_interp *i);

// Closes an interpreter that lost its last user during the run that just ended.
void subi_lifecycle_close_orphan(subi_interp *i);

// Closes all interpreters of ours, or those that interpreter `owner` made, the newest first. Waits
// as subi_lifecycle_close, raises nothing. False: some are left.
bool subi_lifecycle_close_all(module_state *state, int64_t owner, int64_t deadline);

// Ends the interpreters in the reserve, all of them or those above its limit. Releases the GIL.
void subi_lifecycle_trim_reserve(bool all);

#endif
