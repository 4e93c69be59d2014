// SPDX-License-Identifier: MIT
#include "exit.h"

#include <stdlib.h>
#include <unistd.h>

#include "interrupt.h"
#include "lifecycle.h"

#define GRACE 2.0       // seconds for threads that run or wait when the main thread is done
#define REACTION 0.7    // seconds for interrupted code to come back
#define THREADS_END 0.7  // seconds for threads inside interpreters to end

// ---- ending without finalization -----------------------------------------------------------------

static void
call_quietly(const char *module_name, const char *function)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *result = module != NULL ? PyObject_CallMethod(module, function, NULL) : NULL;
    Py_XDECREF(result);
    Py_XDECREF(module);
    PyErr_Clear();
}

static void
flush(const char *name)
{
    PyObject *file = PySys_GetObject(name);  // borrowed
    if (file != NULL && file != Py_None) {
        Py_XDECREF(PyObject_CallMethod(file, "flush", NULL));
        PyErr_Clear();
    }
}

// The exit status is lost by now, but for whether an uncaught exception was reported.
static void
abandon(void)
{
    PySys_WriteStderr("subinterpreters: code in an interpreter did not react to being interrupted; "
                      "the process ends without finalizing Python\n");
    int status = PySys_GetObject("last_type") != NULL ? 1 : 0;
    call_quietly("atexit", "_run_exitfuncs");
    flush("stdout");
    flush("stderr");
    _exit(status);
}

// ---- stopping what runs --------------------------------------------------------------------------

// No thread state. False: an interruption is still under way.
static bool
interrupt_running(int64_t deadline)
{
    int64_t *ids;
    size_t count;
    bool delivered = true;
    if (subi_interp_list(&ids, &count) != SUBI_OK) {
        return false;
    }
    for (size_t k = 0; k < count; k++) {
        subi_interp *i = subi_interp_lookup(ids[k]);
        if (i == NULL) {
            continue;
        }
        // not one that is still being made
        if (subi_interp_native(i) != NULL && subi_lifecycle_is_ours(i)) {
            delivered = subi_interrupt(i, deadline) == SUBI_OK && delivered;
        }
        subi_interp_drop(i);
    }
    free(ids);
    return delivered;
}

// Interrupts all code in interpreters and wakes all threads that wait on channels.
static void
stop_runs(void)
{
    subi_result r;
    bool delivered;
    Py_BEGIN_ALLOW_THREADS
    delivered = interrupt_running(subi_deadline(REACTION));
    subi_shutdown();
    r = subi_quiesce(subi_deadline(REACTION));
    Py_END_ALLOW_THREADS
    if (!delivered || r == SUBI_TIMEOUT) {
        abandon();
    }
}

// ---- the two moments -----------------------------------------------------------------------------

// Whether a thread that keeps the process alive is left besides the calling, main, one.
static bool
other_threads_left(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *threads =
        threading != NULL ? PyObject_CallMethod(threading, "enumerate", NULL) : NULL;
    PyObject *current =
        threading != NULL ? PyObject_CallMethod(threading, "current_thread", NULL) : NULL;
    bool left = false;
    for (Py_ssize_t k = 0; threads != NULL && k < PyList_GET_SIZE(threads); k++) {
        PyObject *thread = PyList_GET_ITEM(threads, k);
        PyObject *daemon = PyObject_GetAttrString(thread, "daemon");
        left = left || (thread != current && daemon == Py_False);
        Py_XDECREF(daemon);
    }
    Py_XDECREF(threading);
    Py_XDECREF(threads);
    Py_XDECREF(current);
    PyErr_Clear();
    return left;
}

// Waits until nothing runs or waits, for at most GRACE. False: something still does.
static bool
grace_period(void)
{
    int64_t end = subi_deadline(GRACE);
    subi_result r = SUBI_OK;
    // A wait may begin and end at any time, so there is nothing to sleep on until it is the last
    // one. This is the end of the process, and only when something of ours keeps it from ending.
    while (other_threads_left() && (subi_running() > 0 || subi_waiting() > 0) && r == SUBI_OK) {
        size_t chosen;
        int64_t now = subi_now();
        if (now >= end) {
            return false;
        }
        Py_BEGIN_ALLOW_THREADS
        r = subi_select(NULL, 0, SUBI_NOBODY, now + 5000000, &chosen);
        Py_END_ALLOW_THREADS
        if (r != SUBI_INTERRUPTED || PyErr_CheckSignals() == 0) {
            r = SUBI_OK;
        }
    }
    PyErr_Clear();  // Ctrl-C: no more patience
    return r == SUBI_OK;
}

// From threading: the main thread is done, other threads may be alive.
static PyObject *
before_threads_are_joined(PyObject *module, PyObject *unused)
{
    if (other_threads_left() && !grace_period()) {
        PySys_WriteStderr("subinterpreters: the process is ending; threads that still ran code in "
                          "interpreters or waited on channels were interrupted\n");
        stop_runs();
    }
    Py_RETURN_NONE;
}

// From atexit: only daemon threads of this interpreter may be alive.
static PyObject *
at_exit(PyObject *module, PyObject *unused)
{
    module_state *state = get_state(module);
    bool is_main = subi_interp_kind(state->self) == SUBI_KIND_MAIN;
    int64_t owner = is_main ? SUBI_NOBODY : state->self_id;
    if (is_main && subi_running() > 0) {
        stop_runs();
    }
    if (subi_lifecycle_close_all(state, owner, subi_deadline(THREADS_END))) {
        Py_RETURN_NONE;
    }
    if (is_main) {
        stop_runs();
        if (!subi_lifecycle_close_all(state, owner, subi_deadline(THREADS_END))) {
            abandon();
        }
    }
    Py_RETURN_NONE;
}

PyMethodDef subi_exit_functions[] = {
    {"_before_threads_are_joined", before_threads_are_joined, METH_NOARGS, NULL},
    {"_at_exit", at_exit, METH_NOARGS, NULL},
    {NULL},
};

// Calls module_name.registrar(self.method).
static int
register_method(module_state *state, const char *module_name, const char *registrar,
                const char *method)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *bound = PyObject_GetAttrString(state->module, method);
    PyObject *result = NULL;
    if (module != NULL && bound != NULL) {
        result = PyObject_CallMethod(module, registrar, "O", bound);
    }
    Py_XDECREF(module);
    Py_XDECREF(bound);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

int
subi_exit_arm(module_state *state)
{
    subi_kind kind = subi_interp_kind(state->self);
    // interpreters of ours live until they are closed, or the process ends
    if (state->exit_armed || (kind != SUBI_KIND_MAIN && kind != SUBI_KIND_FOREIGN)) {
        return 0;
    }
    if (register_method(state, "atexit", "register", "_at_exit") < 0) {
        return -1;
    }
    state->exit_armed = true;
    if (kind == SUBI_KIND_MAIN && register_method(state, "threading", "_register_atexit",
                                                  "_before_threads_are_joined") < 0) {
        // too late: threading is shutting down already, or has no such function any more
        PyErr_Clear();
    }
    return 0;
}
