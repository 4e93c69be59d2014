// SPDX-License-Identifier: MIT
//
// Running code in an interpreter, on the calling thread.
#ifndef SUBI_RUN_H
#define SUBI_RUN_H

#include "backend.h"
#include "failure.h"
#include "state.h"

// How a run ended that did begin.
typedef enum run_outcome {
    RUN_SUCCEEDED,
    RUN_RAISED,     // see run.failure
    RUN_SIGNALLED,  // a signal handler of the caller raised: that exception is set
} run_outcome;

// One run. The caller fills in the first part: any of what is to be done, which is done in this order.
typedef struct run {
    const subi_message
        *shared;               // a tuple of name, value, name, value...: bound in __main__; or NULL
    const char *script;        // source code, UTF-8, that runs in __main__; or NULL
    const subi_message *code;  // code that does, as subi_script_describe has it; or NULL
    const subi_message *call;  // a tuple: what is called, args, a dict of keyword args; or NULL
    struct worker_order *worker;  // to be a pool's worker, see pool/worker.h; or NULL
    failure_parts wanted;         // of an exception
    int64_t deadline;             // until when to wait while another thread runs it
    PyObject *begin;  // called with the run's number before it begins: what it raises, prevents
                      // the run; or NULL

    run_outcome outcome;
    subi_failure failure;  // RUN_RAISED
    subi_message result;   // RUN_SUCCEEDED: what the call returned
} run;

// SUBI_OK: see r->outcome. SUBI_BUSY, SUBI_CLOSED, SUBI_FORKED, SUBI_NOMEM: it did not begin; no
// exception is set. SUBI_TIMEOUT, SUBI_INTERRUPTED (with an exception): nor did it, after a wait, or
// since r->begin raised.
subi_result subi_run(module_state *state, subi_interp *i, run *r);

// Frees what a run that did begin has left. With RUN_SIGNALLED there is nothing.
void subi_run_fini(run *r);

// See runtime.h. Runs r in interpreter i.
void subi_run_here(subi_interp *i, run *r);

// Within a run, attached: takes the exception that it has ended with. If it has been interrupted, it is not
// interrupted once more for half a second meanwhile, but for the end of the process.
void subi_run_capture(native *n, subi_failure *f, failure_parts parts);

// Within a run of interpreter i, on its thread: what act does is a run of its own number, which is that
// of subi_run_next.
void subi_run_task(subi_interp *i, void (*act)(void *arg), void *arg);
uint64_t subi_run_next(native *n);

// What calling something returns, in a run; named is a dict or NULL. A few builtins look at their caller's
// variables: nobody calls them, so these are __main__'s. NULL with an exception.
PyObject *subi_run_call(PyObject *callable, PyObject *args, PyObject *named);

// A message with the items of a dict, for run.shared: keys must be str. -1 with an exception set.
// check, if not NULL, is asked about each value first: -1 with an exception set refuses it.
int subi_run_pack(module_state *state, PyObject *dict,
                  int (*check)(module_state *, PyObject *value), subi_message *m);

#endif
