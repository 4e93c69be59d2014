// SPDX-License-Identifier: MIT
#include "deadlines.h"

#include "interrupt.h"
#include "outcome.h"

#define GRACE       INT64_C(1000000000)  // ns that interrupted code has to come back
#define FIRST_PAUSE INT64_C(5000000)     // ns until it is interrupted again

static bool
is_cancelled(const task *t)
{
    return t->future == NULL;
}

// Takes over a reference.
static void
insert(pool_object *po, task *t)
{
    t->is_timed = true;
    t->next = po->timed;
    t->link = &po->timed;
    if (t->next != NULL) {
        t->next->link = &t->next;
    }
    po->timed = t;
}

// Gives the reference to the caller.
static void
take_out(task *t)
{
    *t->link = t->next;
    if (t->next != NULL) {
        t->next->link = t->link;
    }
    t->is_timed = false;
}

void
subi_deadlines_add(pool_object *po, task *t)
{
    t->look_again = is_cancelled(t) ? subi_now() : subi_now() + t->timeout;
    if (!t->is_timed) {
        subi_task_hold(t);
        insert(po, t);
    }
    if (t->look_again < po->next_look) {
        po->next_look = t->look_again;
        subi_pool_call(po->pool);
    }
}

void
subi_deadlines_forget(task *t)
{
    if (t->is_timed) {
        take_out(t);
        subi_task_drop(t);
    }
}

// Without waiting for it to be done: it takes the GIL of the task's interpreter.
static void
interrupt(task *t)
{
    const task_place *place = subi_task_place(t);
    interruption what = {
        .kind = INTERRUPT_KEYBOARD, .exception = subi_message_none(), .run = place->run};
    Py_BEGIN_ALLOW_THREADS
    subi_interrupt(place->interp, what, SUBI_TRY);
    Py_END_ALLOW_THREADS
}

static void
give_up(pool_object *po, task *t)
{
    if (!subi_task_change(t, TASK_RUNNING, TASK_ABANDONED)) {
        return;
    }
    atomic_fetch_sub(&po->pool->load, 1);
    po->given_up++;
    PyObject *future = subi_task_take_future(t);
    if (future != NULL) {
        char text[120];
        PyOS_snprintf(
            text, sizeof(text),
            "not done after %.6g seconds: the code did not react to being interrupted, and "
            "goes on",
            (double)t->timeout / 1e9);
        subi_pool_set_exception(future, PyObject_CallFunction(PyExc_TimeoutError, "s", text));
        subi_pool_wake_waiter(t);
        Py_DECREF(future);
    }
    PyObject *done = PyObject_CallFunction(po->lost, "k", subi_task_place(t)->thread);
    if (done == NULL) {
        PyErr_WriteUnraisable(po->lost);
    }
    Py_XDECREF(done);
}

// False: there is nothing more to be seen to.
static bool
look_at(pool_object *po, task *t, int64_t now)
{
    int state = atomic_load(&t->state);
    if (t->is_back || state != TASK_RUNNING) {
        // one that waits has all its time yet
        t->look_again = now + t->timeout;
        return !t->is_back && state == TASK_WAITING && !is_cancelled(t);
    }
    int64_t end = subi_task_place(t)->started + t->timeout;
    if (t->interrupted == 0 && !is_cancelled(t) && end > now) {
        t->look_again = end;
        return true;
    }
    if (t->interrupted == 0) {
        t->interrupted = now;
        t->timed_out = !is_cancelled(t);
        po->timed_out += t->timed_out;
    }
    int64_t so_far = now - t->interrupted;
    if (so_far >= GRACE) {
        give_up(po, t);
        return false;
    }
    t->look_again = now + FIRST_PAUSE + so_far;  // the pauses double
    if (t->look_again > t->interrupted + GRACE) {
        t->look_again = t->interrupted + GRACE;
    }
    interrupt(t);
    return true;
}

// The list may change meanwhile: what is due leaves it while it is looked at.
static task *
take_due(pool_object *po, int64_t now)
{
    task *t = po->timed;
    while (t != NULL && t->look_again > now) {
        t = t->next;
    }
    if (t != NULL) {
        take_out(t);
    }
    return t;
}

void
subi_deadlines_look(pool_object *po)
{
    int64_t now = subi_now();
    task *t;
    if (po->next_look > now) {
        return;
    }
    while ((t = take_due(po, now)) != NULL) {
        // it may have come back meanwhile, or somebody may have put it into the list again
        if (look_at(po, t, now) && !t->is_back && !t->is_timed) {
            insert(po, t);
        }
        else {
            subi_task_drop(t);
        }
    }
    po->next_look = SUBI_FOREVER;
    for (t = po->timed; t != NULL; t = t->next) {
        po->next_look = t->look_again < po->next_look ? t->look_again : po->next_look;
    }
}

void
subi_deadlines_clear(pool_object *po)
{
    while (po->timed != NULL) {
        subi_deadlines_forget(po->timed);
    }
}
