// SPDX-License-Identifier: MIT
#include "lifecycle.h"

#include <stdlib.h>

#include "birth.h"
#include "blocking.h"
#include "codec.h"
#include "exit.h"
#include "renew.h"
#include "thread_state.h"

// ---- creation ---------------------------------------------------------------------------------

// The str entries of the caller's sys.path. -1 with an exception set.
static int
pack_sys_path(module_state *state, subi_message *m)
{
    PyObject *path = PySys_GetObject("path");  // borrowed
    PyObject *kept = PyList_New(0);
    if (kept == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; path != NULL && PyList_Check(path) && i < PyList_GET_SIZE(path); i++) {
        PyObject *entry = PyList_GET_ITEM(path, i);
        if (PyUnicode_CheckExact(entry) && PyList_Append(kept, entry) < 0) {
            Py_DECREF(kept);
            return -1;
        }
    }
    PyObject *tuple = PyList_AsTuple(kept);
    Py_DECREF(kept);
    int r = tuple != NULL ? subi_encode(state, tuple, m) : -1;
    Py_XDECREF(tuple);
    return r;
}

static int
inherit_sys_path(const subi_message *m)
{
    PyObject *path = NULL;
    PyObject *entries = subi_decode(NULL, m);  // str needs no state
    if (entries != NULL) {
        path = PySequence_List(entries);
    }
    int r = path != NULL ? PySys_SetObject("path", path) : -1;
    Py_XDECREF(path);
    Py_XDECREF(entries);
    return r;
}

// Python 3.12 has a built-in module of that name, which the import system would find before ours.
static int
install_legacy_module(void)
{
#if PY_VERSION_HEX < 0x030D0000
    PyObject *package = PyImport_ImportModule("subinterpreters");
    PyObject *done = NULL;
    if (package != NULL) {
        done = PyObject_CallMethod(package, "_install_xxsubinterpreters", NULL);
    }
    Py_XDECREF(package);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
#else
    return 0;
#endif
}

// Attached to the new interpreter.
static int
set_up(const subi_message *sys_path)
{
    if (inherit_sys_path(sys_path) < 0 || install_legacy_module() < 0) {
        PyErr_Clear();
        return -1;
    }
    return 0;
}

// CPython before 3.14 has races in making and ending interpreters at the same time (static types,
// interned strings, _datetime: python/cpython 112140, 105699, 136421): there it is one at a time.
// From then on it is as many as there are processors: more would take no less time, and all of
// them would hold memory meanwhile.
#define ALONE (PY_VERSION_HEX < 0x030E0000)

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

// Attached with no other thread left; no thread state afterwards.
static void
end(native *n)
{
    subi_thread_state_drop_others(n);
    subi_thread_state_forget(n);
    subi_birth_free(n->birth);
    n->birth = NULL;
    forget_ended_main_thread();
    if (ALONE) {
        Py_BEGIN_ALLOW_THREADS
        subi_workshop_enter(ALONE);
        Py_END_ALLOW_THREADS
    }
    n->backend->end(n, PyThreadState_Get());
    if (ALONE) {
        subi_workshop_leave(ALONE);
    }
}

// One interpreter in the making.
typedef struct creation {
    subi_interp *record;
    const backend *backend;
    native *n;  // when it has been made
    subi_message sys_path;
    const char *error;        // a static string, when result is -1
    int result;               // 0, or -1
    PyThread_type_lock done;  // released by the other thread; NULL when there is none
} creation;

// Ends one that is in nobody's hands. No thread state, before and after. Out of memory: it stays.
static void
end_spare(native *n)
{
    if (subi_thread_state_attach(n) != NULL) {
        end(n);
        free(n);
    }
}

// One from the reserve, to which the caller is then attached, or NULL. No thread state, no GIL.
static native *
take_spare(const backend *b)
{
    native *n;
    while (b->renewable && (n = subi_reserve_take(false)) != NULL) {
        bool ready = subi_birth_fits_process(n->birth) && subi_thread_state_attach(n) != NULL;
        if (ready && subi_birth_install_main(n->birth) == 0) {
            subi_reserve_done();
            return n;
        }
        if (ready) {
            subi_thread_state_detach();
        }
        end_spare(n);
        subi_reserve_done();
    }
    return NULL;
}

