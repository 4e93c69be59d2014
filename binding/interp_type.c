// SPDX-License-Identifier: MIT
#include "interp_type.h"

#include <stdlib.h>

#include "backend.h"
#include "blocking.h"
#include "creation.h"
#include "errors.h"
#include "lifecycle.h"
#include "run.h"

typedef struct interpreter {
    PyObject_HEAD
    subi_interp *interp;  // one reference, as a user
} interpreter;

static subi_interp *
interp_of(PyObject *self)
{
    return ((interpreter *)self)->interp;
}

// Does not steal i.
static PyObject *
new_interpreter(module_state *state, subi_interp *i)
{
    interpreter *self = PyObject_New(interpreter, state->interpreter_type);
    if (self != NULL) {
        subi_interp_hold(i);
        subi_interp_hold_user(i);
        self->interp = i;
    }
    return (PyObject *)self;
}

static void
interpreter_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_lifecycle_drop_user(interp_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
interpreter_repr(PyObject *self)
{
    return PyUnicode_FromFormat("Interpreter(%lld)", (long long)subi_interp_id(interp_of(self)));
}

static Py_hash_t
interpreter_hash(PyObject *self)
{
    return (Py_hash_t)subi_interp_id(interp_of(self));
}

static PyObject *
interpreter_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong((interp_of(self) == interp_of(other)) == (op == Py_EQ));
}

static PyObject *
interpreter_get_id(PyObject *self, void *unused)
{
    return PyLong_FromLongLong(subi_interp_id(interp_of(self)));
}

static PyObject *
interpreter_get_name(PyObject *self, void *unused)
{
    const char *name = subi_interp_name(interp_of(self));
    if (name[0] != 0) {
        return PyUnicode_FromString(name);
    }
    return PyUnicode_FromFormat("interpreter-%lld", (long long)subi_interp_id(interp_of(self)));
}

static PyObject *
interpreter_get_isolation(PyObject *self, void *unused)
{
    return PyUnicode_FromString(subi_kind_name(subi_interp_kind(interp_of(self))));
}

static PyGetSetDef interpreter_getset[] = {
    {"id", interpreter_get_id, NULL,
     "The interpreter's number: 0 is the main one. Never used again in the process.", NULL},
    {"name", interpreter_get_name, NULL, "The name given to create(), or one made of the id.",
     NULL},
    {"isolation", interpreter_get_isolation, NULL,
     "'own' (it has a GIL of its own), 'private' (it has a Python runtime of its own), 'shared'\n"
     "(it has the main interpreter's GIL), 'main', or 'foreign' (something else made it).",
     NULL},
    {NULL},
};

// ---- running ----------------------------------------------------------------------------------

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

static PyObject *
raise_execution_failed(module_state *state, run *r)
{
    PyObject *items = subi_run_failure(state, r);
    PyObject *excinfo = items != NULL ? make_excinfo(items) : NULL;
    PyObject *text = NULL, *exc = NULL;
    if (excinfo != NULL) {
        PyObject *traceback = PyTuple_GET_ITEM(items, FAILURE_TRACEBACK);
        const char *format =
            traceback == Py_None ? "%S: %S" : "%S: %S\n\nUncaught in the interpreter:\n\n%S";
        text = PyUnicode_FromFormat(format, PyTuple_GET_ITEM(items, FAILURE_NAME),
                                    PyTuple_GET_ITEM(items, FAILURE_MSG), traceback);
    }
    if (text != NULL) {
        exc = PyObject_CallOneArg(state->ExecutionFailed, text);
    }
    if (exc != NULL && PyObject_SetAttrString(exc, "excinfo", excinfo) == 0) {
        PyErr_SetObject(state->ExecutionFailed, exc);
    }
    Py_XDECREF(exc);
    Py_XDECREF(text);
    Py_XDECREF(excinfo);
    Py_XDECREF(items);
    return NULL;
}

