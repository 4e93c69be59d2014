// SPDX-License-Identifier: MIT
#include "parts.h"

#include <stdlib.h>

#include "backend.h"
#include "codec/codec.h"
#include "creation.h"
#include "errors.h"
#include "ids.h"
#include "lifecycle.h"
#include "run.h"

// What isolated=False gives; before 3.12 there is only one kind.
#define NOT_ISOLATED (PY_VERSION_HEX >= 0x030C0000 ? "shared" : NULL)

PyDoc_STRVAR(create_doc, "create() -> ID\n\n"
                         "Create a new interpreter and return a unique generated ID.");

static PyObject *
legacy_create(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"isolated", NULL};
    module_state *state = subi_legacy_state(module);
    int isolated = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|$i:create", keywords, &isolated)) {
        return NULL;
    }
    subi_interp *i = subi_lifecycle_create(state, isolated ? NULL : NOT_ISOLATED, NULL, false);
    if (i == NULL) {
        if (subi_error_matches(state, InterpreterError)) {
            PyObject *cause = PyErr_GetRaisedException();
            PyErr_Format(PyExc_RuntimeError, "interpreter creation failed: %S", cause);
            Py_DECREF(cause);
        }
        return NULL;
    }
    PyObject *id = subi_interpreter_id_new(state, i);
    subi_lifecycle_drop_user(i);
    return id;
}

static PyObject *
raise_run(subi_result r, subi_interp *i)
{
    switch (r) {
    case SUBI_INTERRUPTED:
        break;  // there is an exception
    case SUBI_BUSY:
        PyErr_SetString(PyExc_RuntimeError, "interpreter already running");
        break;
    case SUBI_NOMEM:
        PyErr_NoMemory();
        break;
    case SUBI_FORKED:
        PyErr_SetString(PyExc_RuntimeError,
                        "the interpreter belongs to the process that this one was forked from");
        break;
    default:
        PyErr_Format(PyExc_RuntimeError, "unrecognized interpreter ID %lld",
                     (long long)subi_interp_id(i));
    }
    return NULL;
}

PyDoc_STRVAR(destroy_doc,
             "destroy(id)\n\n"
             "Destroy the identified interpreter.\n\n"
             "Attempting to destroy the current interpreter results in a RuntimeError.\n"
             "So does an unrecognized ID.");

static PyObject *
destroy(module_state *state, subi_interp *i)
{
    if (i == state->self) {
        PyErr_SetString(PyExc_RuntimeError, "cannot destroy the current interpreter");
        return NULL;
    }
    if (subi_interp_kind(i) == SUBI_KIND_MAIN || subi_interp_kind(i) == SUBI_KIND_FOREIGN) {
        return raise_run(SUBI_BUSY, i);
    }
    subi_result r = subi_lifecycle_close(state, i, SUBI_TRY, SUBI_FOREVER);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    return PyErr_Occurred() ? NULL : raise_run(r, i);
}

// The only argument of several functions. A new reference, or NULL with an exception set.
static subi_interp *
parse_id(PyObject *module, PyObject *args, PyObject *kwds, const char *format)
{
    static char *keywords[] = {"id", NULL};
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, format, keywords, &arg)) {
        return NULL;
    }
    return subi_interpreter_id_resolve(subi_legacy_state(module), arg);
}

static PyObject *
legacy_destroy(PyObject *module, PyObject *args, PyObject *kwds)
{
    subi_interp *i = parse_id(module, args, kwds, "O:destroy");
    if (i == NULL) {
        return NULL;
    }
    PyObject *result = destroy(subi_legacy_state(module), i);
    subi_interp_drop(i);
    return result;
}

PyDoc_STRVAR(list_all_doc, "list_all() -> [ID]\n\n"
                           "Return a list containing the ID of every existing interpreter.");

