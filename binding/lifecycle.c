// SPDX-License-Identifier: MIT
#include "lifecycle.h"

#include <stdlib.h>

#include "blocking.h"
#include "renewal/birth.h"
#include "renewal/renew.h"
#include "thread_state.h"

// ---- ending -----------------------------------------------------------------------------------

static PyObject *
imported_threading(void)
{
    PyObject *name = PyUnicode_FromString("threading");
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    Py_XDECREF(name);
    PyErr_Clear();
    return module;
}

// The thread that imported threading counts as its main thread. On 3.12 threading._shutdown asserts
// that it is still alive if its number is that of the calling thread; but numbers are used again.
static void
forget_ended_main_thread(void)
{
#if PY_VERSION_HEX < 0x030D0000
    PyObject *threading = imported_threading();
    PyObject *main = threading != NULL ? PyObject_GetAttrString(threading, "_main_thread") : NULL;
    PyObject *lock = main != NULL ? PyObject_GetAttrString(main, "_tstate_lock") : NULL;
    PyObject *locked =
        lock != NULL && lock != Py_None ? PyObject_CallMethod(lock, "locked", NULL) : NULL;
    if (locked == Py_False) {
        PyObject_SetAttrString(main, "_ident", Py_None);
    }
    Py_XDECREF(locked);
    Py_XDECREF(lock);
    Py_XDECREF(main);
    Py_XDECREF(threading);
    PyErr_Clear();
#endif
}

void
subi_lifecycle_end(native *n)
{
    subi_thread_state_drop_others(n);
    subi_thread_state_forget(n);
    subi_birth_free(n->birth);
    n->birth = NULL;
    forget_ended_main_thread();
    if (SUBI_ALONE) {
        Py_BEGIN_ALLOW_THREADS
        subi_workshop_enter(SUBI_ALONE);
        Py_END_ALLOW_THREADS
    }
    n->backend->end(n, PyThreadState_Get());
    if (SUBI_ALONE) {
        subi_workshop_leave(SUBI_ALONE);
    }
}

void
subi_lifecycle_end_spare(native *n)
{
    if (subi_thread_state_attach(n) != NULL) {
        subi_lifecycle_end(n);
        free(n);
    }
}

// ---- closing ----------------------------------------------------------------------------------

#define JOIN_PAUSE_FIRST INT64_C(50000)      // ns
#define JOIN_SLICE       INT64_C(20000000)   // ns: the longest pause
#define QUIET_CLOSE_WAIT INT64_C(100000000)  // ns: for threads that are just ending

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

// Calls what threading._shutdown would call before it joins: the idle workers of an executor, for
// one, end only then. Each is called once.
static void
run_threading_atexit(PyObject *threading)
{
    PyObject *callbacks = PyObject_GetAttrString(threading, "_threading_atexits");
    while (callbacks != NULL && PyList_Check(callbacks) && PyList_GET_SIZE(callbacks) > 0) {
        PyObject *callback = PyObject_CallMethod(callbacks, "pop", NULL);
        PyObject *result = callback != NULL ? PyObject_CallNoArgs(callback) : NULL;
        if (result == NULL) {
            PyErr_WriteUnraisable(callback);
        }
        Py_XDECREF(callback);
        Py_XDECREF(result);
    }
    Py_XDECREF(callbacks);
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

// Whether the calling thread is one of the interpreter's own, further out: it would wait for itself.
static bool
is_one_of_its_threads(native *n)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    for (; t != NULL; t = PyThreadState_Next(t)) {
        if (t->thread_id == PyThread_get_thread_ident() && !subi_thread_state_is_kept(n, t)) {
            return true;
        }
    }
    return false;
}

// Attached to the interpreter. Waits a moment for its threads. SUBI_OK: none is left. SUBI_BUSY:
// the caller is one. SUBI_TIMEOUT: names says which are. SUBI_INTERRUPTED: look at signals, and
// call again.
static subi_result
join_threads(native *n, int64_t deadline, char *names, size_t size)
{
    if (count_other_threads(n) == 0) {
        return SUBI_OK;
    }
    if (is_one_of_its_threads(n)) {
        return SUBI_BUSY;
    }
    PyObject *threading = imported_threading();
    if (threading != NULL) {
        run_threading_atexit(threading);
    }
    subi_result r = SUBI_INTERRUPTED;
    for (int64_t pause = JOIN_PAUSE_FIRST; r == SUBI_INTERRUPTED && pause < JOIN_SLICE;) {
        let_threads_run(&pause);
        if (count_other_threads(n) == 0) {
            r = SUBI_OK;
        }
        else if (deadline <= subi_now()) {
            r = SUBI_TIMEOUT;
        }
    }
    if (r == SUBI_TIMEOUT && threading != NULL) {
        describe_threads(threading, names, size);
    }
    Py_XDECREF(threading);
    return r;
}

// What Py_EndInterpreter would do later, when it is too late for threads that they start.
static void
run_atexit_functions(void)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *result = atexit != NULL ? PyObject_CallMethod(atexit, "_run_exitfuncs", NULL) : NULL;
    if (result == NULL) {
        PyErr_WriteUnraisable(atexit);
    }
    Py_XDECREF(result);
    Py_XDECREF(atexit);
}

// Attached with no other thread left. True: as subi_renew.
static bool
renew(native *n)
{
    if (n->birth == NULL || !subi_reserve_wants_one()) {
        return false;
    }
    bool renewed = subi_renew(n);
    if (!renewed) {
        subi_reserve_attempt_failed();
    }
    return renewed;
}

