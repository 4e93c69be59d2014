// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "backend.h"
#include "runtime.h"
#include "thread_state.h"

// Taking a GIL cannot be given up, so a thread of its own does it, and says so when it is done.
typedef struct delivery {
    subi_interp *i;               // one reference; pinned until the exceptions are raised
    PyThread_type_lock done;      // held until the exceptions are raised
    _Atomic unsigned references;  // atomic: of both threads; the last one frees
} delivery;

static void
drop(delivery *d)
{
    if (atomic_fetch_sub(&d->references, 1) == 1) {
        subi_interp_drop(d->i);
        PyThread_free_lock(d->done);
        free(d);
    }
}

// The run in progress, and threads that the interpreter started. The other thread states of ours
// are idle: for them the exception would come at the beginning of their next run.
static bool
is_running(const native *n, const PyThreadState *t)
{
    return t == n->current || !subi_thread_state_is_kept(n, t);
}

void
subi_interrupt_here(native *n)
{
    PyThreadState *mine = PyThreadState_New(n->interp);
    if (mine == NULL) {
        return;
    }
    PyEval_RestoreThread(mine);
    for (PyThreadState *t = PyInterpreterState_ThreadHead(n->interp); t != NULL;
         t = PyThreadState_Next(t)) {
        if (t != mine && is_running(n, t)) {
            PyThreadState_SetAsyncExc(t->thread_id, PyExc_SystemExit);
        }
    }
    PyThreadState_Clear(mine);
    PyThreadState_DeleteCurrent();
}

static void
deliver(void *arg)
{
    delivery *d = arg;
    native *n = subi_interp_data(d->i);
    n->runtime->interrupt(n);
    subi_interp_unpin(d->i);
    PyThread_release_lock(d->done);
    drop(d);
}

static delivery *
start_delivery(subi_interp *i)
{
    delivery *d = malloc(sizeof(*d));
    if (d == NULL || (d->done = PyThread_allocate_lock()) == NULL) {
        free(d);
        return NULL;
    }
    subi_interp_hold(i);
    d->i = i;
    atomic_init(&d->references, 2);
    PyThread_acquire_lock(d->done, WAIT_LOCK);
    if (PyThread_start_new_thread(deliver, d) == PYTHREAD_INVALID_THREAD_ID) {
        PyThread_release_lock(d->done);
        PyThread_free_lock(d->done);
        subi_interp_drop(i);
        free(d);
        return NULL;
    }
    return d;
}

subi_result
subi_interrupt(subi_interp *i, int64_t deadline)
{
    if (!subi_interp_pin(i)) {
        return SUBI_OK;  // whoever closes it interrupts nothing: no run is in progress
    }
    delivery *d = start_delivery(i);
    if (d == NULL) {
        subi_interp_unpin(i);
        return SUBI_NOMEM;
    }
    int64_t left = deadline - subi_now();
    PyLockStatus got = PyThread_acquire_lock_timed(d->done, left > 0 ? left / 1000 : 0, 0);
    if (got == PY_LOCK_ACQUIRED) {
        PyThread_release_lock(d->done);
    }
    drop(d);
    return got == PY_LOCK_ACQUIRED ? SUBI_OK : SUBI_TIMEOUT;
}
