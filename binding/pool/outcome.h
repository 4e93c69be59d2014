// SPDX-License-Identifier: MIT
//
// What a future gets: the result or the exception of a call that has come back.
#ifndef SUBI_OUTCOME_H
#define SUBI_OUTCOME_H

#include "pool_type.h"

// Gives the future of a task that has come back its outcome, if it is still there. This runs code of Python's:
// handlers of signals may run, and what they raise is lost. So it is for the thread in complete().
void subi_pool_complete(module_state *state, pool_object *po, task *t);

// The same without such code. False: it takes some, and nothing has been done.
bool subi_pool_settle(task *t);

// Whoever waits for the task looks again.
void subi_pool_wake_waiter(task *t);

// Gives future an exception, which this takes. An error of that is reported, not raised.
void subi_pool_set_exception(PyObject *future, PyObject *exc);

#endif
