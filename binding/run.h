// SPDX-License-Identifier: MIT
//
// Running code in an interpreter, on the calling thread.
#ifndef SUBI_RUN_H
#define SUBI_RUN_H

#include "backend.h"
#include "state.h"

// How a run ended that did begin.
typedef enum run_outcome {
    RUN_SUCCEEDED,
    RUN_RAISED,     // see run.failure
    RUN_SIGNALLED,  // a signal handler of the caller raised: that exception is set
    RUN_NOMEM,      // out of memory on the way in or out
} run_outcome;

// One run. The caller fills in the first part.
typedef struct run {
    const char *script;  // UTF-8
    subi_message
        *shared;  // a tuple of name, value, name, value...: bound in __main__ first; or NULL
    bool want_traceback;  // whether `failure` should have the formatted traceback

    run_outcome outcome;
    subi_message failure;  // RUN_RAISED: a tuple of str or None: see run.c; the caller frees it
} run;

// Runs it, or with script NULL just binds. SUBI_OK: see r->outcome. SUBI_BUSY, SUBI_CLOSED,
// SUBI_FORKED, SUBI_NOMEM: it did not begin; no exception is set.
subi_result subi_run(subi_interp *i, run *r);

// See runtime.h. Runs r in interpreter i.
void subi_run_here(subi_interp *i, run *r);

// Items of the tuple in run.failure.
enum {
    FAILURE_TYPE_STR,   // str(type(exc)): "<class 'ValueError'>"
    FAILURE_NAME,       // type(exc).__name__
    FAILURE_QUALNAME,   // type(exc).__qualname__
    FAILURE_MODULE,     // type(exc).__module__
    FAILURE_MSG,        // str(exc)
    FAILURE_TRACEBACK,  // as traceback.format_exception; None when not wanted or not possible
    FAILURE_SIZE,
};

// run.failure as a Python tuple of FAILURE_SIZE items, also when memory was short.
PyObject *subi_run_failure(module_state *state, run *r);

// A message with the items of a dict, for run.shared: keys must be str. -1 with an exception set.
// check, if not NULL, is asked about each value first: -1 with an exception set refuses it.
int subi_run_pack(module_state *state, PyObject *dict,
                  int (*check)(module_state *, PyObject *value), subi_message *m);

#endif
