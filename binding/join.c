// SPDX-License-Identifier: MIT
#include "join.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "thread_state.h"

PyObject *
subi_imported_threading(void)
{
    PyObject *name = PyUnicode_FromString("threading");
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    Py_XDECREF(name);
    PyErr_Clear();
    return module;
}

#define JOIN_PAUSE_FIRST INT64_C(50000)      // ns
#define JOIN_SLICE       INT64_C(20000000)   // ns: the longest pause
#define DAEMON_WAIT      INT64_C(100000000)  // ns: for daemon threads to react

// How many threads are in the interpreter besides ours. Attached to it, so none comes or goes.
static int
count_other_threads(native *n)
{
    int count = 0;
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    for (; t != NULL; t = PyThreadState_Next(t)) {
        count++;
    }
    return count - subi_thread_state_count(n);
}

static PyObject *
call_all(PyObject *callbacks, PyObject *unused)
{
    while (PyList_GET_SIZE(callbacks) > 0) {
        PyObject *callback = PyObject_CallMethod(callbacks, "pop", NULL);
        PyObject *result = callback != NULL ? PyObject_CallNoArgs(callback) : NULL;
        if (result == NULL) {
            PyErr_WriteUnraisable(callback);
        }
        Py_XDECREF(callback);
        Py_XDECREF(result);
    }
    Py_RETURN_NONE;
}

// A thread that calls them, as one of the interpreter's. NULL: it could not be started.
static PyObject *
start_calling(PyObject *threading, PyObject *callbacks)
{
    static PyMethodDef def = {"call_all", call_all, METH_NOARGS, NULL};
    PyObject *type = PyObject_GetAttrString(threading, "Thread");
    PyObject *target = PyCFunction_New(&def, callbacks);
    PyObject *args = PyTuple_New(0), *started = NULL;
    PyObject *kwds = target != NULL ? Py_BuildValue("{sOsssO}", "target", target, "name",
                                                    "atexit of threading", "daemon", Py_False)
                                    : NULL;
    PyObject *thread =
        type != NULL && args != NULL && kwds != NULL ? PyObject_Call(type, args, kwds) : NULL;
    if (thread != NULL) {
        started = PyObject_CallMethod(thread, "start", NULL);
    }
    Py_XDECREF(thread);
    Py_XDECREF(kwds);
    Py_XDECREF(args);
    Py_XDECREF(target);
    Py_XDECREF(type);
    return started;
}

// Has done what threading._shutdown would do before it joins: the idle workers of an executor, for one,
// end only then. Such functions may wait for ever for those that are not idle, so they are called on a thread,
// which is waited for like any other. Each is called once.
static void
run_threading_atexit(PyObject *threading)
{
    PyObject *known = PyObject_GetAttrString(threading, "_threading_atexits");
    Py_ssize_t count = known != NULL && PyList_Check(known) ? PyList_GET_SIZE(known) : 0;
    PyObject *callbacks = count > 0 ? PyList_GetSlice(known, 0, count) : NULL;
    if (callbacks != NULL && PyList_SetSlice(known, 0, count, NULL) == 0) {
        PyObject *started = start_calling(threading, callbacks);
        if (started == NULL) {
            PyErr_Clear();
            started = call_all(callbacks, NULL);
        }
        Py_XDECREF(started);
    }
    Py_XDECREF(callbacks);
    Py_XDECREF(known);
    PyErr_Clear();
}

// The names of the threads that threading knows, joined with ", ", as UTF-8 in out.
static void
describe_threads(PyObject *threading, char *out, size_t size)
{
    PyObject *threads = PyObject_CallMethod(threading, "enumerate", NULL);
    PyObject *current = PyObject_CallMethod(threading, "current_thread", NULL);
    out[0] = 0;
    for (Py_ssize_t i = 0; threads != NULL && PyList_Check(threads) && i < PyList_GET_SIZE(threads);
         i++) {
        PyObject *thread = PyList_GET_ITEM(threads, i);
        const char *type = Py_TYPE(thread)->tp_name;
        PyObject *name = PyObject_GetAttrString(thread, "name");
        const char *text = name != NULL && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : NULL;
        if (thread != current && text != NULL && strcmp(type, "_MainThread") != 0 &&
            strcmp(type, "_DummyThread") != 0) {
            size_t used = strlen(out);
            PyOS_snprintf(out + used, size - used, "%s%s", used > 0 ? ", " : "", text);
        }
        Py_XDECREF(name);
        PyErr_Clear();
    }
    Py_XDECREF(threads);
    Py_XDECREF(current);
    PyErr_Clear();
}

// Sleeps for a moment with the interpreter's GIL released. There is nothing to wait on that all
// kinds of threads would signal, and a thread that is left at the end is the exception.
static void
let_threads_run(int64_t *pause)
{
    size_t chosen;
    Py_BEGIN_ALLOW_THREADS
    subi_select(NULL, 0, SUBI_NOBODY, subi_now() + *pause, &chosen);
    Py_END_ALLOW_THREADS
    *pause = *pause * 2 < JOIN_SLICE ? *pause * 2 : JOIN_SLICE;
}

