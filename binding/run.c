// SPDX-License-Identifier: MIT
#include "run.h"

#include <signal.h>

#include "blocking.h"
#include "codec/codec.h"
#include "codec/function.h"
#include "interrupt.h"
#include "interrupted_imports.h"
#include "lifecycle.h"
#include "output.h"
#include "pool/worker.h"
#include "private/start.h"
#include "runtime.h"
#include "thread_state.h"

// ---- in the other interpreter -----------------------------------------------------------------

static PyObject *
main_namespace(void)
{
    PyObject *main = PyImport_AddModule("__main__");  // borrowed
    return main != NULL ? PyModule_GetDict(main) : NULL;
}

static bool
needs_state(const subi_message *m)
{
    return m->tag == SUBI_TAG_BLOCK && subi_block_segment_count(m->u.block) > 0;
}

static int
bind_shared(PyObject *ns, const subi_message *shared)
{
    module_state *state = NULL;
    if (needs_state(shared) && (state = subi_state_here()) == NULL) {
        return -1;
    }
    PyObject *items = subi_decode(state, shared);
    if (items == NULL) {
        return -1;
    }
    int r = 0;
    for (Py_ssize_t i = 0; i + 1 < PyTuple_GET_SIZE(items) && r == 0; i += 2) {
        r = PyDict_SetItem(ns, PyTuple_GET_ITEM(items, i), PyTuple_GET_ITEM(items, i + 1));
    }
    Py_DECREF(items);
    return r;
}

