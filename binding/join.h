// SPDX-License-Identifier: MIT
//
// Waiting for the threads that an interpreter has started, when it is closed.
#ifndef SUBI_JOIN_H
#define SUBI_JOIN_H

#include "backend.h"

// The module threading, if the interpreter has imported it; else NULL, with no exception. A new
// reference.
PyObject *subi_imported_threading(void);

// Attached to the interpreter. Waits a moment for its threads. SUBI_OK: none is left but daemons.
// SUBI_BUSY: the caller is one. SUBI_TIMEOUT: names says which are left. SUBI_INTERRUPTED: look at
// signals, and call again.
subi_result subi_join_threads(native *n, int64_t deadline, char *names, size_t size);

#endif