// On 3.11 a thread that has not begun yet has the number of the one that starts it.
static bool
has_begun(const PyThreadState *t)
{
    return PY_VERSION_HEX >= 0x030C0000 || t->gilstate_counter > 0;
}

// Whether the thread of t has ended and left t behind. Only foreign threads do, in private
// interpreters: cffi keeps the thread state that a thread of C got for its first callback.
static bool
is_left_behind(native *n, const PyThreadState *t)
{
    return n->backend->kind == SUBI_KIND_PRIVATE && has_begun(t) && t->native_thread_id != 0 &&
           !subi_thread_state_is_kept(n, t) &&
           tgkill(getpid(), (pid_t)t->native_thread_id, 0) < 0 && errno == ESRCH;
}

// Attached. Freeing one runs finalizers, so the list is looked through from its beginning again.
static void
drop_left_behind(native *n)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    while (t != NULL) {
        if (!is_left_behind(n, t)) {
            t = PyThreadState_Next(t);
            continue;
        }
        subi_thread_state_free(t);
        t = PyInterpreterState_ThreadHead(n->interp);
    }
}

// Whether the calling thread is one of the interpreter's own, further out: it would wait for itself.
static bool
is_one_of_its_threads(native *n)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    for (; t != NULL; t = PyThreadState_Next(t)) {
        if (t->thread_id == PyThread_get_thread_ident() && has_begun(t) &&
            !subi_thread_state_is_kept(n, t)) {
            return true;
        }
    }
    return false;
}

// Whether threading knows t's thread as a daemon, which nobody waits for. Only private interpreters
// can have such; in the others, one that is left would be the end of the process.
static bool
is_daemon(PyObject *active, const PyThreadState *t)
{
    PyObject *ident = PyLong_FromUnsignedLong(t->thread_id);
    PyObject *thread = ident != NULL ? PyDict_GetItemWithError(active, ident) : NULL;  // borrowed
    PyObject *daemon = thread != NULL ? PyObject_GetAttrString(thread, "daemon") : NULL;
    bool answer = daemon == Py_True && strcmp(Py_TYPE(thread)->tp_name, "_DummyThread") != 0;
    Py_XDECREF(daemon);
    Py_XDECREF(ident);
    PyErr_Clear();
    return answer;
}

// Attached. How many of the other threads are daemons; they get SystemExit with `stop`.
static int
count_daemons(native *n, PyObject *threading, bool stop)
{
    int count = 0;
    PyObject *active = threading != NULL ? PyObject_GetAttrString(threading, "_active") : NULL;
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    for (; active != NULL && PyDict_Check(active) && t != NULL; t = PyThreadState_Next(t)) {
        if (!subi_thread_state_is_kept(n, t) && is_daemon(active, t)) {
            count++;
            if (stop) {
                PyThreadState_SetAsyncExc(t->thread_id, PyExc_SystemExit);
            }
        }
    }
    Py_XDECREF(active);
    PyErr_Clear();
    return count;
}

// Attached, with no other threads than daemons: they get a moment to end. Those that do not are left
// to CPython, which stops them when they want its GIL again.
static void
stop_daemons(native *n, PyObject *threading)
{
    int64_t end = subi_now() + DAEMON_WAIT, pause = JOIN_PAUSE_FIRST;
    count_daemons(n, threading, true);
    while (count_other_threads(n) > 0 && subi_now() < end) {
        let_threads_run(&pause);
    }
}

// Whether no thread is left to wait for.
static bool
is_joined(native *n, PyObject *threading)
{
    drop_left_behind(n);
    int left = count_other_threads(n);
    return left == 0 ||
           (n->backend->kind == SUBI_KIND_PRIVATE && left == count_daemons(n, threading, false));
}

subi_result
subi_join_threads(native *n, int64_t deadline, char *names, size_t size)
{
    drop_left_behind(n);
    if (count_other_threads(n) == 0) {
        return SUBI_OK;
    }
    if (is_one_of_its_threads(n)) {
        return SUBI_BUSY;
    }
    PyObject *threading = subi_imported_threading();
    if (threading != NULL) {
        run_threading_atexit(threading);
    }
    subi_result r = is_joined(n, threading) ? SUBI_OK : SUBI_INTERRUPTED;
    for (int64_t pause = JOIN_PAUSE_FIRST; r == SUBI_INTERRUPTED && pause < JOIN_SLICE;) {
        let_threads_run(&pause);
        if (is_joined(n, threading)) {
            r = SUBI_OK;
        }
        else if (deadline <= subi_now()) {
            r = SUBI_TIMEOUT;
        }
    }
    if (r == SUBI_TIMEOUT && threading != NULL) {
        describe_threads(threading, names, size);
    }
    if (r == SUBI_OK) {
        stop_daemons(n, threading);
    }
    Py_XDECREF(threading);
    return r;
}
