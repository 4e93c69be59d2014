// SPDX-License-Identifier: MIT
#include "failure.h"

#include "codec/codec.h"
#include "errors.h"
#include "run.h"

// ---- capturing --------------------------------------------------------------------------------

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

static void
capture_text(subi_failure *f, PyObject *exc, bool traceback)
{
    PyTypeObject *type = Py_TYPE(exc);
    PyObject *t = (PyObject *)type;
    PyObject *items = PyTuple_New(FAILURE_SIZE);
    if (items != NULL) {
        PyTuple_SET_ITEM(items, FAILURE_TYPE_STR, text_of_type(type));
        PyTuple_SET_ITEM(items, FAILURE_NAME, text_of_attribute(t, "__name__"));
        PyTuple_SET_ITEM(items, FAILURE_QUALNAME, text_of_attribute(t, "__qualname__"));
        PyTuple_SET_ITEM(items, FAILURE_MODULE, text_of_attribute(t, "__module__"));
        PyTuple_SET_ITEM(items, FAILURE_MSG, text_of_value(exc));
        PyTuple_SET_ITEM(items, FAILURE_TRACEBACK,
                         traceback ? text_of_traceback(exc) : Py_NewRef(Py_None));
        subi_encode(NULL, items, &f->text);  // str and None need no state; else it stays none
        Py_DECREF(items);
    }
    PyErr_Clear();
}

// Whether pickle would do with exceptions of that type as with any other.
static bool
is_reduced_plainly(PyObject *type)
{
    static const char *const names[] = {"__reduce__", "__reduce_ex__", "__setstate__"};
    bool plainly = true;
    for (size_t k = 0; k < Py_ARRAY_LENGTH(names) && plainly; k++) {
        PyObject *its = PyObject_GetAttrString(type, names[k]);
        PyObject *usual = PyObject_GetAttrString(PyExc_BaseException, names[k]);
        plainly = its != NULL && its == usual;
        Py_XDECREF(its);
        Py_XDECREF(usual);
    }
    PyErr_Clear();
    return plainly;
}

// What is sent of an exception: its type, args and attributes, if it is no more than that. Pickle would
// call its __init__ with args, and that may want others.
static PyObject *
parts_of(PyObject *exc)
{
    const PyBaseExceptionObject *base = (PyBaseExceptionObject *)exc;
    if (base->args == NULL || !is_reduced_plainly((PyObject *)Py_TYPE(exc))) {
        return Py_NewRef(exc);
    }
    PyObject *attributes = base->dict != NULL ? base->dict : Py_None;
    return PyTuple_Pack(3, Py_TYPE(exc), base->args, attributes);
}

static void
capture_exception(subi_failure *f, PyObject *exc)
{
    module_state *state = subi_state_here();
    PyObject *parts = state != NULL ? parts_of(exc) : NULL;
    f->has_exception = parts != NULL && subi_encode(state, parts, &f->exception) == 0;
    Py_XDECREF(parts);
    PyErr_Clear();
}

void
subi_failure_capture(subi_failure *f, failure_parts parts)
{
    PyObject *exc = PyErr_GetRaisedException();
    *f = (subi_failure){.text = subi_message_none()};
    if (exc != NULL) {
        capture_text(f, exc, parts >= FAILURE_WITH_TRACEBACK);
        if (parts >= FAILURE_WITH_EXCEPTION) {
            capture_exception(f, exc);
        }
        Py_DECREF(exc);
    }
    PyErr_Clear();  // whatever the finalizers left
}

void
subi_failure_fini(subi_failure *f)
{
    subi_message_fini(&f->text);
    if (f->has_exception) {
        subi_message_fini(&f->exception);
        f->has_exception = false;
    }
}

// ---- raising ----------------------------------------------------------------------------------

PyObject *
subi_failure_items(module_state *state, const subi_failure *f)
{
    if (f->text.tag != SUBI_TAG_NONE) {
        return subi_decode(state, &f->text);
    }
    return Py_BuildValue("(ssssss)", "<class 'MemoryError'>", "MemoryError", "MemoryError",
                         "builtins", "", "MemoryError\n");
}

