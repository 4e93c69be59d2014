// SPDX-License-Identifier: MIT
//
// What a pool has to do: a call with a future, or work on a job (see job.h). It goes through channels, as
// its address: from who submits it to a worker, and, a call, with its outcome back.
#ifndef SUBI_TASK_H
#define SUBI_TASK_H

#include <stdatomic.h>

#include "callee.h"
#include "failure.h"
#include "state.h"

struct job;

typedef enum task_state {
    TASK_WAITING,
    TASK_RUNNING,    // a worker has it
    TASK_PERFORMED,  // and is done with it
    TASK_CANCELLED,  // nobody does it
    TASK_ABANDONED,  // the worker that has it is given up, and has to end when it comes back
} task_state;

// Where it runs, as which run, since when.
typedef struct task_place {
    subi_interp *interp;  // one reference
    uint64_t run;
    unsigned long thread;  // its ident, as Python has it
    int64_t started;
} task_place;

typedef struct task {
    _Atomic unsigned references;  // atomic: the last one frees it
    _Atomic int state;            // atomic: who changes it first has it
    struct job *job;              // what it is to work on; NULL: this is a call
    callee *callee;               // of a call, as are all that follow
    subi_message arguments;       // a tuple; with is_named a pair of that and a dict
    bool is_named;

    // Set by the worker before the state is TASK_RUNNING; or the second one before it is told so.
    task_place places[2];
    _Atomic bool is_again;  // atomic: set once; it is done once more, in the second place

    // The worker's, and when the task has come back, the submitter's.
    bool succeeded;
    subi_message result;
    subi_failure failure;

    // These are touched only in the submitter's interpreter.
    PyObject *future;     // a reference; NULL: somebody has taken it
    subi_thread *waiter;  // who waits for it, see task_type.c; borrowed
    bool is_back;         // it has come back, or its future has been taken
    int64_t timeout;      // nanoseconds from when it is started; 0: none
    int64_t interrupted;  // when that was first done; 0: not yet
    bool timed_out;       // that is why
    bool is_timed;        // it is in the list of deadlines.c, which has a reference
    struct task *next;    // in that list
    struct task **link;   // what points to it there
    struct task *again;   // in the list of what is to be done once more; see pool_type.c
    int64_t look_again;   // when that has to look at it
} task;

// With one reference. NULL: out of memory; no exception.
task *subi_task_new(void);
void subi_task_hold(task *t);

// The future must be gone by then.
void subi_task_drop(task *t);

// Changes the state; false: it was not `from`.
bool subi_task_change(task *t, task_state from, task_state to);

// A message with a reference to t that the caller has, and t from it.
subi_message subi_task_message(task *t);
task *subi_task_of(const subi_message *m);

// Where it runs; by others only while it is running.
static inline task_place *
subi_task_place(task *t)
{
    return &t->places[atomic_load(&t->is_again)];
}

// Its future, as a reference which the task no longer has. NULL: it is gone.
PyObject *subi_task_take_future(task *t);

#endif
