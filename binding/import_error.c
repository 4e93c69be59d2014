// SPDX-License-Identifier: MIT
#include "import_error.h"

#include "backend.h"

// What CPython says of such modules, in all versions.
#define REFUSAL "does not support loading in subinterpreters"

static void
note_refusal(void)
{
    subi_interp *i = subi_interp_find(PyInterpreterState_Get());
    native *n = i != NULL ? subi_interp_data(i) : NULL;
    if (n != NULL) {
        atomic_store(&n->import_refused, true);
    }
    if (i != NULL) {
        subi_interp_drop(i);
    }
}

bool
subi_import_was_refused(module_state *state)
{
    native *n = subi_interp_data(state->self);
    return n != NULL && atomic_load(&n->import_refused);
}

void
subi_import_refusal_forget(module_state *state)
{
    native *n = subi_interp_data(state->self);
    if (n != NULL) {
        atomic_store(&n->import_refused, false);
    }
}

// The exception that is set, if it is a refusal, is replaced by one that says more.
static void
explain(PyObject *spec)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *text = PyObject_Str(exc);
    const char *utf8 = text != NULL ? PyUnicode_AsUTF8(text) : NULL;
    bool refused = utf8 != NULL && strstr(utf8, REFUSAL) != NULL;
    Py_XDECREF(text);
    PyErr_Clear();
    if (refused) {
        note_refusal();
    }
    PyObject *name = refused ? PyObject_GetAttrString(spec, "name") : NULL;
    PyObject *origin = name != NULL ? PyObject_GetAttrString(spec, "origin") : NULL;
    PyObject *message =
        origin != NULL
            ? PyUnicode_FromFormat(
                  "module %U " REFUSAL
                  " of isolation='own'; make the interpreter with isolation='private', which "
                  "any extension module can be imported in",
                  name)
            : NULL;
    if (message == NULL) {
        PyErr_SetRaisedException(exc);  // and not what went wrong here
    }
    else {
        PyErr_SetImportError(message, name, origin);
        Py_DECREF(exc);
    }
    Py_XDECREF(message);
    Py_XDECREF(name);
    Py_XDECREF(origin);
}

// _imp.create_dynamic(spec, file=None); self is CPython's own.
static PyObject *
create_dynamic(PyObject *self, PyObject *args)
{
    PyObject *module = PyObject_CallObject(self, args);
    if (module == NULL && PyErr_ExceptionMatches(PyExc_ImportError) && PyTuple_GET_SIZE(args) > 0) {
        explain(PyTuple_GET_ITEM(args, 0));
    }
    return module;
}

static PyMethodDef create_dynamic_method = {"create_dynamic", create_dynamic, METH_VARARGS,
                                            "Create an extension module."};

void
subi_import_error_explain(void)
{
    PyObject *imp = PyImport_ImportModule("_imp");
    PyObject *original = imp != NULL ? PyObject_GetAttrString(imp, "create_dynamic") : NULL;
    PyObject *ours = original != NULL ? PyCFunction_New(&create_dynamic_method, original) : NULL;
    if (ours != NULL) {
        PyObject_SetAttrString(imp, "create_dynamic", ours);
    }
    Py_XDECREF(ours);
    Py_XDECREF(original);
    Py_XDECREF(imp);
    PyErr_Clear();
}