// No thread state, no GIL. As join_threads, SUBI_NOMEM. SUBI_OK: the interpreter is renewed, or gone.
static subi_result
end_without_threads(native *n, int64_t deadline, char *names, size_t size, bool *renewed)
{
    *renewed = false;
    if (subi_thread_state_attach(n) == NULL) {
        return SUBI_NOMEM;
    }
    subi_result r = join_threads(n, deadline, names, size);
    if (r == SUBI_OK) {
        run_atexit_functions();
        subi_thread_state_drop_others(n);  // which runs finalizers
        r = join_threads(n, deadline, names, size);
    }
    if (r == SUBI_OK && renew(n)) {
        *renewed = true;
        return SUBI_OK;
    }
    if (r == SUBI_OK) {
        r = join_threads(n, deadline, names, size);  // those that finalizers have started
    }
    if (r == SUBI_OK) {
        subi_lifecycle_end(n);
    }
    else {
        subi_thread_state_detach();
    }
    return r;
}

// In state CLOSING. As end_without_threads, but SUBI_INTERRUPTED: a signal handler raised. With
// state NULL signals are not looked at.
static subi_result
end_or_give_up(module_state *state, native *n, int64_t deadline, char *names, size_t size,
               bool *renewed)
{
    subi_result r;
    do {
        Py_BEGIN_ALLOW_THREADS
        r = end_without_threads(n, deadline, names, size, renewed);
        Py_END_ALLOW_THREADS
    } while (r == SUBI_INTERRUPTED && (state == NULL || subi_check_signals(state) == 0));
    return r;
}

// What is left of a closed interpreter goes into the reserve, or away.
static void
settle(native *n, bool renewed)
{
    if (!renewed) {
        free(n);
    }
    else if (!subi_reserve_put(n)) {
        Py_BEGIN_ALLOW_THREADS
        subi_lifecycle_end_spare(n);
        Py_END_ALLOW_THREADS
    }
}

static subi_result
close_interp(module_state *state, subi_interp *i, int64_t deadline, char *names, size_t size)
{
    native *n = subi_interp_data(i);
    bool renewed;
    subi_result r = end_or_give_up(state, n, deadline, names, size, &renewed);
    if (r == SUBI_OK) {
        subi_interp_set_native(i, NULL, NULL);
        settle(n, renewed);
    }
    subi_interp_end_close(i, r == SUBI_OK);
    if (r == SUBI_OK) {
        subi_interp_drop(i);  // the reference of the interpreter itself
    }
    return r;
}

void
subi_lifecycle_trim_reserve(bool all)
{
    native *n;
    Py_BEGIN_ALLOW_THREADS
    while ((n = subi_reserve_take(!all)) != NULL) {
        subi_lifecycle_end_spare(n);
        subi_reserve_done();
    }
    Py_END_ALLOW_THREADS
}

subi_result
subi_lifecycle_close(module_state *state, subi_interp *i, int64_t deadline)
{
    char names[200] = "";
    subi_result r = subi_blocking_begin_close(state, i, deadline);
    if (r != SUBI_OK) {
        return r;
    }
    r = close_interp(state, i, deadline, names, sizeof(names));
    if (r == SUBI_TIMEOUT) {
        PyErr_Format(PyExc_TimeoutError, "interpreter %lld still has threads running: %s",
                     (long long)subi_interp_id(i), names[0] != 0 ? names : "not known by name");
    }
    else if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
    }
    return r;
}

// For closings that nobody asked for in so many words: does not wait for threads, which keep the
// interpreter open until the process ends, runs no signal handlers, and reports nothing.
static void
close_quietly(subi_interp *i)
{
    char names[8];
    PyObject *exc = PyErr_GetRaisedException();
    if (subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK) {
        close_interp(NULL, i, subi_now() + QUIET_CLOSE_WAIT, names, sizeof(names));
    }
    PyErr_SetRaisedException(exc);
}

bool
subi_lifecycle_is_ours(subi_interp *i)
{
    return subi_interp_kind(i) == SUBI_KIND_OWN || subi_interp_kind(i) == SUBI_KIND_SHARED;
}

void
subi_lifecycle_drop_user(subi_interp *i)
{
    if (subi_interp_drop_user(i) && subi_lifecycle_is_ours(i)) {
        close_quietly(i);
    }
    subi_interp_drop(i);
}

void
subi_lifecycle_close_orphan(subi_interp *i)
{
    if (subi_lifecycle_is_ours(i)) {
        close_quietly(i);
    }
}

bool
subi_lifecycle_close_all(module_state *state, int64_t owner, int64_t deadline)
{
    int64_t *ids;
    size_t count;
    bool all = true;
    if (subi_interp_list(&ids, &count) != SUBI_OK) {
        return false;
    }
    while (count-- > 0) {  // the newest first: it may have been made by an older one
        subi_interp *i = subi_interp_lookup(ids[count]);
        if (i == NULL) {
            continue;
        }
        if (subi_lifecycle_is_ours(i) && (owner == SUBI_NOBODY || subi_interp_owner(i) == owner)) {
            subi_result r = subi_lifecycle_close(state, i, deadline);
            PyErr_Clear();
            all = all && (r == SUBI_OK || r == SUBI_CLOSED);
        }
        subi_interp_drop(i);
    }
    free(ids);
    return all;
}
