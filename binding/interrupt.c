// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <stdlib.h>

#include "backend.h"
#include "thread_state.h"

// Taking a GIL cannot be given up, so a thread of its own does it, and says so when it is done.
typedef struct delivery {
    native *n;
    subi_channel *done;  // one reference
} delivery;

// The run in progress, and threads that the interpreter started. The other thread states of ours
// are idle: for them the exception would come at the beginning of their next run.
static bool
is_running(const native *n, const PyThreadState *t)
{
    return t == n->current || !subi_thread_state_is_kept(n, t);
}

static void
raise_in_running_threads(native *n)
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
    subi_message m = subi_message_none();
    raise_in_running_threads(d->n);
    subi_channel_send(d->done, SUBI_NOBODY, &m, SUBI_TRY);
    subi_channel_drop(d->done);
    free(d);
}

subi_result
subi_interrupt(subi_interp *i, int64_t deadline)
{
    native *n = subi_interp_data(i);
    delivery *d = malloc(sizeof(*d));
    subi_channel *done;
    if (d == NULL || subi_channel_new(SUBI_UNBOUNDED, &done) != SUBI_OK) {
        free(d);
        return SUBI_NOMEM;
    }
    subi_channel_hold(done);
    *d = (delivery){.n = n, .done = done};
    subi_result r = SUBI_NOMEM;
    if (PyThread_start_new_thread(deliver, d) != PYTHREAD_INVALID_THREAD_ID) {
        subi_message m;
        do {
            r = subi_channel_recv(done, SUBI_NOBODY, &m, deadline);
        } while (r == SUBI_INTERRUPTED);
    }
    else {
        subi_channel_drop(done);
        free(d);
    }
    subi_channel_drop(done);
    return r;
}