// ExecutionFailed.excinfo: types.SimpleNamespace objects made of a failure's items.
static PyObject *
make_excinfo(PyObject *items)
{
    PyObject *types = PyImport_ImportModule("types");
    PyObject *make = types != NULL ? PyObject_GetAttrString(types, "SimpleNamespace") : NULL;
    PyObject *excinfo = NULL;
    PyObject *kwds = Py_BuildValue("{sOsOsO}", "__name__", PyTuple_GET_ITEM(items, FAILURE_NAME),
                                   "__qualname__", PyTuple_GET_ITEM(items, FAILURE_QUALNAME),
                                   "__module__", PyTuple_GET_ITEM(items, FAILURE_MODULE));
    PyObject *empty = PyTuple_New(0);
    PyObject *type = NULL;
    if (make != NULL && kwds != NULL && empty != NULL) {
        type = PyObject_Call(make, empty, kwds);
    }
    Py_XDECREF(kwds);
    if (type != NULL) {
        PyObject *msg = PyTuple_GET_ITEM(items, FAILURE_MSG);
        PyObject *traceback = PyTuple_GET_ITEM(items, FAILURE_TRACEBACK);
        PyObject *formatted =
            PyUnicode_FromFormat("%S: %S", PyTuple_GET_ITEM(items, FAILURE_NAME), msg);
        kwds = formatted != NULL ? Py_BuildValue("{sOsOsOsO}", "type", type, "msg", msg,
                                                 "formatted", formatted, "errdisplay", traceback)
                                 : NULL;
        excinfo = kwds != NULL ? PyObject_Call(make, empty, kwds) : NULL;
        Py_XDECREF(formatted);
        Py_XDECREF(kwds);
    }
    Py_XDECREF(type);
    Py_XDECREF(types);
    Py_XDECREF(make);
    Py_XDECREF(empty);
    return excinfo;
}

// A new ExecutionFailed, or NULL with an exception.
static PyObject *
make_execution_failed(module_state *state, const subi_failure *f)
{
    PyObject *items = subi_failure_items(state, f);
    PyObject *excinfo = items != NULL ? make_excinfo(items) : NULL;
    PyObject *text = NULL, *failed = NULL;
    if (excinfo != NULL) {
        PyObject *traceback = PyTuple_GET_ITEM(items, FAILURE_TRACEBACK);
        const char *format =
            traceback == Py_None ? "%S: %S" : "%S: %S\n\nUncaught in the interpreter:\n\n%S";
        text = PyUnicode_FromFormat(format, PyTuple_GET_ITEM(items, FAILURE_NAME),
                                    PyTuple_GET_ITEM(items, FAILURE_MSG), traceback);
    }
    if (text != NULL) {
        failed = PyObject_CallOneArg(subi_error(state, ExecutionFailed), text);
    }
    if (failed != NULL && PyObject_SetAttrString(failed, "excinfo", excinfo) < 0) {
        Py_CLEAR(failed);
    }
    Py_XDECREF(text);
    Py_XDECREF(excinfo);
    Py_XDECREF(items);
    return failed;
}

// The exception itself, ready to be raised; NULL without an exception: it cannot be had.
static PyObject *
rebuild(module_state *state, const subi_failure *f, PyObject *failed)
{
    PyObject *exc = subi_decode(state, &f->exception);
    PyObject *module = exc != NULL ? PyImport_ImportModule("subinterpreters._calls") : NULL;
    PyObject *rebuilt =
        module != NULL ? PyObject_CallMethod(module, "rebuild", "OO", exc, failed) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(exc);
    if (rebuilt != NULL && !PyExceptionInstance_Check(rebuilt)) {
        Py_CLEAR(rebuilt);
    }
    PyErr_Clear();
    return rebuilt;
}

PyObject *
subi_failure_raise(module_state *state, const subi_failure *f)
{
    PyObject *failed = make_execution_failed(state, f);
    if (failed == NULL) {
        return NULL;
    }
    PyObject *exc = f->has_exception ? rebuild(state, f, failed) : NULL;
    if (exc == NULL) {
        exc = Py_NewRef(failed);
    }
    PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
    Py_DECREF(exc);
    Py_DECREF(failed);
    return NULL;
}
