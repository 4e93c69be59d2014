// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "backend.h"
#include "codec/codec.h"
#include "runtime.h"
#include "thread_state.h"

// Taking a GIL cannot be given up, so a thread of its own does it, and says so when it is done.
typedef struct delivery {
    subi_interp *i;  // one reference; pinned until the exceptions are raised
    interruption what;
    size_t threads;               // INTERRUPT_NOTHING: the answer; set before done is released
    PyThread_type_lock done;      // held until the exceptions are raised
    _Atomic unsigned references;  // atomic: of both threads; the last one frees
} delivery;

static void
drop(delivery *d)
{
    if (atomic_fetch_sub(&d->references, 1) == 1) {
        subi_interp_drop(d->i);
        subi_message_fini(&d->what.exception);
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

static void
interrupt_all(native *n, const PyThreadState *mine)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    n->exiting = n->current != NULL;
    for (; t != NULL; t = PyThreadState_Next(t)) {
        if (t != mine && is_running(n, t)) {
            n->interrupted = true;
            PyThreadState_SetAsyncExc(t->thread_id, PyExc_SystemExit);
        }
    }
}

// Whether the run has raised it already: the signal itself has interrupted a wait.
static bool
has_come(const native *n, const interruption *what)
{
    return what->signals != 0 && (int32_t)(n->signals_seen - what->signals) >= 0;
}

// The run may wait on a channel: it sees the exception when it is interrupted there.
static void
interrupt_run(native *n, const interruption *what)
{
    PyObject *exc = what->kind == INTERRUPT_CLASS ? subi_decode(NULL, &what->exception)
                                                  : Py_NewRef(PyExc_KeyboardInterrupt);
    if (exc == NULL || !PyExceptionClass_Check(exc)) {
        PyErr_Clear();  // it cannot be had here: any other will do
        Py_XSETREF(exc, Py_NewRef(PyExc_KeyboardInterrupt));
    }
    if (n->current != NULL && subi_now() >= n->undisturbed && !has_come(n, what) &&
        atomic_load(&n->runs) == what->run) {  // after imports, which let it go on
        n->interrupted = true;
        PyThreadState_SetAsyncExc(n->current->thread_id, exc);
        subi_thread_interrupt(n->runner);
    }
    Py_DECREF(exc);
}

// Attaches the calling thread to the interpreter for a moment. NULL: out of memory.
static PyThreadState *
begin_visit(native *n)
{
    PyThreadState *mine = PyThreadState_New(n->interp);
    if (mine != NULL) {
        atomic_fetch_add(&n->visitors, 1);
        PyEval_RestoreThread(mine);
    }
    return mine;
}

static void
end_visit(native *n, PyThreadState *mine)
{
    PyThreadState_Clear(mine);
    atomic_fetch_sub(&n->visitors, 1);  // the GIL is held until there is no thread state, too
    PyThreadState_DeleteCurrent();
}

void
subi_interrupt_here(native *n, const interruption *what)
{
    PyThreadState *mine = begin_visit(n);
    if (mine == NULL) {
        return;
    }
    if (what->kind == INTERRUPT_EXIT) {
        interrupt_all(n, mine);
    }
    else {
        interrupt_run(n, what);
    }
    end_visit(n, mine);
}

size_t
subi_count_threads_here(native *n)
{
    size_t count = 0;
    PyThreadState *mine = begin_visit(n);
    if (mine == NULL) {
        return 0;
    }
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    for (; t != NULL; t = PyThreadState_Next(t)) {
        count += is_running(n, t);
    }
    size_t visitors = atomic_load(&n->visitors);
    count = count > visitors ? count - visitors : 0;
    end_visit(n, mine);
    return count;
}

bool
subi_interrupt_take(void)
{
    PyThreadState *mine = PyThreadState_Get();
    PyObject *exc = mine->async_exc;
    if (exc == NULL) {
        return false;
    }
    mine->async_exc = NULL;
    PyErr_SetNone(exc);
    Py_DECREF(exc);
    return true;
}

void
subi_interrupt_drop(void)
{
    Py_CLEAR(PyThreadState_Get()->async_exc);
}

static void
deliver(void *arg)
{
    delivery *d = arg;
    native *n = subi_interp_data(d->i);
    if (d->what.kind == INTERRUPT_NOTHING) {
        d->threads = n->runtime->count_threads(n);
    }
    else {
        n->runtime->interrupt(n, &d->what);
        subi_notifiers_disturb(subi_interp_id(d->i));  // the run may wait in an event loop
    }
    subi_interp_unpin(d->i);
    PyThread_release_lock(d->done);
    drop(d);
}

static delivery *
start_delivery(subi_interp *i, interruption what)
{
    delivery *d = malloc(sizeof(*d));
    if (d == NULL || (d->done = PyThread_allocate_lock()) == NULL) {
        free(d);
        return NULL;
    }
    subi_interp_hold(i);
    d->i = i;
    d->what = what;
    d->threads = 0;
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

// As subi_interrupt; threads may be NULL. SUBI_CLOSED: the interpreter is closing or closed.
static subi_result
visit(subi_interp *i, interruption what, int64_t deadline, size_t *threads)
{
    if (!subi_interp_pin(i)) {
        subi_message_fini(&what.exception);
        return SUBI_CLOSED;
    }
    delivery *d = start_delivery(i, what);
    if (d == NULL) {
        subi_message_fini(&what.exception);
        subi_interp_unpin(i);
        return SUBI_NOMEM;
    }
    int64_t left = deadline - subi_now();
    PyLockStatus got = PyThread_acquire_lock_timed(d->done, left > 0 ? left / 1000 : 0, 0);
    if (got == PY_LOCK_ACQUIRED) {
        PyThread_release_lock(d->done);
        if (threads != NULL) {
            *threads = d->threads;
        }
    }
    drop(d);
    return got == PY_LOCK_ACQUIRED ? SUBI_OK : SUBI_TIMEOUT;
}

subi_result
subi_interrupt(subi_interp *i, interruption what, int64_t deadline)
{
    subi_result r = visit(i, what, deadline, NULL);
    return r == SUBI_CLOSED ? SUBI_OK : r;  // no run is in progress
}

subi_result
subi_count_threads(subi_interp *i, int64_t deadline, size_t *count)
{
    interruption nothing = {.kind = INTERRUPT_NOTHING, .exception = subi_message_none()};
    return visit(i, nothing, deadline, count);
}

interruption
subi_interruption(subi_interp *i, interruption_kind kind)
{
    interruption what = {.kind = kind, .exception = subi_message_none()};
    if (subi_interp_pin(i)) {  // its data stays for so long
        native *n = subi_interp_data(i);
        what.run = n != NULL ? atomic_load(&n->runs) : 0;
        subi_interp_unpin(i);
    }
    return what;
}

void
subi_interrupt_foreground(subi_interp *i, uint64_t number, uint32_t signals)
{
    interruption what = {.kind = INTERRUPT_KEYBOARD,
                         .exception = subi_message_none(),
                         .run = number,
                         .signals = signals};
    subi_interrupt(i, what, SUBI_TRY);
}