static PyObject *
perform(PyObject *self, run *r)
{
    module_state *state = get_state_of(self);
    subi_result began = subi_run(interp_of(self), r);
    if (began != SUBI_OK) {
        return subi_raise_interp(state, began, subi_interp_id(interp_of(self)));
    }
    switch (r->outcome) {
    case RUN_SUCCEEDED:
        Py_RETURN_NONE;
    case RUN_SIGNALLED:
        return NULL;
    default:
        return raise_execution_failed(state, r);
    }
}

PyDoc_STRVAR(exec_doc,
             "exec(code, /)\n--\n\n"
             "Run source code in the interpreter's __main__ module, on the calling thread, and\n"
             "wait for its end.\n\n"
             "Args:\n    code: str.\n\n"
             "Raises:\n"
             "    ExecutionFailed: the code raised an exception; see its attribute `excinfo`.\n"
             "    InterpreterError: the interpreter is running already.\n"
             "    InterpreterClosedError: it is closed.\n"
             "    TypeError, ValueError: code is no str, or has a null character.");

static PyObject *
interpreter_exec(PyObject *self, PyObject *code)
{
    if (!PyUnicode_Check(code)) {
        return PyErr_Format(PyExc_TypeError, "code must be str, got %.100s",
                            Py_TYPE(code)->tp_name);
    }
    Py_ssize_t size;
    const char *script = PyUnicode_AsUTF8AndSize(code, &size);
    if (script == NULL) {
        return NULL;
    }
    if (strlen(script) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "source code string cannot contain null bytes");
        return NULL;
    }
    run r = {.script = script, .want_traceback = true};
    return perform(self, &r);
}

PyDoc_STRVAR(prepare_main_doc,
             "prepare_main(ns=None, /, **kwargs)\n--\n\n"
             "Bind names in the interpreter's __main__ module.\n\n"
             "Args:\n"
             "    ns: a dict of names and values.\n"
             "    kwargs: more of them, which win over ns.\n\n"
             "Raises:\n"
             "    NotShareableError: a value cannot be sent (see SendChannel.send).\n"
             "    InterpreterError: the interpreter is running.\n"
             "    InterpreterClosedError: it is closed.\n"
             "    TypeError: ns is no dict, or a name in it no str.");

static PyObject *
merged_names(PyObject *ns, PyObject *kwds)
{
    if (ns != Py_None && !PyDict_Check(ns)) {
        return PyErr_Format(PyExc_TypeError, "ns must be a dict or None, got %.100s",
                            Py_TYPE(ns)->tp_name);
    }
    PyObject *names = ns != Py_None ? PyDict_Copy(ns) : PyDict_New();
    if (names != NULL && kwds != NULL && PyDict_Update(names, kwds) < 0) {
        Py_CLEAR(names);
    }
    return names;
}

static PyObject *
interpreter_prepare_main(PyObject *self, PyObject *args, PyObject *kwds)
{
    module_state *state = get_state_of(self);
    PyObject *ns = Py_None;
    subi_message m;
    if (!PyArg_ParseTuple(args, "|O:prepare_main", &ns)) {
        return NULL;
    }
    PyObject *names = merged_names(ns, kwds);
    if (names == NULL) {
        return NULL;
    }
    int packed = subi_run_pack(state, names, NULL, &m);
    Py_DECREF(names);
    if (packed < 0) {
        return NULL;
    }
    run r = {.shared = &m, .want_traceback = true};
    PyObject *result = perform(self, &r);
    subi_message_fini(&m);
    return result;
}

static PyObject *
interpreter_is_running(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(subi_interp_state(interp_of(self)) == SUBI_STATE_RUNNING);
}

// ---- closing ----------------------------------------------------------------------------------

PyDoc_STRVAR(close_doc,
             "close(timeout=None)\n--\n\n"
             "Close the interpreter: join the threads it started, run its atexit functions, free\n"
             "all it has. Closing again does nothing.\n\n"
             "Args:\n"
             "    timeout: seconds to wait for its threads at most; None is for ever.\n\n"
             "Raises:\n"
             "    InterpreterError: it is running, or is the current one, or was not made by\n"
             "        create().\n"
             "    TimeoutError: threads are still alive; the message names them, and the\n"
             "        interpreter stays open.");

