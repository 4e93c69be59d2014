// SPDX-License-Identifier: MIT
#include "exit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "interrupt.h"
#include "lifecycle.h"
#include "linger.h"
#include "remedies.h"

#define GRACE INT64_C(2000000000)  // ns for threads that run or wait when the main thread is done
#define REACTION      1.0          // seconds for interrupted code to come back
#define THREADS_END   1.0          // seconds for threads inside interpreters to end
#define MAKING_ENDS   10.0         // seconds for an interpreter that is made in advance
#define MAKING_PAUSES 1.0          // seconds for the same when the process forks

// ---- ending without finalization --------------------------------------------------------------

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

// The exit status is lost by now, but for whether an uncaught exception was reported. Attached to
// the main interpreter.
static void
abandon(module_state *state)
{
    PySys_WriteStderr("subinterpreters: code in an interpreter did not react to being interrupted; "
                      "the process ends without finalizing Python\n");
    int status = PySys_GetObject("last_type") != NULL ? 1 : 0;
    state->ending = true;  // at_exit is one of the functions that atexit calls now
    call_quietly("atexit", "_run_exitfuncs");
    flush("stdout");
    flush("stderr");
    _exit(status);
}

// ---- stopping what runs -----------------------------------------------------------------------

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
            delivered =
                subi_interrupt(i, subi_interruption(i, INTERRUPT_EXIT), deadline) == SUBI_OK &&
                delivered;
        }
        subi_interp_drop(i);
    }
    free(ids);
    return delivered;
}

// Interrupts all code in interpreters and wakes all threads that wait on channels. No thread state.
// False: something does not react.
static bool
stop_runs(void)
{
    bool delivered = interrupt_running(subi_deadline(REACTION));
    subi_shutdown();
    return subi_quiesce(subi_deadline(REACTION)) != SUBI_TIMEOUT && delivered;
}

