// SPDX-License-Identifier: MIT
//
// Making (creation.c) and closing (lifecycle.c) interpreters, whatever their kind.
#ifndef SUBI_LIFECYCLE_H
#define SUBI_LIFECYCLE_H

#include "backend.h"
#include "state.h"

// CPython before 3.14 has races in making and ending interpreters at the same time (static types,
// interned strings, _datetime: python/cpython 112140, 105699, 136421): there it is one at a time.
// From then on it is as many as there are processors: more would take no less time, and all of
// them would hold memory meanwhile.
#define SUBI_ALONE (PY_VERSION_HEX < 0x030E0000)

// Makes an interpreter, idle, with the caller's sys.path. A new reference, which is also a user: to
// be given up with subi_lifecycle_drop_user. NULL with InterpreterError or MemoryError. name may be
// NULL.
subi_interp *subi_lifecycle_create(module_state *state, const backend *b, const char *name);

// Ends an interpreter that has no other thread. Attached to it; no thread state afterwards.
void subi_lifecycle_end(native *n);

// Ends one that is in nobody's hands, and frees n. No thread state, before and after. Out of memory:
// it stays.
void subi_lifecycle_end_spare(native *n);

// Closes an idle interpreter: joins the threads that it started, runs its atexit functions, frees
// it. Waits for a run in progress, and for the threads, until the deadline; when one is still
// alive then, the interpreter stays open.
// SUBI_OK, or with an exception set: SUBI_INTERRUPTED, SUBI_TIMEOUT (TimeoutError says which
// threads), SUBI_NOMEM. Without one: SUBI_BUSY (also when the caller is one of its threads), and
// whatever else the core's begin_close answers.
subi_result subi_lifecycle_close(module_state *state, subi_interp *i, int64_t deadline);

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
