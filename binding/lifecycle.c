// SPDX-License-Identifier: MIT
#include "lifecycle.h"

#include <stdlib.h>

#include "blocking.h"
#include "join.h"
#include "linger.h"
#include "private/start.h"
#include "renewal/birth.h"
#include "renewal/renew.h"
#include "runtime.h"
#include "thread_state.h"

// ---- ending -----------------------------------------------------------------------------------

// The thread that imported threading counts as its main thread. On 3.12 threading._shutdown asserts
// that it is still alive if its number is that of the calling thread; but numbers are used again.
static void
forget_ended_main_thread(void)
{
#if PY_VERSION_HEX < 0x030D0000
    PyObject *threading = subi_imported_threading();
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

// On 3.13 what tells threading that a thread it has not started ends, a variable of that thread, needs the
// module's names, which are gone when the interpreter is ending (python/cpython 130522). Its last thread ends now.
static void
forget_unknown_thread(void)
{
#if PY_VERSION_HEX >= 0x030D0000 && PY_VERSION_HEX < 0x030E0000
    PyObject *threading = subi_imported_threading();
    PyObject *variables =
        threading != NULL ? PyObject_GetAttrString(threading, "_thread_local_info") : NULL;
    if (variables != NULL) {
        PyObject_DelAttrString(variables, "_track_dummy_thread_ref");
    }
    Py_XDECREF(variables);
    Py_XDECREF(threading);
    PyErr_Clear();
#endif
}

// Attached with the last thread state; no thread state afterwards.
static void
end_natively(native *n)
{
    if (n->backend->kind == SUBI_KIND_PRIVATE) {
        subi_private_finish(n);
    }
    else {
        Py_EndInterpreter(PyThreadState_Get());
    }
}

void
subi_lifecycle_end(native *n)
{
    bool alone = n->backend->alone;
    subi_script_forget(&n->script);
    subi_thread_state_drop_others(n);
    subi_thread_state_forget(n);
    Py_CLEAR(n->module);
    subi_birth_free(n->birth);
    n->birth = NULL;
    forget_ended_main_thread();
    forget_unknown_thread();
    if (alone) {
        Py_BEGIN_ALLOW_THREADS
        subi_workshop_enter(true);
        Py_END_ALLOW_THREADS
    }
    end_natively(n);
    if (alone) {
        subi_workshop_leave(true);
    }
}

void
subi_lifecycle_discard(native *n)
{
    if (n->backend->discard != NULL) {
        n->backend->discard(n);
    }
    subi_message_fini(&n->inheritance);
    free(n);
}

void
subi_lifecycle_end_spare_here(native *n)
{
    if (subi_thread_state_attach(n) != NULL) {
        subi_lifecycle_end(n);
        subi_lifecycle_discard(n);
    }
}

// ---- closing ----------------------------------------------------------------------------------

#define QUIET_CLOSE_WAIT INT64_C(100000000)  // ns: for threads that are just ending

// What Py_EndInterpreter would do later, when it is too late for threads that they start. The import makes a
// thread state in the main interpreter, which is slow on the initial thread.
static void
run_atexit_functions(const native *n)
{
    if (n->birth != NULL && !subi_birth_has_atexit_functions(n->birth)) {
        return;
    }
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *result = atexit != NULL ? PyObject_CallMethod(atexit, "_run_exitfuncs", NULL) : NULL;
    if (result == NULL) {
        PyErr_WriteUnraisable(atexit);
    }
    Py_XDECREF(result);
    Py_XDECREF(atexit);
}

// What finalization would begin with.
static void
flush_streams(void)
{
    static const char *const names[] = {"stdout", "stderr"};
    PyObject *exc = PyErr_GetRaisedException();
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *stream = PySys_GetObject(names[i]);  // borrowed
        PyObject *done =
            stream != NULL && stream != Py_None ? PyObject_CallMethod(stream, "flush", NULL) : NULL;
        Py_XDECREF(done);
        PyErr_Clear();
    }
    PyErr_SetRaisedException(exc);
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

subi_result
subi_lifecycle_end_here(native *n, int64_t deadline, char *names, size_t size, ending *how)
{
    *how = LINGERS;
    if (subi_thread_state_attach(n) == NULL) {
        return SUBI_NOMEM;
    }
    subi_script_forget(&n->script);
    subi_result r = subi_join_threads(n, deadline, names, size);
    if (r == SUBI_OK) {
        run_atexit_functions(n);
        subi_thread_state_drop_others(n);  // which runs finalizers
        r = subi_join_threads(n, deadline, names, size);
    }
    if (r == SUBI_OK && !subi_linger_needed(n, false) && renew(n)) {
        *how = RENEWED;
        return SUBI_OK;
    }
    if (r == SUBI_OK) {
        r = subi_join_threads(n, deadline, names, size);  // those that finalizers have started
    }
    if (r == SUBI_OK && !subi_linger_needed(n, true)) {
        subi_lifecycle_end(n);
        *how = ENDED;
    }
    else {
        if (r == SUBI_OK) {
            flush_streams();  // the process may end before the interpreter does
        }
        subi_thread_state_detach();
    }
    return r;
}

// In state CLOSING. As subi_lifecycle_end_here, but SUBI_INTERRUPTED: a signal handler raised. With
// state NULL signals are not looked at.
static subi_result
end_or_give_up(module_state *state, native *n, int64_t deadline, char *names, size_t size,
               ending *how)
{
    subi_result r;
    do {
        Py_BEGIN_ALLOW_THREADS
        r = n->runtime->end(n, deadline, names, size, how);
        Py_END_ALLOW_THREADS
    } while (r == SUBI_INTERRUPTED && (state == NULL || subi_check_signals(state) == 0));
    return r;
}

// What is left of a closed interpreter goes into the reserve, or away.
static void
settle(native *n, ending how)
{
    if (how == RENEWED && subi_reserve_put(n, n->make)) {
        return;
    }
    Py_BEGIN_ALLOW_THREADS
    if (how == RENEWED) {
        n->runtime->end_spare(n);
    }
    else {
        subi_lifecycle_discard(n);
    }
    Py_END_ALLOW_THREADS
}

static subi_result
close_interp(module_state *state, subi_interp *i, int64_t deadline, char *names, size_t size)
{
    native *n = subi_interp_data(i);
    ending how;
    subi_result r;
    do {
        r = end_or_give_up(state, n, deadline, names, size, &how);
    } while (r == SUBI_OK && how == LINGERS && subi_exports_count(i) == 0);  // nothing is left
    if (r == SUBI_OK) {
        subi_notifiers_close(subi_interp_id(i));
    }
    if (r == SUBI_OK && how == LINGERS) {
        subi_linger(i, n);
        return r;
    }
    if (r == SUBI_OK) {
        subi_interp_set_native(i, NULL, NULL);
        settle(n, how);
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
    while ((n = subi_reserve_take_excess(all)) != NULL) {
        n->runtime->end_spare(n);
        subi_reserve_done();
    }
    Py_END_ALLOW_THREADS
}

subi_result
subi_lifecycle_close(module_state *state, subi_interp *i, int64_t run_deadline, int64_t deadline)
{
    char names[200] = "";
    subi_result r = subi_blocking_begin_close(state, i, run_deadline);
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
    subi_result r = subi_interp_begin_close(i, SUBI_TRY);
    if (r == SUBI_BUSY) {  // the core's reaper has it for a moment, or somebody runs it again
        Py_BEGIN_ALLOW_THREADS
        r = subi_interp_begin_close(i, subi_now() + QUIET_CLOSE_WAIT);
        Py_END_ALLOW_THREADS
    }
    if (r == SUBI_OK) {
        close_interp(NULL, i, subi_now() + QUIET_CLOSE_WAIT, names, sizeof(names));
    }
    PyErr_SetRaisedException(exc);
}

bool
subi_lifecycle_is_ours(subi_interp *i)
{
    subi_kind kind = subi_interp_kind(i);
    return kind == SUBI_KIND_OWN || kind == SUBI_KIND_SHARED || kind == SUBI_KIND_PRIVATE;
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
            subi_result r = subi_lifecycle_close(state, i, deadline, deadline);
            PyErr_Clear();
            all = all && (r == SUBI_OK || r == SUBI_CLOSED);
        }
        subi_interp_drop(i);
    }
    free(ids);
    return all;
}