static PyObject *
interpreter_close(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    module_state *state = get_state_of(self);
    PyObject *timeout = NULL;
    int64_t deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|O:close", keywords, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    subi_interp *i = interp_of(self);
    subi_kind kind = subi_interp_kind(i);
    if (kind == SUBI_KIND_MAIN || kind == SUBI_KIND_FOREIGN) {
        PyErr_Format(state->InterpreterError, "interpreter %lld was not made by create()",
                     (long long)subi_interp_id(i));
        return NULL;
    }
    if (i == state->self) {
        PyErr_SetString(state->InterpreterError, "an interpreter cannot close itself");
        return NULL;
    }
    subi_result r = subi_lifecycle_close(state, i, deadline);
    if (r == SUBI_OK || r == SUBI_CLOSED) {
        Py_RETURN_NONE;
    }
    return PyErr_Occurred() ? NULL : subi_raise_interp(state, r, subi_interp_id(i));
}

static PyObject *
interpreter_enter(PyObject *self, PyObject *unused)
{
    return Py_NewRef(self);
}

static PyObject *
interpreter_exit(PyObject *self, PyObject *args)
{
    return PyObject_CallMethod(self, "close", NULL);
}

static PyMethodDef interpreter_methods[] = {
    {"exec", interpreter_exec, METH_O, exec_doc},
    {"prepare_main", (PyCFunction)(void (*)(void))interpreter_prepare_main,
     METH_VARARGS | METH_KEYWORDS, prepare_main_doc},
    {"is_running", interpreter_is_running, METH_NOARGS,
     "is_running()\n--\n\nWhether code is running in its __main__ module."},
    {"close", (PyCFunction)(void (*)(void))interpreter_close, METH_VARARGS | METH_KEYWORDS,
     close_doc},
    {"__enter__", interpreter_enter, METH_NOARGS, NULL},
    {"__exit__", interpreter_exit, METH_VARARGS, NULL},
    {NULL},
};

PyDoc_STRVAR(interpreter_doc,
             "An interpreter of this process. Made by create(). It is closed by close(), at the\n"
             "end of a `with` block, when the last object that stands for it goes away, or when\n"
             "the process ends.");

static PyType_Slot interpreter_slots[] = {
    {Py_tp_dealloc, interpreter_dealloc}, {Py_tp_repr, interpreter_repr},
    {Py_tp_hash, interpreter_hash},       {Py_tp_richcompare, interpreter_richcompare},
    {Py_tp_getset, interpreter_getset},   {Py_tp_methods, interpreter_methods},
    {Py_tp_doc, (void *)interpreter_doc}, {0, NULL},
};

static PyType_Spec interpreter_spec = {
    .name = "subinterpreters.Interpreter",
    .basicsize = sizeof(interpreter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = interpreter_slots,
};

int
subi_interp_type_init(PyObject *module, module_state *state)
{
    state->interpreter_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &interpreter_spec, NULL);
    if (state->interpreter_type == NULL) {
        return -1;
    }
    return PyModule_AddType(module, state->interpreter_type);
}

// ---- functions --------------------------------------------------------------------------------

PyDoc_STRVAR(
    create_doc,
    "create(*, isolation=None, name=None)\n--\n\n"
    "Make an interpreter, with the caller's sys.path, sys.argv and filters of warnings.\n\n"
    "Args:\n"
    "    isolation: 'own' gives it a GIL of its own, so that it runs in parallel; only\n"
    "        extension modules that declare support can be imported there. 'private'\n"
    "        gives it a Python runtime of its own, a private copy of libpython, so that\n"
    "        it runs in parallel and can import any extension module. 'shared' makes it\n"
    "        share the main interpreter's GIL. None is 'own', before CPython 3.12\n"
    "        'private', since there is nothing else.\n"
    "    name: a str for people to read.\n\n"
    "Returns:\n    An Interpreter.\n\n"
    "Raises:\n"
    "    InterpreterError: it could not be made, or this Python has no such kind; the\n"
    "        message says why.\n"
    "    TypeError, ValueError: an argument is not as above.");

