// SPDX-License-Identifier: MIT
#include "task.h"

#include <assert.h>
#include <stdlib.h>

#include "job.h"

task *
subi_task_new(void)
{
    task *t = calloc(1, sizeof(*t));
    if (t != NULL) {
        atomic_init(&t->references, 1);
        atomic_init(&t->state, TASK_WAITING);
        t->arguments = t->result = subi_message_none();
        t->failure.text = t->failure.exception = subi_message_none();
    }
    return t;
}

void
subi_task_hold(task *t)
{
    atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
}

void
subi_task_drop(task *t)
{
    // release and acquire: what others did with it comes before it is freed
    if (atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    assert(t->future == NULL);
    if (t->job != NULL) {
        subi_job_drop(t->job);
    }
    for (size_t k = 0; k < Py_ARRAY_LENGTH(t->places); k++) {
        if (t->places[k].interp != NULL) {
            subi_interp_drop(t->places[k].interp);
        }
    }
    subi_callee_drop(t->callee);
    subi_message_fini(&t->arguments);
    subi_message_fini(&t->result);
    subi_failure_fini(&t->failure);
    free(t);
}

bool
subi_task_change(task *t, task_state from, task_state to)
{
    int expected = (int)from;
    return atomic_compare_exchange_strong(&t->state, &expected, (int)to);
}

subi_message
subi_task_message(task *t)
{
    return subi_message_integer((int64_t)(intptr_t)t);
}

task *
subi_task_of(const subi_message *m)
{
    return (task *)(intptr_t)m->u.integer;
}

PyObject *
subi_task_take_future(task *t)
{
    PyObject *future = t->future;
    t->future = NULL;
    return future;
}
