// SPDX-License-Identifier: MIT
#include "task.h"

#include <assert.h>
#include <stdlib.h>

task *
subi_task_new(subi_message *call)
{
    task *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return NULL;
    }
    atomic_init(&t->references, 1);
    atomic_init(&t->state, TASK_WAITING);
    t->call = *call;
    *call = subi_message_none();
    t->run = (run){.call = &t->call, .wanted = FAILURE_WITH_EXCEPTION, .keep_arrays = true};
    t->run.result = subi_message_none();
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
    if (atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) == 1) {
        assert(t->future == NULL);
        subi_message_fini(&t->call);
        subi_run_fini(&t->run);
        free(t);
    }
}

static bool
change(task *t, task_state to)
{
    int waiting = TASK_WAITING;
    return atomic_compare_exchange_strong(&t->state, &waiting, to);
}

bool
subi_task_cancel(task *t)
{
    return change(t, TASK_CANCELLED);
}

bool
subi_task_claim(task *t)
{
    return change(t, TASK_RUNNING);
}

subi_message
subi_task_message(task *t)
{
    subi_task_hold(t);
    return (subi_message){.tag = SUBI_TAG_INTEGER, .u.integer = (int64_t)(intptr_t)t};
}

task *
subi_task_of(const subi_message *m)
{
    return (task *)(intptr_t)m->u.integer;
}