static PyObject *
create(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"isolation", "name", NULL};
    module_state *state = get_state(module);
    const char *isolation = NULL, *name = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|$zz:create", keywords, &isolation, &name)) {
        return NULL;
    }
    subi_interp *i = subi_lifecycle_create(state, isolation, name);
    if (i == NULL) {
        return NULL;
    }
    PyObject *self = new_interpreter(state, i);
    subi_lifecycle_drop_user(i);
    return self;
}

static PyObject *
list_all(PyObject *module, PyObject *unused)
{
    int64_t *ids;
    size_t count;
    if (subi_interp_list(&ids, &count) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t k = 0; k < count && list != NULL; k++) {
        subi_interp *i = subi_interp_lookup(ids[k]);
        if (i == NULL) {
            continue;  // closed by now
        }
        PyObject *self = new_interpreter(get_state(module), i);
        subi_interp_drop(i);
        if (self == NULL || PyList_Append(list, self) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(self);
    }
    free(ids);
    return list;
}

static PyObject *
get_current(PyObject *module, PyObject *unused)
{
    module_state *state = get_state(module);
    return new_interpreter(state, subi_state_self(state));
}

static PyObject *
get_main(PyObject *module, PyObject *unused)
{
    subi_interp *i = subi_interp_main();
    if (i == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *self = new_interpreter(get_state(module), i);
    subi_interp_drop(i);
    return self;
}

PyDoc_STRVAR(
    set_reserve_limit_doc,
    "set_reserve_limit(limit, /)\n--\n\n"
    "Set how many closed interpreters the process keeps for create() to use again.\n\n"
    "A closed interpreter of kind 'own' is reset to the state it was made in. Only when every\n"
    "object that the collector knows is proved to be as it was, and no other is left, create()\n"
    "may return it as a new one. At first the limit is two for each processor, at least four.\n\n"
    "Args:\n"
    "    limit: an int, 0 to 256. 0 turns it off. Those that are kept and too many are ended.\n\n"
    "Raises:\n"
    "    TypeError, ValueError: limit is not as above.");

static PyObject *
set_reserve_limit(PyObject *module, PyObject *arg)
{
    Py_ssize_t limit = PyNumber_AsSsize_t(arg, NULL);
    if (limit == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (limit < 0 || (size_t)limit > SUBI_RESERVE_MAX) {
        return PyErr_Format(PyExc_ValueError, "limit must be 0 to %zu, got %zd", SUBI_RESERVE_MAX,
                            limit);
    }
    subi_reserve_set_limit((size_t)limit);
    subi_lifecycle_trim_reserve(false);
    Py_RETURN_NONE;
}

static PyObject *
get_reserve_limit(PyObject *module, PyObject *unused)
{
    return PyLong_FromSize_t(subi_reserve_limit());
}

PyMethodDef subi_interp_functions[] = {
    {"set_reserve_limit", set_reserve_limit, METH_O, set_reserve_limit_doc},
    {"get_reserve_limit", get_reserve_limit, METH_NOARGS,
     "get_reserve_limit()\n--\n\nWhat set_reserve_limit() has set, or the first limit."},
    {"create", (PyCFunction)(void (*)(void))create, METH_VARARGS | METH_KEYWORDS, create_doc},
    {"list_all", list_all, METH_NOARGS,
     "list_all()\n--\n\nThe interpreters of this process that are open, as a list."},
    {"get_current", get_current, METH_NOARGS,
     "get_current()\n--\n\nThe interpreter that the caller runs in."},
    {"get_main", get_main, METH_NOARGS, "get_main()\n--\n\nThe process's main interpreter."},
    {NULL},
};