// ---- the two moments --------------------------------------------------------------------------

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
    for (Py_ssize_t k = 0; threads != NULL && PyList_Check(threads) && k < PyList_GET_SIZE(threads);
         k++) {
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

// Watches, on a thread of its own, the process's end while threading joins the threads that are
// left: none of them may be kept by us for longer than GRACE.
typedef struct watch {
    module_state *state;
    uint32_t generation;      // of the process that the watching thread is in
    PyThread_type_lock done;  // held by the watching thread until it ends
    _Atomic bool over;        // atomic: set by the main thread when all threads were joined
} watch;

#define WATCH_PAUSE INT64_C(5000000)  // ns

// Whether the time ran out. A wait may begin and end at any time, so there is nothing to sleep on
// until it is the last one.
static bool
grace_ran_out(watch *w)
{
    int64_t busy_since = 0;
    while (!atomic_load(&w->over)) {
        size_t chosen;
        int64_t now = subi_now();
        if (subi_running() == 0 && subi_waiting() == 0) {
            busy_since = 0;
        }
        else if (busy_since == 0) {
            busy_since = now;
        }
        else if (now - busy_since > GRACE) {
            return true;
        }
        subi_select(NULL, 0, SUBI_NOBODY, now + WATCH_PAUSE, &chosen);
    }
    return false;
}

static void
with_main_interpreter(module_state *state, void (*function)(module_state *))
{
    PyThreadState *tstate = PyThreadState_New(PyInterpreterState_Main());
    if (tstate != NULL) {
        PyEval_RestoreThread(tstate);
        function(state);
        PyThreadState_Clear(tstate);
        PyThreadState_DeleteCurrent();
    }
}

static void
announce(module_state *state)
{
    PySys_WriteStderr("subinterpreters: the process is ending; threads that still ran code in "
                      "interpreters or waited on channels were interrupted\n");
}

static void
watch_threads(void *arg)
{
    watch *w = arg;
    if (grace_ran_out(w)) {
        with_main_interpreter(w->state, announce);
        if (!stop_runs()) {
            with_main_interpreter(w->state, abandon);
        }
    }
    PyThread_release_lock(w->done);
}

// Calls a function of a module of ours, if that has been imported.
static void
call_if_imported(const char *module_name, const char *function)
{
    PyObject *name = PyUnicode_FromString(module_name);
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *result = module != NULL ? PyObject_CallMethod(module, function, NULL) : NULL;
    if (PyErr_Occurred()) {
        PyErr_WriteUnraisable(module);  // Ctrl-C
    }
    Py_XDECREF(result);
    Py_XDECREF(module);
    Py_XDECREF(name);
}

// From threading: the main thread is done, other threads are about to be joined. The first call counts:
// _calls.py registers it once more, so that it comes before concurrent.futures joins its threads.
static PyObject *
before_threads_are_joined(PyObject *module, PyObject *unused)
{
    module_state *state = get_state(module);
    call_if_imported("subinterpreters._workers",
                     "_at_end");  // what was submitted to pools is performed
    if (state->watch != NULL || !other_threads_left()) {
        Py_RETURN_NONE;
    }
    watch *w = calloc(1, sizeof(*w));
    if (w == NULL || (w->done = PyThread_allocate_lock()) == NULL) {
        free(w);
        return PyErr_NoMemory();
    }
    w->state = state;
    w->generation = subi_generation();
    PyThread_acquire_lock(w->done, WAIT_LOCK);
    if (PyThread_start_new_thread(watch_threads, w) == PYTHREAD_INVALID_THREAD_ID) {
        PyThread_release_lock(w->done);
        PyThread_free_lock(w->done);
        free(w);
        PyErr_SetString(PyExc_RuntimeError, "no thread could be started to watch the exit");
        return NULL;
    }
    state->watch = w;
    Py_RETURN_NONE;
}

static void
end_watch(module_state *state)
{
    watch *w = state->watch;
    state->watch = NULL;
    if (w != NULL && w->generation == subi_generation()) {
        atomic_store(&w->over, true);
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(w->done, WAIT_LOCK);
        Py_END_ALLOW_THREADS
        PyThread_release_lock(w->done);
        PyThread_free_lock(w->done);
        free(w);
    }
}

static bool
stop_runs_without_gil(void)
{
    bool stopped;
    Py_BEGIN_ALLOW_THREADS
    stopped = stop_runs();
    Py_END_ALLOW_THREADS
    return stopped;
}

// None is made in advance any more. False: the one that is being made takes too long.
static bool
stop_making(void)
{
    subi_result r;
    Py_BEGIN_ALLOW_THREADS
    r = subi_reserve_pause(subi_deadline(MAKING_ENDS));
    subi_reserve_resume();  // nobody wants one any more
    Py_END_ALLOW_THREADS
    return r == SUBI_OK;
}

// False: some could not be closed, by us or by the daemon threads that are at it.
static bool
close_all(module_state *state, int64_t owner)
{
    bool closed = subi_lifecycle_close_all(state, owner, subi_deadline(THREADS_END));
    if (owner == SUBI_NOBODY) {
        Py_BEGIN_ALLOW_THREADS
        closed = subi_quiesce(subi_deadline(THREADS_END)) == SUBI_OK && closed;
        Py_END_ALLOW_THREADS
    }
    return closed;
}

// What interpreters have logged while they were closed; see _logging.py.
static void
hand_log_records_over(void)
{
    call_if_imported("subinterpreters._logging", "stop_all");
}

// From atexit: only daemon threads of this interpreter may be alive.
static PyObject *
at_exit(PyObject *module, PyObject *unused)
{
    module_state *state = get_state(module);
    bool is_main = subi_interp_kind(state->self) == SUBI_KIND_MAIN;
    int64_t owner = is_main ? SUBI_NOBODY : state->self_id;
    if (state->ending) {
        Py_RETURN_NONE;
    }
    end_watch(state);
    if (is_main) {
        subi_refuse_runs();
        subi_reserve_set_limit(0);
    }
    bool stopped = !is_main || (stop_making() && (subi_running() == 0 || stop_runs_without_gil()));
    bool closed = stopped && close_all(state, owner);
    if (!closed && is_main) {
        closed = stopped && stop_runs_without_gil() && close_all(state, owner);
        if (!closed) {
            abandon(state);
        }
    }
    if (is_main) {
        hand_log_records_over();
        subi_lifecycle_trim_reserve(true);
        if (!subi_linger_at_exit(state->self)) {
            abandon(state);
        }
        subi_remedies_at_exit();
    }
    Py_RETURN_NONE;
}

// ---- forks --------------------------------------------------------------------------------------

// From os: whoever makes an interpreter in advance, which nobody has asked for now, is not to hold CPython's locks
// during a fork. CPython takes them after this.
static PyObject *
pause_making(PyObject *module, PyObject *unused)
{
    Py_BEGIN_ALLOW_THREADS
    subi_reserve_pause(subi_deadline(MAKING_PAUSES));
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *
resume_making(PyObject *module, PyObject *unused)
{
    subi_reserve_resume();
    Py_RETURN_NONE;
}

static int
arm_forks(module_state *state)
{
    PyObject *os = PyImport_ImportModule("os");
    PyObject *register_at_fork = os != NULL ? PyObject_GetAttrString(os, "register_at_fork") : NULL;
    PyObject *before = PyObject_GetAttrString(state->module, "_pause_making");
    PyObject *after = PyObject_GetAttrString(state->module, "_resume_making");
    PyObject *handlers = before != NULL && after != NULL
                             ? Py_BuildValue("{sOsO}", "before", before, "after_in_parent", after)
                             : NULL;
    PyObject *none = PyTuple_New(0);
    PyObject *done = register_at_fork != NULL && handlers != NULL && none != NULL
                         ? PyObject_Call(register_at_fork, none, handlers)
                         : NULL;
    Py_XDECREF(none);
    Py_XDECREF(handlers);
    Py_XDECREF(after);
    Py_XDECREF(before);
    Py_XDECREF(register_at_fork);
    Py_XDECREF(os);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

PyMethodDef subi_exit_functions[] = {
    {"_pause_making", pause_making, METH_NOARGS, NULL},
    {"_resume_making", resume_making, METH_NOARGS, NULL},
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
    if (kind == SUBI_KIND_MAIN) {
        subi_remedies_before_first();
    }
    if (register_method(state, "atexit", "register", "_at_exit") < 0 ||
        (kind == SUBI_KIND_MAIN && arm_forks(state) < 0)) {
        return -1;
    }
    state->exit_armed = true;
    if (kind == SUBI_KIND_MAIN) {
        subi_reserve_open();  // it will be emptied
    }
    if (kind == SUBI_KIND_MAIN &&
        register_method(state, "threading", "_register_atexit", "_before_threads_are_joined") < 0) {
        // too late: threading is shutting down already, or has no such function any more
        PyErr_Clear();
    }
    return 0;
}