// As take_spare; on failure *error is set.
static native *
make_new(const backend *b, const char **error)
{
    native *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        *error = "out of memory";
        return NULL;
    }
    n->backend = b;
    if (b->create(n, error) < 0) {
        free(n);
        return NULL;
    }
    subi_thread_state_attach(n);  // the thread state is there: cannot fail
    if (b->renewable && subi_reserve_limit() > 0) {
        n->birth = subi_birth_new();
    }
    return n;
}

// Attached to c->n; no thread state afterwards. Code that runs in it from now on may import us.
static void
finish(creation *c)
{
    native *n = c->n;
    subi_interp_set_native(c->record, n->interp, n);
    if (set_up(&c->sys_path) == 0) {
        subi_thread_state_detach();
        c->result = 0;
        return;
    }
    c->error = "its sys.path or _xxsubinterpreters could not be set";
    end(n);
    subi_interp_set_native(c->record, NULL, NULL);
    free(n);
}

// No thread state, no GIL, before and after; so are those that follow.
static void
make_and_finish(creation *c)
{
    if (ALONE) {
        subi_workshop_enter(true);
    }
    c->n = make_new(c->backend, &c->error);
    if (ALONE) {
        subi_workshop_leave(true);
    }
    if (c->n != NULL) {
        finish(c);
    }
}

static void
make_on_this_thread_and_leave(void *arg)
{
    creation *c = arg;
    make_and_finish(c);
    if (c->result == 0) {
        subi_thread_state_drop_mine(c->n);
    }
    PyThread_release_lock(c->done);  // c may be gone now
}

// From 3.14 on a new thread state asks for the bounds of the thread's stack, which on the initial
// thread takes glibc 200 us and more, and CPython makes a dozen of them while it makes an
// interpreter. A thread of its own costs less than one of them.
static bool
make_on_another_thread(creation *c)
{
    if (PY_VERSION_HEX < 0x030E0000 || !subi_thread_is_initial()) {
        return false;
    }
    c->done = PyThread_allocate_lock();
    if (c->done == NULL) {
        return false;
    }
    PyThread_acquire_lock(c->done, WAIT_LOCK);
    bool started =
        PyThread_start_new_thread(make_on_this_thread_and_leave, c) != PYTHREAD_INVALID_THREAD_ID;
    if (started) {
        PyThread_acquire_lock(c->done, WAIT_LOCK);
    }
    PyThread_release_lock(c->done);
    PyThread_free_lock(c->done);
    return started;
}

// Whoever waits for a place may find that another interpreter has been closed meanwhile.
static void
take_or_make(creation *c)
{
    subi_workshop_enter(false);
    c->n = take_spare(c->backend);
    if (c->n != NULL) {
        finish(c);
    }
    else if (!make_on_another_thread(c)) {
        make_and_finish(c);
    }
    if (c->result == 0) {
        subi_interp_stay(c->record);
    }
    subi_workshop_leave(false);
}

// -1 with an exception set.
static int
make_native(module_state *state, const backend *b, subi_interp *record)
{
    creation c = {.record = record, .backend = b, .result = -1};
    if (pack_sys_path(state, &c.sys_path) < 0) {
        return -1;
    }
    Py_BEGIN_ALLOW_THREADS
    take_or_make(&c);
    Py_END_ALLOW_THREADS
    subi_message_fini(&c.sys_path);
    if (c.result < 0) {
        PyErr_Format(state->InterpreterError, "the interpreter could not be made: %s", c.error);
    }
    return c.result;
}

static void
take_back(subi_interp *i)
{
    subi_interp_begin_close(i, SUBI_TRY);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
raise_not_made(module_state *state, subi_result r)
{
    if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
    }
    else {
        PyErr_SetString(state->InterpreterError,
                        "the interpreter could not be made: the process is ending");
    }
}

subi_interp *
subi_lifecycle_create(module_state *state, const backend *b, const char *name)
{
    subi_interp *i;
    if (subi_exit_arm(state) < 0) {
        return NULL;
    }
    subi_result r = subi_interp_new(b->kind, name, state->self_id, &i);
    if (r != SUBI_OK) {
        raise_not_made(state, r);
        return NULL;
    }
    subi_interp_hold_user(
        i);  // the caller's: others may list the interpreter as soon as it is idle
    if (make_native(state, b, i) < 0) {
        subi_interp_leave(i);
        take_back(i);
        return NULL;
    }
    subi_interp_hold(i);  // the interpreter's own, until it is closed
    subi_interp_leave(i);
    return i;
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
        end(n);
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
        end_spare(n);
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
        end_spare(n);
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
