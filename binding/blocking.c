// SPDX-License-Identifier: MIT
#include "blocking.h"

#include <math.h>

#include "backend.h"
#include "interrupt.h"
#include "pending_signals.h"
#include "runtime.h"

// 1: there is one; 0: there is none; -1 with an exception.
static int
parse_timeout(PyObject *timeout, bool minus_one, int64_t *deadline)
{
    *deadline = SUBI_FOREVER;
    if (timeout == NULL || timeout == Py_None) {
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "timeout must be a number of seconds or None, got %.100s",
                         Py_TYPE(timeout)->tp_name);
        }
        return -1;
    }
    if (minus_one && seconds == -1.0) {
        return 0;
    }
    if (isnan(seconds) || seconds < 0) {
        PyErr_Format(PyExc_ValueError, "timeout must not be negative, got %R", timeout);
        return -1;
    }
    *deadline = subi_deadline(seconds);
    return 1;
}

int
subi_parse_timeout(PyObject *timeout, int64_t *deadline)
{
    return parse_timeout(timeout, false, deadline) < 0 ? -1 : 0;
}

int
subi_parse_timeout_or_minus_one(PyObject *timeout, int64_t *deadline)
{
    return parse_timeout(timeout, true, deadline);
}

native *
subi_run_of_thread(subi_interp *i, PyThreadState *tstate)
{
    native *n = subi_interp_data(i);
    return n != NULL && n->current == tstate && n->outer != NULL ? n : NULL;
}

// The run that this thread began first, when runs are nested. n's caller is running, too, as long
// as n is: nobody closes it meanwhile.
static native *
outermost_run(native *n)
{
    for (;;) {
        subi_interp *i = subi_interp_find(PyThreadState_GetInterpreter(n->outer));
        native *caller = i != NULL ? subi_run_of_thread(i, n->outer) : NULL;
        if (i != NULL) {
            subi_interp_drop(i);
        }
        if (caller == NULL) {
            return n;
        }
        n = caller;
    }
}

// What the handlers raise is kept for the end of n's run.
bool
subi_handle_signals_here(native *n)
{
    PyEval_RestoreThread(n->outer);
    bool raised = subi_signals_handle() < 0;
    if (raised) {
        // an earlier one that is still kept has already made the run end; the newer replaces it
        Py_XSETREF(n->signal, PyErr_GetRaisedException());
    }
    PyEval_SaveThread();
    return raised;
}

// Runs the handlers where the outermost run that this thread is in was called; n is the innermost.
static bool
handle_signals(native *n)
{
    uint32_t signals = subi_foreground_signals();
    PyThreadState *here = PyEval_SaveThread();
    native *first = outermost_run(n);
    bool raised = first->outer_runtime->handle_signals(first);
    PyEval_RestoreThread(here);
    if (raised) {
        n->signals_seen = signals;
    }
    return raised;
}

int
subi_check_signals(module_state *state)
{
    native *n = subi_run_of_thread(state->self, PyThreadState_Get());
    bool raised = n != NULL && handle_signals(n);
    if (subi_interrupt_take()) {  // it may be there for the same signal
        return -1;
    }
    if (raised) {
        PyErr_SetNone(PyExc_KeyboardInterrupt);
        return -1;
    }
    return n == NULL ? subi_signals_handle() : 0;
}

// Whether a wait of this thread may be told of signals: it can handle them, by subi_check_signals.
static bool
handles_signals(module_state *state)
{
    if (!subi_thread_is_initial()) {
        return false;
    }
    native *n = subi_run_of_thread(state->self, PyThreadState_Get());
    if (n == NULL) {
        return subi_interp_kind(state->self) == SUBI_KIND_MAIN;
    }
    PyThreadState *outer = outermost_run(n)->outer;
    subi_interp *caller = subi_interp_find(PyThreadState_GetInterpreter(outer));
    bool handles = caller != NULL && subi_interp_kind(caller) == SUBI_KIND_MAIN;
    if (caller != NULL) {
        subi_interp_drop(caller);
    }
    return handles;
}

PyThreadState *
subi_wait_begin(module_state *state)
{
    subi_signals_heed(handles_signals(state));
    return PyEval_SaveThread();
}

void
subi_wait_end(PyThreadState *tstate)
{
    subi_signals_heed(false);
    PyEval_RestoreThread(tstate);
}

#define VISIT      INT64_C(100000000)    // ns: more than what one takes
#define VISITS_END INT64_C(10000000000)  // ns: the same where others keep it from its processor

// r is the result of a first try, `waits` what it is when one would have to wait.
static bool
should_wait(subi_result r, subi_result waits, int64_t deadline)
{
    return r == waits && deadline != SUBI_TRY;
}

// At the end of the process all channels are closed to get waiting threads out of the way.
subi_result
subi_blocking_result(subi_result r)
{
    if (r == SUBI_CLOSED && subi_is_shut_down()) {
        PyErr_SetNone(PyExc_SystemExit);
        return SUBI_INTERRUPTED;
    }
    return r;
}