// Appends the InterpreterID of each; skips the ones that are gone by now.
PyObject *
subi_legacy_list(module_state *state, const int64_t *ids, size_t count)
{
    PyObject *list = PyList_New(0);
    for (size_t k = 0; k < count && list != NULL; k++) {
        subi_interp *i = subi_interp_lookup(ids[k]);
        if (i == NULL) {
            continue;
        }
        PyObject *id = subi_interpreter_id_new(state, i);
        subi_interp_drop(i);
        if (id == NULL || PyList_Append(list, id) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(id);
    }
    return list;
}

static PyObject *
legacy_list_all(PyObject *module, PyObject *unused)
{
    int64_t *ids;
    size_t count;
    if (subi_interp_list(&ids, &count) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *list = subi_legacy_list(subi_legacy_state(module), ids, count);
    free(ids);
    return list;
}

PyDoc_STRVAR(get_current_doc, "get_current() -> ID\n\n"
                              "Return the ID of current interpreter.");

static PyObject *
legacy_get_current(PyObject *module, PyObject *unused)
{
    module_state *state = subi_legacy_state(module);
    return subi_interpreter_id_new(state, subi_state_self(state));
}

PyDoc_STRVAR(get_main_doc, "get_main() -> ID\n\n"
                           "Return the ID of main interpreter.");

static PyObject *
legacy_get_main(PyObject *module, PyObject *unused)
{
    subi_interp *i = subi_interp_main();
    if (i == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *id = subi_interpreter_id_new(subi_legacy_state(module), i);
    subi_interp_drop(i);
    return id;
}

PyDoc_STRVAR(is_running_doc, "is_running(id) -> bool\n\n"
                             "Return whether or not the identified interpreter is running.");

static PyObject *
legacy_is_running(PyObject *module, PyObject *args, PyObject *kwds)
{
    subi_interp *i = parse_id(module, args, kwds, "O:is_running");
    if (i == NULL) {
        return NULL;
    }
    bool running = subi_interp_state(i) == SUBI_STATE_RUNNING;
    subi_interp_drop(i);
    return PyBool_FromLong(running);
}

// ---- run_string -------------------------------------------------------------------------------

static bool
is_shareable(module_state *state, PyObject *obj)
{
    return obj == Py_None || PyLong_CheckExact(obj) || PyBytes_CheckExact(obj) ||
           PyUnicode_CheckExact(obj) || Py_IS_TYPE(obj, state->channel_id_type);
}

int
subi_legacy_check_shareable(module_state *state, PyObject *obj)
{
    if (!is_shareable(state, obj)) {
        PyErr_Format(PyExc_ValueError, "%S does not support cross-interpreter data", obj);
        return -1;
    }
    if (PyLong_CheckExact(obj)) {
        int overflow;
        PyLong_AsLongLongAndOverflow(obj, &overflow);
        if (overflow != 0) {
            PyErr_SetString(PyExc_OverflowError, "try sending as bytes");
            return -1;
        }
    }
    return 0;
}

PyDoc_STRVAR(is_shareable_doc,
             "is_shareable(obj) -> bool\n\n"
             "Return True if the object's data may be shared between interpreters and\n"
             "False otherwise.");

static PyObject *
legacy_is_shareable(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"obj", NULL};
    PyObject *obj;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O:is_shareable", keywords, &obj)) {
        return NULL;
    }
    return PyBool_FromLong(is_shareable(subi_legacy_state(module), obj));
}

static const char *
parse_script(PyObject *script)
{
    Py_ssize_t size;
    const char *text = PyUnicode_AsUTF8AndSize(script, &size);
    if (text != NULL && strlen(text) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "source code string cannot contain null bytes");
        return NULL;
    }
    return text;
}

// 0: *m is to be bound, 1: there is nothing to bind, -1: an exception is set
static int
parse_shared(module_state *state, PyObject *shared, subi_message *m)
{
    if (shared == NULL || shared == Py_None) {
        return 1;
    }
    if (!PyDict_Check(shared)) {
        // 3.9 to 3.11 raise MemoryError here, with no message
        PyErr_Format(PyExc_MemoryError, "shared must be a dict or None, got %.100s",
                     Py_TYPE(shared)->tp_name);
        return -1;
    }
    if (PyDict_GET_SIZE(shared) == 0) {
        return 1;
    }
    return subi_run_pack(state, shared, subi_legacy_check_shareable, m);
}

static PyObject *
raise_failure(module_state *state, run *r)
{
    PyObject *items = subi_failure_items(state, &r->failure);
    if (items != NULL) {
        PyErr_Format(subi_error(state, LegacyRunFailedError), "%U: %U",
                     PyTuple_GET_ITEM(items, FAILURE_TYPE_STR),
                     PyTuple_GET_ITEM(items, FAILURE_MSG));
        Py_DECREF(items);
    }
    return NULL;
}

static PyObject *
run_string(module_state *state, subi_interp *i, const char *script, PyObject *shared)
{
    subi_message m = subi_message_none();
    int parsed = parse_shared(state, shared, &m);
    if (parsed < 0) {
        return NULL;
    }
    run r = {.script = script, .shared = parsed == 0 ? &m : NULL};
    subi_result began = subi_run(state, i, &r);
    subi_message_fini(&m);
    if (began != SUBI_OK) {
        return raise_run(began, i);
    }
    PyObject *result = r.outcome == RUN_SUCCEEDED ? Py_NewRef(Py_None) : NULL;
    if (r.outcome == RUN_RAISED) {
        raise_failure(state, &r);
    }
    subi_run_fini(&r);
    return result;
}

PyDoc_STRVAR(run_string_doc, "run_string(id, script, shared)\n\n"
                             "Execute the provided string in the identified interpreter.\n\n"
                             "See PyRun_SimpleStrings.");

static PyObject *
legacy_run_string(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", "script", "shared", NULL};
    module_state *state = subi_legacy_state(module);
    PyObject *arg, *script, *shared = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "OU|O:run_string", keywords, &arg, &script,
                                     &shared)) {
        return NULL;
    }
    subi_interp *i = subi_interpreter_id_resolve(state, arg);
    if (i == NULL) {
        return NULL;
    }
    const char *text = parse_script(script);
    PyObject *result = text != NULL ? run_string(state, i, text, shared) : NULL;
    subi_interp_drop(i);
    return result;
}

PyMethodDef subi_legacy_interp_functions[] = {
    {"create", FUNCTION(legacy_create), KEYWORDS, create_doc},
    {"destroy", FUNCTION(legacy_destroy), KEYWORDS, destroy_doc},
    {"list_all", legacy_list_all, METH_NOARGS, list_all_doc},
    {"get_current", legacy_get_current, METH_NOARGS, get_current_doc},
    {"get_main", legacy_get_main, METH_NOARGS, get_main_doc},
    {"is_running", FUNCTION(legacy_is_running), KEYWORDS, is_running_doc},
    {"run_string", FUNCTION(legacy_run_string), KEYWORDS, run_string_doc},
    {"is_shareable", FUNCTION(legacy_is_shareable), KEYWORDS, is_shareable_doc},
    {NULL},
};