static int
run_script(native *n, PyObject *ns, const char *script)
{
    // not by PyRun_String, after whose KeyboardInterrupt the process would end as if killed by SIGINT
    PyObject *code = subi_script_compile(&n->script, script);
    PyObject *result = code != NULL ? PyEval_EvalCode(code, ns, ns) : NULL;
    Py_XDECREF(code);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

static int
run_code(PyObject *ns, const subi_message *code)
{
    PyObject *description = subi_decode(NULL, code);  // plain values need no state
    PyObject *made = description != NULL ? subi_function_make(description) : NULL;
    PyObject *result = NULL;
    if (made != NULL) {
        result = PyCode_Check(made) ? PyEval_EvalCode(made, ns, ns) : PyObject_CallNoArgs(made);
    }
    Py_XDECREF(result);
    Py_XDECREF(made);
    Py_XDECREF(description);
    return result != NULL ? 0 : -1;
}

// Builtins that look at their caller's variables: nobody calls them here, so that is __main__. True:
// callable is one, and *result what it returns, or NULL with an exception.
static bool
call_in_main(PyObject *ns, PyObject *callable, PyObject *args, PyObject **result)
{
    PyObject *builtins = PyEval_GetBuiltins();  // borrowed
    static const char *const names[] = {"eval", "exec", "dir", "globals", "locals", "vars"};
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    size_t k = 0;
    while (k < Py_ARRAY_LENGTH(names) && callable != PyDict_GetItemString(builtins, names[k])) {
        k++;
    }
    if (k == Py_ARRAY_LENGTH(names) || given != (k < 2)) {
        return false;
    }
    if (k < 2) {
        *result = PyObject_CallFunctionObjArgs(callable, PyTuple_GET_ITEM(args, 0), ns, NULL);
    }
    else if (k == 2) {
        *result = PyDict_Keys(ns);
        if (*result != NULL && PyList_Sort(*result) < 0) {
            Py_CLEAR(*result);
        }
    }
    else {
        *result = Py_NewRef(ns);
    }
    return true;
}

PyObject *
subi_run_call(PyObject *callable, PyObject *args, PyObject *named)
{
    PyObject *ns, *result;
    if (PyCFunction_Check(callable) && (named == NULL || PyDict_GET_SIZE(named) == 0) &&
        (ns = main_namespace()) != NULL && call_in_main(ns, callable, args, &result)) {
        return result;
    }
    return PyErr_Occurred() ? NULL : PyObject_Call(callable, args, named);
}

// The result of what is called may be too much for a message.
static int
call(run *r)
{
    module_state *state = subi_state_here();
    PyObject *parts = state != NULL ? subi_decode(state, r->call) : NULL;
    if (parts == NULL) {
        return -1;
    }
    PyObject *result = subi_run_call(PyTuple_GET_ITEM(parts, 0), PyTuple_GET_ITEM(parts, 1),
                                     PyTuple_GET_ITEM(parts, 2));
    Py_DECREF(parts);
    int sent = result != NULL ? subi_encode(state, result, &r->result) : -1;
    Py_XDECREF(result);
    return sent;
}

static int
run_all(native *n, run *r)
{
    PyObject *ns = main_namespace();
    if (ns == NULL || (r->shared != NULL && bind_shared(ns, r->shared) < 0) ||
        (r->script != NULL && run_script(n, ns, r->script) < 0) ||
        (r->code != NULL && run_code(ns, r->code) < 0)) {
        return -1;
    }
    if (r->worker != NULL) {
        return subi_worker_serve(n, r->worker);
    }
    return r->call != NULL ? call(r) : 0;
}

// Who interrupts a run does so again when it does not end, and that would hit the imports and other code that it
// takes to say how it has ended. But that code may not end, either.
#define UNDISTURBED INT64_C(500000000)  // ns

void
subi_run_capture(native *n, subi_failure *f, failure_parts parts)
{
    if (n->interrupted && !n->exiting) {
        n->undisturbed = subi_now() + UNDISTURBED;
        subi_interrupt_drop();
    }
    subi_failure_capture(f, parts);
    n->undisturbed = 0;
}

static void
perform(native *n, run *r)
{
    r->outcome = run_all(n, r) == 0 ? RUN_SUCCEEDED : RUN_RAISED;
    if (r->outcome == RUN_RAISED) {
        subi_run_capture(n, &r->failure, r->wanted);
    }
}

// C recursion shares one stack, so the other interpreter gets only what is left of the caller's
// limit. From 3.14 on CPython looks at the stack itself.
#ifdef SUBI_C_RECURSION_LEFT
static int
calls_to_take_away(PyThreadState *outer, PyThreadState *tstate)
{
    int calls = SUBI_C_RECURSION_LEFT(tstate) - SUBI_C_RECURSION_LEFT(outer);
#if PY_VERSION_HEX < 0x030C0000  // sys.setrecursionlimit() counts: the two may have other limits
    int depth = outer->recursion_limit - outer->recursion_remaining;
    calls = calls < depth ? calls : depth;
#endif
    return calls > 0 ? calls : 0;
}
#endif

static void
perform_within_limit(native *n, run *r, PyThreadState *tstate)
{
#ifdef SUBI_C_RECURSION_LEFT
    int calls = calls_to_take_away(n->outer, tstate);
    SUBI_C_RECURSION_LEFT(tstate) -= calls;
    perform(n, r);
    SUBI_C_RECURSION_LEFT(tstate) += calls;  // the code may have set another limit meanwhile
#else
    (void)tstate;
    perform(n, r);
#endif
}

// What a run leaves, on its thread.
static void
clean_up(subi_interp *i, native *n)
{
    subi_exports_drain(i);
    subi_interrupt_drop();
    if (n->interrupted) {
        subi_interrupted_imports_unlock();
    }
}

uint64_t
subi_run_next(native *n)
{
    return atomic_load(&n->runs) + 1;
}

void
subi_run_task(subi_interp *i, void (*act)(void *arg), void *arg)
{
    native *n = subi_interp_data(i);
    PyThreadState *tstate = n->current;
    n->interrupted = false;
    atomic_fetch_add(&n->runs, 1);
    act(arg);
    n->current = NULL;  // nobody interrupts it any more
    clean_up(i, n);
    atomic_fetch_add(&n->runs, 1);  // nor what comes between it and the next
    n->current = tstate;
}

void
subi_run_here(subi_interp *i, run *r)
{
    native *n = subi_interp_data(i);
    PyThreadState *tstate = subi_thread_state_attach(n);
    if (tstate == NULL) {
        r->outcome = RUN_RAISED;  // and the failure is that there is no memory
        return;
    }
    subi_private_refresh();
    n->runner = subi_thread_self();
    n->interrupted = n->exiting = false;
    atomic_fetch_add(&n->runs, 1);
    n->current = tstate;
    if (n->output != 0) {
        subi_output_begin(n->output);
    }
    subi_usage_begin(i);
    perform_within_limit(n, r, tstate);
    subi_usage_end(i);
    if (n->output != 0) {
        subi_output_end(n->output);
    }
    n->current = NULL;  // nobody interrupts it any more
    clean_up(i, n);
    subi_thread_state_detach();
}

// ---- from the caller's side -------------------------------------------------------------------

// Whether SIGINT raises KeyboardInterrupt, which is what a run is to be interrupted with.
static bool
sigint_raises(module_state *state)
{
    if (state->getsignal == NULL) {
        PyObject *module = PyImport_ImportModule("_signal");
        state->getsignal = module != NULL ? PyObject_GetAttrString(module, "getsignal") : NULL;
        state->default_int_handler =
            module != NULL ? PyObject_GetAttrString(module, "default_int_handler") : NULL;
        Py_XDECREF(module);
    }
    PyObject *number = PyLong_FromLong(SIGINT);
    PyObject *handler = number != NULL && state->getsignal != NULL
                            ? PyObject_CallOneArg(state->getsignal, number)
                            : NULL;
    bool raises = handler != NULL && handler == state->default_int_handler;
    Py_XDECREF(handler);
    Py_XDECREF(number);
    PyErr_Clear();
    return raises;
}

// Whether this is a run that Ctrl-C has to interrupt: f is then to be left at its end.
static bool
enter_foreground(module_state *state, subi_interp *i, subi_foreground *f)
{
    if (!subi_thread_is_initial()) {
        return false;
    }
    native *n = subi_interp_data(i);
    uint64_t number = atomic_load(&n->runs) + 1;
    if (subi_interp_kind(state->self) == SUBI_KIND_MAIN) {
        return sigint_raises(state) &&
               subi_foreground_enter(f, i, number, subi_interrupt_foreground);
    }
    return subi_foreground_is_busy() && subi_foreground_enter(f, i, number, NULL);
}

// After a run that failed, on the initial thread: it may be SIGINT that has interrupted it.
static void
keep_signal(native *n, const run *r)
{
    if (r->outcome == RUN_RAISED && n->signal == NULL && PyErr_CheckSignals() < 0) {
        n->signal = PyErr_GetRaisedException();
    }
}

// An exception that a signal handler raised meanwhile wins over how the run ended, and so does the
// end of the process, which interrupted it.
static void
raise_kept_signal(native *n, run *r)
{
    PyObject *signal = n->signal;
    n->signal = NULL;
    if (signal == NULL && r->outcome == RUN_RAISED && subi_is_shut_down()) {
        signal = PyObject_CallNoArgs(PyExc_SystemExit);
        PyErr_Clear();
    }
    if (signal != NULL) {
        subi_run_fini(r);
        r->outcome = RUN_SIGNALLED;
        PyErr_SetRaisedException(signal);
    }
}

// For the thread that has entered the interpreter: no other run gets that number.
static bool
may_begin(native *n, const run *r)
{
    if (r->begin == NULL) {
        return true;
    }
    PyObject *number = PyLong_FromUnsignedLongLong(atomic_load(&n->runs) + 1);
    PyObject *done = number != NULL ? PyObject_CallOneArg(r->begin, number) : NULL;
    Py_XDECREF(number);
    Py_XDECREF(done);
    return done != NULL;
}

static void
leave(subi_interp *i)
{
    if (subi_interp_leave(i)) {
        subi_lifecycle_close_orphan(i);
    }
}

subi_result
subi_run(module_state *state, subi_interp *i, run *r)
{
    subi_result entered = subi_blocking_enter(state, i, r->deadline);
    if (entered != SUBI_OK) {
        return entered;
    }
    native *n = subi_interp_data(i);
    if (!may_begin(n, r)) {
        leave(i);
        return SUBI_INTERRUPTED;
    }
    subi_foreground f;
    bool foreground = enter_foreground(state, i, &f);
    if (foreground && PyErr_CheckSignals() < 0) {  // for one that came before, nobody interrupts it
        subi_foreground_leave(&f);
        leave(i);
        return SUBI_INTERRUPTED;
    }
    n->output = subi_output_replaced();
    PyThreadState *outer = PyEval_SaveThread();
    r->failure = (subi_failure){.text = subi_message_none()};
    r->result = subi_message_none();
    n->outer = outer;
    n->outer_runtime = &subi_runtime;
    n->runtime->perform(i, r);
    n->outer = NULL;
    if (foreground) {
        subi_foreground_leave(&f);
    }
    PyEval_RestoreThread(outer);
    if (foreground) {
        keep_signal(n, r);
    }
    raise_kept_signal(n, r);
    leave(i);
    return SUBI_OK;
}

void
subi_run_fini(run *r)
{
    if (r->outcome == RUN_RAISED) {
        subi_failure_fini(&r->failure);
    }
    subi_message_fini(&r->result);
}

int
subi_run_pack(module_state *state, PyObject *dict, int (*check)(module_state *, PyObject *),
              subi_message *m)
{
    // The dict's own values may run code when they are checked, and so may the collector when the tuple
    // is made: take them all first, from a dict that nobody else has.
    PyObject *copy = PyDict_Copy(dict);
    PyObject *items = copy != NULL ? PyTuple_New(2 * PyDict_GET_SIZE(copy)) : NULL;
    if (items == NULL) {
        Py_XDECREF(copy);
        return -1;
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0, k = 0;
    while (PyDict_Next(copy, &pos, &key, &value)) {
        PyTuple_SET_ITEM(items, k++, Py_NewRef(key));
        PyTuple_SET_ITEM(items, k++, Py_NewRef(value));
    }
    Py_DECREF(copy);
    int r = 0;
    for (k = 0; k < PyTuple_GET_SIZE(items) && r == 0; k += 2) {
        key = PyTuple_GET_ITEM(items, k);
        if (!PyUnicode_CheckExact(key)) {
            PyErr_Format(PyExc_TypeError, "names to bind must be str, got %.100s",
                         Py_TYPE(key)->tp_name);
            r = -1;
        }
        else if (check != NULL) {
            r = check(state, PyTuple_GET_ITEM(items, k + 1));
        }
    }
    if (r == 0) {
        r = subi_encode(state, items, m);
    }
    Py_DECREF(items);
    return r;
}