subi_result
subi_blocking_send(module_state *state, subi_channel *c, subi_message *m, int64_t deadline)
{
    subi_result r = subi_channel_send(c, SUBI_NOBODY, m, SUBI_TRY);
    if (!should_wait(r, SUBI_FULL, deadline)) {
        return subi_blocking_result(r);
    }
    do {
        PyThreadState *tstate = subi_wait_begin(state);
        r = subi_channel_send(c, SUBI_NOBODY, m, deadline);
        subi_wait_end(tstate);
    } while (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0);
    return subi_blocking_result(r);
}

typedef subi_result (*receive)(subi_channel *, int64_t, subi_message *, int64_t);

static subi_result
blocking_recv(module_state *state, subi_channel *c, subi_message *m, int64_t deadline, receive recv)
{
    subi_result r = subi_channel_recv(c, SUBI_NOBODY, m, SUBI_TRY);
    if (!should_wait(r, SUBI_EMPTY, deadline)) {
        return subi_blocking_result(r);
    }
    do {
        PyThreadState *tstate = subi_wait_begin(state);
        r = recv(c, SUBI_NOBODY, m, deadline);
        subi_wait_end(tstate);
    } while (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0);
    return subi_blocking_result(r);
}

subi_result
subi_blocking_recv(module_state *state, subi_channel *c, subi_message *m, int64_t deadline)
{
    return blocking_recv(state, c, m, deadline, subi_channel_recv);
}

subi_result
subi_blocking_recv_in_front(module_state *state, subi_channel *c, subi_message *m, int64_t deadline)
{
    return blocking_recv(state, c, m, deadline, subi_channel_recv_in_front);
}

PyObject *
subi_received(subi_channel *c, subi_message *m, PyObject *obj)
{
    if (obj != NULL) {
        subi_message_fini(m);
        return obj;
    }
    PyObject *exc = PyErr_GetRaisedException();
    if (PyErr_GivenExceptionMatches(exc, PyExc_MemoryError)) {
        subi_channel_put_back(c, m);
    }
    subi_message_fini(m);  // if it is still here
    PyErr_SetRaisedException(exc);
    return NULL;
}

subi_result
subi_blocking_select(module_state *state, subi_case *cases, size_t count, int64_t deadline,
                     size_t *chosen)
{
    subi_result r = subi_select(cases, count, SUBI_NOBODY, SUBI_TRY, chosen);
    if (!should_wait(r, SUBI_EMPTY, deadline)) {
        return subi_blocking_result(r);
    }
    do {
        PyThreadState *tstate = subi_wait_begin(state);
        r = subi_select(cases, count, SUBI_NOBODY, deadline, chosen);
        subi_wait_end(tstate);
    } while (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0);
    return subi_blocking_result(r);
}

subi_result
subi_blocking_enter(module_state *state, subi_interp *i, int64_t deadline)
{
    subi_result r = subi_interp_enter(i, SUBI_TRY);
    if (!should_wait(r, SUBI_BUSY, deadline)) {
        return r;
    }
    do {
        PyThreadState *tstate = subi_wait_begin(state);
        r = subi_interp_enter(i, deadline);
        subi_wait_end(tstate);
    } while (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0);
    return r;
}

static subi_result
wait_to_close(module_state *state, subi_interp *i, int64_t deadline)
{
    subi_result r;
    do {
        PyThreadState *tstate = subi_wait_begin(state);
        r = subi_interp_begin_close(i, deadline);
        subi_wait_end(tstate);
    } while (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0);
    return r;
}

// One that is idle, but busy, has a visitor, who will go, unless nobody lets him. Somebody may run it meanwhile.
subi_result
subi_blocking_begin_close(module_state *state, subi_interp *i, int64_t deadline)
{
    subi_result r = subi_interp_begin_close(i, SUBI_TRY);
    if (should_wait(r, SUBI_BUSY, deadline)) {
        return wait_to_close(state, i, deadline);
    }
    int64_t end = subi_now() + VISITS_END;
    while ((r == SUBI_BUSY || r == SUBI_TIMEOUT) && subi_interp_state(i) == SUBI_STATE_IDLE) {
        int64_t now = subi_now();
        if (now > end) {
            return SUBI_TIMEOUT;
        }
        r = wait_to_close(state, i, now + VISIT);
    }
    return r == SUBI_TIMEOUT ? SUBI_BUSY : r;
}

static bool
go_on(void *arg)
{
    subi_detached *d = arg;
    subi_wait_end(d->tstate);
    bool on = subi_check_signals(d->state) == 0;
    d->tstate = subi_wait_begin(d->state);
    return on;
}

void
subi_detach(subi_detached *d, module_state *state, int64_t deadline)
{
    d->state = state;
    d->patience = (subi_patience){.deadline = deadline, .go_on = go_on, .arg = d};
    d->tstate = subi_wait_begin(state);
}

subi_result
subi_attach(subi_detached *d, subi_result r)
{
    subi_wait_end(d->tstate);
    return subi_blocking_result(r);
}
