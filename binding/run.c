// SPDX-License-Identifier: MIT
#include "run.h"

#include "codec/codec.h"
#include "lifecycle.h"
#include "output.h"
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

// Handles in the message become objects of this interpreter, which needs the module's state here.
static module_state *
state_here(void)
{
    PyObject *module = PyImport_ImportModule("subinterpreters._subinterpreters");
    if (module == NULL) {
        return NULL;
    }
    module_state *state = NULL;
    if (PyModule_Check(module) && PyModule_GetDef(module) == &subi_module_def) {
        state = get_state(module);
    }
    else {
        PyErr_SetString(PyExc_ImportError, "subinterpreters._subinterpreters was replaced");
    }
    Py_DECREF(module);  // sys.modules keeps it
    return state;
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
    if (needs_state(shared) && (state = state_here()) == NULL) {
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
run_script(PyObject *ns, const char *script)
{
    PyObject *result = PyRun_StringFlags(script, Py_file_input, ns, ns, NULL);
    Py_XDECREF(result);
    return result != NULL ? 0 : -1;
}

// ---- capturing an exception -------------------------------------------------------------------

// Every step here may meet hostile objects or fail for want of memory, and none may fail the
// capture: what cannot be had is None, or says so.

// An exact str with obj's text, or None. Steals obj, which may be NULL with an exception set.
static PyObject *
exact_text(PyObject *obj)
{
    PyObject *text = NULL;
    if (obj != NULL && PyUnicode_Check(obj)) {
        text = PyUnicode_FromObject(obj);
    }
    Py_XDECREF(obj);
    PyErr_Clear();
    return text != NULL ? text : Py_NewRef(Py_None);
}

static PyObject *
text_of_value(PyObject *exc)
{
    PyObject *text = exact_text(PyObject_Str(exc));
    if (text == Py_None) {
        Py_DECREF(text);
        text = exact_text(PyUnicode_FromFormat("<exception str() failed>"));
    }
    return text;
}

static PyObject *
text_of_type(PyTypeObject *type)
{
    PyObject *text = exact_text(PyObject_Str((PyObject *)type));
    if (text == Py_None) {
        Py_DECREF(text);
        text = exact_text(PyUnicode_FromFormat("<class '%.200s'>", type->tp_name));
    }
    return text;
}

static PyObject *
text_of_attribute(PyObject *obj, const char *name)
{
    return exact_text(PyObject_GetAttrString(obj, name));
}

static PyObject *
text_of_traceback(PyObject *exc)
{
    PyObject *lines = NULL, *text = NULL;
    PyObject *module = PyImport_ImportModule("traceback");
    PyObject *empty = PyUnicode_New(0, 0);
    if (module != NULL && empty != NULL) {
        lines = PyObject_CallMethod(module, "format_exception", "O", exc);
    }
    if (lines != NULL) {
        text = PyUnicode_Join(empty, lines);
    }
    Py_XDECREF(module);
    Py_XDECREF(empty);
    Py_XDECREF(lines);
    return exact_text(text);
}

// Takes the exception that is set. false: there was no memory to say anything about it.
static bool
capture(run *r)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *items = exc != NULL ? PyTuple_New(FAILURE_SIZE) : NULL;
    bool done = false;
    if (items != NULL) {
        PyTypeObject *type = Py_TYPE(exc);
        PyObject *t = (PyObject *)type;
        PyTuple_SET_ITEM(items, FAILURE_TYPE_STR, text_of_type(type));
        PyTuple_SET_ITEM(items, FAILURE_NAME, text_of_attribute(t, "__name__"));
        PyTuple_SET_ITEM(items, FAILURE_QUALNAME, text_of_attribute(t, "__qualname__"));
        PyTuple_SET_ITEM(items, FAILURE_MODULE, text_of_attribute(t, "__module__"));
        PyTuple_SET_ITEM(items, FAILURE_MSG, text_of_value(exc));
        PyTuple_SET_ITEM(items, FAILURE_TRACEBACK,
                         r->want_traceback ? text_of_traceback(exc) : Py_NewRef(Py_None));
        done = subi_encode(NULL, items, &r->failure) == 0;  // str and None need no state
    }
    Py_XDECREF(items);
    Py_XDECREF(exc);
    PyErr_Clear();  // whatever the finalizers and the encoder left
    return done;
}

static void
perform(run *r)
{
    PyObject *ns = main_namespace();
    if (ns == NULL || (r->shared != NULL && bind_shared(ns, r->shared) < 0) ||
        (r->script != NULL && run_script(ns, r->script) < 0)) {
        r->outcome = capture(r) ? RUN_RAISED : RUN_NOMEM;
    }
    else {
        r->outcome = RUN_SUCCEEDED;
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
perform_within_limit(run *r, PyThreadState *outer, PyThreadState *tstate)
{
#ifdef SUBI_C_RECURSION_LEFT
    int calls = calls_to_take_away(outer, tstate);
    SUBI_C_RECURSION_LEFT(tstate) -= calls;
    perform(r);
    SUBI_C_RECURSION_LEFT(tstate) += calls;  // the code may have set another limit meanwhile
#else
    (void)outer;
    (void)tstate;
    perform(r);
#endif
}

void
subi_run_here(subi_interp *i, run *r)
{
    native *n = subi_interp_data(i);
    PyThreadState *tstate = subi_thread_state_attach(n);
    if (tstate == NULL) {
        r->outcome = RUN_NOMEM;
        return;
    }
    subi_private_refresh();
    n->current = tstate;
    if (n->output != 0) {
        subi_output_begin(n->output);
    }
    perform_within_limit(r, n->outer, tstate);
    if (n->output != 0) {
        subi_output_end(n->output);
    }
    subi_exports_drain(i);
    n->current = NULL;
    subi_thread_state_detach();
}

// ---- from the caller's side -------------------------------------------------------------------

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
        if (r->outcome == RUN_RAISED) {
            subi_message_fini(&r->failure);
        }
        r->outcome = RUN_SIGNALLED;
        PyErr_SetRaisedException(signal);
    }
}

subi_result
subi_run(subi_interp *i, run *r)
{
    subi_result entered = subi_interp_enter(i);
    if (entered != SUBI_OK) {
        return entered;
    }
    native *n = subi_interp_data(i);
    n->output = subi_output_replaced();
    PyThreadState *outer = PyEval_SaveThread();
    r->failure = subi_message_none();
    n->outer = outer;
    n->outer_runtime = &subi_runtime;
    n->runtime->perform(i, r);
    n->outer = NULL;
    PyEval_RestoreThread(outer);
    raise_kept_signal(n, r);
    if (subi_interp_leave(i)) {
        subi_lifecycle_close_orphan(i);
    }
    return SUBI_OK;
}

PyObject *
subi_run_failure(module_state *state, run *r)
{
    if (r->outcome == RUN_RAISED) {
        PyObject *items = subi_decode(state, &r->failure);
        subi_message_fini(&r->failure);
        return items;
    }
    return Py_BuildValue("(ssssss)", "<class 'MemoryError'>", "MemoryError", "MemoryError",
                         "builtins", "", "MemoryError\n");
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
