// SPDX-License-Identifier: MIT
//
// A call that waits for a worker of a pool. It goes through two channels, as its address: from who submits it
// to a worker, and with its outcome back.
#ifndef SUBI_TASK_H
#define SUBI_TASK_H

#include <stdatomic.h>

#include "run.h"

typedef enum task_state {
    TASK_WAITING,
    TASK_RUNNING,  // a worker has it, or had
    TASK_CANCELLED,
} task_state;

typedef struct task {
    _Atomic unsigned references;  // atomic: the last one frees it
    _Atomic int state;            // atomic: changes once, from TASK_WAITING
    subi_message call;            // a tuple: what is called, args, a dict of keyword args
    run run;                      // the worker's; then, by way of the channel, the submitter's
    subi_thread *waiter;          // who waits for it, see submit.c; borrowed; touched as future is
    PyObject *future;             // a reference; touched only in the submitter's interpreter; may be NULL
} task;

// With one reference. Takes call; on NULL, for want of memory, it stays the caller's. No exception.
task *subi_task_new(subi_message *call);

void subi_task_hold(task *t);

// The future must be gone by then.
void subi_task_drop(task *t);

// True for the first caller of the two: it is not done, or it is the caller's to do.
bool subi_task_cancel(task *t);
bool subi_task_claim(task *t);

// A message with a reference to t, and t from it.
subi_message subi_task_message(task *t);
task *subi_task_of(const subi_message *m);

#endif
