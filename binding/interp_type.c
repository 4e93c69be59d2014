// SPDX-License-Identifier: MIT
#include "interp_type.h"

#include <stddef.h>
#include <stdlib.h>
#include <structmember.h>

#include "backend.h"
#include "blocking.h"
#include "call.h"
#include "codec/codec.h"
#include "creation.h"
#include "errors.h"
#include "import_error.h"
#include "lifecycle.h"
#include "registry.h"
#include "stats.h"

typedef struct interpreter {
    PyObject_HEAD
    subi_interp *interp;  // one reference, as a user
    PyObject *registry;   // state->interpreters
    PyObject *number;     // its id; NULL: it is not in the registry, see registry.h
    PyObject *weakrefs;
    PyObject *worker;  // what submit() uses, see _calls.py; NULL: nothing yet
} interpreter;

subi_interp *
subi_interp_of(PyObject *self)
{
    return ((interpreter *)self)->interp;
}

// ---- one object for each interpreter ------------------------------------------------------------

PyObject *
subi_interpreter_new(module_state *state, subi_interp *i)
{
    PyObject *id = PyLong_FromLongLong(subi_interp_id(i));
    PyObject *found = id != NULL ? subi_registry_find(state->interpreters, id) : NULL;  // borrowed
    if (id == NULL || PyErr_Occurred() || (found != NULL && subi_interp_of(found) == i)) {
        Py_XDECREF(id);
        return Py_XNewRef(found);
    }
    interpreter *self = PyObject_GC_New(interpreter, state->interpreter_type);
    found = self != NULL ? subi_registry_find(state->interpreters, id) : NULL;
    if (found != NULL && subi_interp_of(found) == i) {  // made by a finalizer
        PyObject_GC_Del(self);
        Py_DECREF(state->interpreter_type);
        self = (interpreter *)Py_NewRef(found);
    }
    else if (self != NULL) {
        subi_interp_hold(i);
        subi_interp_hold_user(i);
        self->interp = i;
        self->weakrefs = NULL;
        self->worker = NULL;
        self->registry = Py_NewRef(state->interpreters);
        self->number = NULL;
        PyObject_GC_Track(self);
        if (subi_registry_add(state->interpreters, id, (PyObject *)self) < 0) {
            Py_CLEAR(self);
        }
        else {
            self->number = Py_NewRef(id);
        }
    }
    Py_DECREF(id);
    return (PyObject *)self;
}

// Futures of what was submitted lead back here.
static int
interpreter_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(((interpreter *)self)->worker);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int
interpreter_clear(PyObject *self)
{
    Py_CLEAR(((interpreter *)self)->worker);
    return 0;
}

static void
interpreter_dealloc(PyObject *obj)
{
    interpreter *self = (interpreter *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    PyObject_GC_UnTrack(obj);  // the type may have been cleared, so there may be no module any more
    PyObject *exc = PyErr_GetRaisedException();
    if (self->number != NULL) {
        subi_registry_remove(self->registry, self->number);
    }
    Py_XDECREF(self->number);
    Py_DECREF(self->registry);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(obj);
    }
    Py_XDECREF(self->worker);
    subi_lifecycle_drop_user(self->interp);
    PyErr_SetRaisedException(exc);
    type->tp_free(obj);
    Py_DECREF(type);
}

// Interpreter(id)
static PyObject *
interpreter_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *module = PyType_GetModuleByDef(type, &subi_module_def);
    PyObject *id;
    if (module == NULL || (kwds != NULL && PyDict_GET_SIZE(kwds) > 0)) {
        return module == NULL
                   ? NULL
                   : PyErr_Format(PyExc_TypeError, "Interpreter() takes no keyword arguments");
    }
    if (!PyArg_ParseTuple(args, "O:Interpreter", &id)) {
        return NULL;
    }
    if (!PyLong_Check(id)) {
        return PyErr_Format(PyExc_TypeError, "id must be an int, got %.100s", Py_TYPE(id)->tp_name);
    }
    return subi_interpreter_by_id(get_state(module), id);
}

PyObject *
subi_interpreter_by_id(module_state *state, PyObject *id)
{
    int overflow;
    int64_t number = PyLong_AsLongLongAndOverflow(id, &overflow);
    bool negative = overflow < 0 || (overflow == 0 && number < 0);
    subi_interp *i = overflow == 0 && !negative ? subi_interp_lookup(number) : NULL;
    if (i == NULL) {
        PyObject *text = subi_int_text(id);
        if (text != NULL && negative) {
            PyErr_Format(PyExc_ValueError, "id must not be negative, got %U", text);
        }
        else if (text != NULL) {
            PyErr_Format(subi_error(state, InterpreterNotFoundError), "interpreter %U not found",
                         text);
        }
        Py_XDECREF(text);
        return NULL;
    }
    PyObject *self = subi_interpreter_new(state, i);
    subi_interp_drop(i);
    return self;
}

static PyObject *
interpreter_repr(PyObject *self)
{
    return PyUnicode_FromFormat("Interpreter(%lld)",
                                (long long)subi_interp_id(subi_interp_of(self)));
}

static Py_hash_t
interpreter_hash(PyObject *self)
{
    return (Py_hash_t)subi_interp_id(subi_interp_of(self));
}

static PyObject *
interpreter_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong((subi_interp_of(self) == subi_interp_of(other)) == (op == Py_EQ));
}

static PyObject *
interpreter_get_id(PyObject *self, void *unused)
{
    return PyLong_FromLongLong(subi_interp_id(subi_interp_of(self)));
}

static PyObject *
interpreter_get_name(PyObject *self, void *unused)
{
    const char *name = subi_interp_name(subi_interp_of(self));
    if (name[0] != 0) {
        return PyUnicode_FromString(name);
    }
    return PyUnicode_FromFormat("interpreter-%lld",
                                (long long)subi_interp_id(subi_interp_of(self)));
}

static PyObject *
interpreter_get_whence(PyObject *self, void *unused)
{
    switch (subi_interp_kind(subi_interp_of(self))) {
    case SUBI_KIND_MAIN:
        return PyUnicode_FromString("runtime init");
    case SUBI_KIND_FOREIGN:
        return PyUnicode_FromString("unknown");
    default:
        return PyUnicode_FromString("_interpreters module");
    }
}

static PyObject *
interpreter_get_worker(PyObject *self, void *unused)
{
    PyObject *worker = ((interpreter *)self)->worker;
    return Py_NewRef(worker != NULL ? worker : Py_None);
}

static int
interpreter_set_worker(PyObject *self, PyObject *worker, void *unused)
{
    Py_XSETREF(((interpreter *)self)->worker, Py_XNewRef(worker));
    return 0;
}

static PyObject *
interpreter_get_isolation(PyObject *self, void *unused)
{
    return PyUnicode_FromString(subi_kind_name(subi_interp_kind(subi_interp_of(self))));
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
    {"whence", interpreter_get_whence, NULL,
     "Where it comes from, in the words of concurrent.interpreters: 'runtime init' (the main one),\n"
     "'_interpreters module' (create() made it), or 'unknown'.",
     NULL},
    {"_worker", interpreter_get_worker, interpreter_set_worker, NULL, NULL},
    {NULL},
};

// ---- state ------------------------------------------------------------------------------------

static PyObject *
interpreter_is_running(PyObject *self, PyObject *unused)
{
    subi_interp *i = subi_interp_of(self);
    subi_state now = subi_interp_state(i);
    module_state *state = get_state_of(self);
    if (now == SUBI_STATE_CLOSED && !subi_interp_stale(i) && state != NULL) {
        return subi_raise_interp(state, SUBI_CLOSED, subi_interp_id(i));
    }
    return PyBool_FromLong(now == SUBI_STATE_RUNNING);
}

// ---- closing ----------------------------------------------------------------------------------

PyDoc_STRVAR(
    close_doc,
    "close($self, /, timeout=...)\n--\n\n"
    "Close the interpreter: finish what was submitted, join the threads it started, run its\n"
    "atexit functions, free all it has. Closing again does nothing.\n\n"
    "Args:\n"
    "    timeout: seconds to wait at most for a run in progress on another thread, for what was\n"
    "        submitted, and for its threads; None is for ever. If it is not given, a run in\n"
    "        progress is an error, and the rest is waited for.\n\n"
    "Raises:\n"
    "    InterpreterError: it is running, or is the current one, or was not made by\n"
    "        create().\n"
    "    TimeoutError: it still runs, or threads are still alive; the message names them, and\n"
    "        the interpreter stays open.");

// What was submitted to worker, which may be NULL, is done first, and nothing more can be. -1 with an exception.
static int
finish(PyObject *worker, PyObject *timeout)
{
    PyObject *done = worker != NULL ? PyObject_CallMethod(worker, "finish", "O", timeout) : NULL;
    Py_XDECREF(done);
    return worker == NULL || done != NULL ? 0 : -1;
}

// It stays open: if its worker takes nothing more, there will be another.
static void
forget_finished(PyObject *self, PyObject *worker)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *finished = worker != NULL ? PyObject_GetAttrString(worker, "finished") : NULL;
    if (finished == Py_True && ((interpreter *)self)->worker == worker) {
        Py_CLEAR(((interpreter *)self)->worker);
    }
    Py_XDECREF(finished);
    PyErr_SetRaisedException(exc);
}

// A worker that has been made meanwhile has only calls that fail at once.
static int
finish_late_one(PyObject *self, PyObject *before)
{
    PyObject *worker = Py_XNewRef(((interpreter *)self)->worker);
    int r = worker != before ? finish(worker, Py_None) : 0;
    Py_XDECREF(worker);
    return r;
}

static subi_result
close_now(PyObject *self, module_state *state, PyObject *timeout, int64_t run_deadline,
          int64_t deadline)
{
    PyObject *worker = Py_XNewRef(((interpreter *)self)->worker);
    subi_result r = SUBI_INTERRUPTED;
    if (finish(worker, timeout) == 0) {
        r = subi_lifecycle_close(state, subi_interp_of(self), run_deadline, deadline);
    }
    if (r == SUBI_OK || r == SUBI_CLOSED) {
        r = finish_late_one(self, worker) == 0 ? SUBI_OK : SUBI_INTERRUPTED;
    }
    else {
        forget_finished(self, worker);
    }
    Py_XDECREF(worker);
    return r;
}

static PyObject *
close_interpreter(PyObject *self, PyObject *timeout, int64_t run_deadline, int64_t deadline)
{
    module_state *state = get_state_of(self);
    subi_interp *i = subi_interp_of(self);
    subi_kind kind = subi_interp_kind(i);
    if (kind == SUBI_KIND_MAIN || kind == SUBI_KIND_FOREIGN) {
        PyErr_Format(subi_error(state, InterpreterError),
                     "interpreter %lld was not made by create()", (long long)subi_interp_id(i));
        return NULL;
    }
    if (i == state->self) {
        PyErr_SetString(subi_error(state, InterpreterError), "an interpreter cannot close itself");
        return NULL;
    }
    if (subi_interp_stale(i)) {
        return subi_raise_interp(state, SUBI_FORKED, subi_interp_id(i));
    }
    subi_result r = close_now(self, state, timeout, run_deadline, deadline);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    return PyErr_Occurred() ? NULL : subi_raise_interp(state, r, subi_interp_id(i));
}

static PyObject *
interpreter_close(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    int64_t deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|O:close", keywords, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    return timeout != NULL ? close_interpreter(self, timeout, deadline, deadline)
                           : close_interpreter(self, Py_None, SUBI_TRY, deadline);
}

static PyObject *
interpreter_reduce(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("O(L)", Py_TYPE(self), (long long)subi_interp_id(subi_interp_of(self)));
}

static PyObject *
interpreter_enter(PyObject *self, PyObject *unused)
{
    return Py_NewRef(self);
}

static PyObject *
interpreter_exit(PyObject *self, PyObject *args)
{
    return close_interpreter(self, Py_None, SUBI_FOREVER, SUBI_FOREVER);
}

#define METHOD(name, function, doc)                                                                \
    {name, (PyCFunction)(void (*)(void))(function), METH_VARARGS | METH_KEYWORDS, doc}

static PyMethodDef interpreter_methods[] = {
    METHOD("exec", subi_interpreter_exec, subi_exec_doc),
    METHOD("call", subi_interpreter_call, subi_call_doc),
    METHOD("_call_now", subi_interpreter_call_now, subi_call_now_doc),
    METHOD("_call", subi_interpreter_call_waiting, subi_call_waiting_doc),
    METHOD("call_in_thread", subi_interpreter_call_in_thread, subi_call_in_thread_doc),
    METHOD("submit", subi_interpreter_submit, subi_submit_doc),
    METHOD("call_async", subi_interpreter_call_async, subi_call_async_doc),
    {"interrupt", subi_interpreter_interrupt, METH_VARARGS, subi_interrupt_doc},
    {"_interrupt_run", subi_interpreter_interrupt_run, METH_O, subi_interrupt_run_doc},
    METHOD("prepare_main", subi_interpreter_prepare_main, subi_prepare_main_doc),
    {"is_running", interpreter_is_running, METH_NOARGS,
     "is_running($self, /)\n--\n\nWhether code is running in its __main__ module.\n\n"
     "Raises:\n    InterpreterClosedError: it is closed."},
    {"stats", subi_interpreter_stats, METH_NOARGS, subi_stats_doc},
    METHOD("close", interpreter_close, close_doc),
    {"__reduce__", interpreter_reduce, METH_NOARGS, NULL},
    {"__enter__", interpreter_enter, METH_NOARGS, NULL},
    {"__exit__", interpreter_exit, METH_VARARGS, NULL},
    {NULL},
};

PyDoc_STRVAR(interpreter_doc,
             "Interpreter(id, /)\n--\n\n"
             "An interpreter of this process. Made by create(); with an id it is the one that\n"
             "there is. It is closed by close(), at the end of a `with` block, when the last\n"
             "object that stands for it goes away, or when the process ends.\n\n"
             "Args:\n    id: an int, the attribute `id` of an interpreter.\n\n"
             "Raises:\n"
             "    InterpreterNotFoundError: there is none with that id, or not any more.\n"
             "    TypeError, ValueError: id is no int, or negative.");

static PyMemberDef interpreter_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(interpreter, weakrefs), READONLY, NULL},
    {NULL},
};

static PyType_Slot interpreter_slots[] = {
    {Py_tp_traverse, interpreter_traverse}, {Py_tp_clear, interpreter_clear},
    {Py_tp_new, interpreter_new},           {Py_tp_members, interpreter_members},
    {Py_tp_dealloc, interpreter_dealloc},   {Py_tp_repr, interpreter_repr},
    {Py_tp_hash, interpreter_hash},         {Py_tp_richcompare, interpreter_richcompare},
    {Py_tp_getset, interpreter_getset},     {Py_tp_methods, interpreter_methods},
    {Py_tp_doc, (void *)interpreter_doc},   {0, NULL},
};

static PyType_Spec interpreter_spec = {
    .name = "subinterpreters.Interpreter",
    .basicsize = sizeof(interpreter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = interpreter_slots,
};

int
subi_interp_type_init(module_state *state)
{
    if (state->interpreters == NULL && (state->interpreters = PyDict_New()) == NULL) {
        return -1;
    }
    return subi_type_add(state, &state->interpreter_type, &interpreter_spec);
}

// ---- functions --------------------------------------------------------------------------------

PyDoc_STRVAR(
    create_doc,
    "create(*, isolation=None, name=None, site=None)\n--\n\n"
    "Make an interpreter, with the caller's sys.path, sys.argv and filters of warnings.\n\n"
    "Args:\n"
    "    isolation: 'own' gives it a GIL of its own, so that it runs in parallel; only\n"
    "        extension modules that declare support can be imported there. 'private'\n"
    "        gives it a Python runtime of its own, a private copy of libpython, so that\n"
    "        it runs in parallel and can import any extension module. 'shared' makes it\n"
    "        share the main interpreter's GIL. 'auto' is 'own' if that can import each\n"
    "        extension module that the caller has imported, else 'private'. None is 'own', before CPython 3.12\n"
    "        'private', since there is nothing else.\n"
    "    name: a str for people to read; None is one with its id.\n"
    "    site: 'inherit' makes it without running CPython's module site, since it has the caller's\n"
    "        sys.path anyway: that saves a third of the time. Where site has done more for the\n"
    "        caller (import hooks, as of editable installs; sitecustomize), or where that is not\n"
    "        possible (kind 'shared', kind 'own' before CPython 3.13), site is run all the same.\n"
    "        None runs it.\n\n"
    "Returns:\n    An Interpreter.\n\n"
    "Raises:\n"
    "    InterpreterError: it could not be made, or this Python has no such kind; the\n"
    "        message says why.\n"
    "    TypeError, ValueError: an argument is not as above.");

// The text of an argument, NULL if it is None. -1 with TypeError or ValueError.
static int
parse_text(const char *argument, PyObject *obj, const char **text)
{
    *text = NULL;
    if (obj == Py_None) {
        return 0;
    }
    if (!PyUnicode_Check(obj)) {
        PyErr_Format(PyExc_TypeError, "%s must be a str or None, got %.100s", argument,
                     Py_TYPE(obj)->tp_name);
        return -1;
    }
    Py_ssize_t size;
    *text = PyUnicode_AsUTF8AndSize(obj, &size);
    if (*text != NULL && strlen(*text) != (size_t)size) {
        PyErr_Format(PyExc_ValueError, "%s must not contain null characters", argument);
        return -1;
    }
    return *text != NULL ? 0 : -1;
}

static PyObject *
create(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"isolation", "name", "site", NULL};
    module_state *state = get_state(module);
    PyObject *isolation_arg = Py_None, *name_arg = Py_None, *site_arg = Py_None;
    const char *isolation, *name, *site;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|$OOO:create", keywords, &isolation_arg,
                                     &name_arg, &site_arg) ||
        parse_text("isolation", isolation_arg, &isolation) < 0 ||
        parse_text("name", name_arg, &name) < 0 || parse_text("site", site_arg, &site) < 0) {
        return NULL;
    }
    if (site != NULL && strcmp(site, "inherit") != 0) {
        PyErr_Format(PyExc_ValueError, "site must be 'inherit' or None, got '%.100s'", site);
        return NULL;
    }
    subi_interp *i = subi_lifecycle_create(state, isolation, name, site != NULL);
    if (i == NULL) {
        return NULL;
    }
    PyObject *self = subi_interpreter_new(state, i);
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
        PyObject *self = subi_interpreter_new(get_state(module), i);
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
    return subi_interpreter_new(state, subi_state_self(state));
}

static PyObject *
get_main(PyObject *module, PyObject *unused)
{
    subi_interp *i = subi_interp_main();
    if (i == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *self = subi_interpreter_new(get_state(module), i);
    subi_interp_drop(i);
    return self;
}

static PyObject *
is_shareable(PyObject *module, PyObject *obj)
{
    return PyBool_FromLong(subi_is_shareable(get_state(module), obj));
}

static PyObject *
import_was_refused(PyObject *module, PyObject *unused)
{
    return PyBool_FromLong(subi_import_was_refused(get_state(module)));
}

PyMethodDef subi_interp_functions[] = {
    {"_import_was_refused", import_was_refused, METH_NOARGS,
     "_import_was_refused()\n--\n\n"
     "Whether an import here was refused, since the extension module supports no interpreter of kind 'own'."},
    {"is_shareable", is_shareable, METH_O,
     "is_shareable(obj, /)\n--\n\n"
     "Whether concurrent.interpreters would call obj shareable: None, bool, int, float, bytes,\n"
     "str, memoryview, handles of this package, and tuples of these. Much more can be sent."},
    {"create", (PyCFunction)(void (*)(void))create, METH_VARARGS | METH_KEYWORDS, create_doc},
    {"list_all", list_all, METH_NOARGS,
     "list_all()\n--\n\nA list of the Interpreters of this process that are open, the main one first."},
    {"get_current", get_current, METH_NOARGS,
     "get_current()\n--\n\nThe Interpreter that the caller runs in."},
    {"get_main", get_main, METH_NOARGS,
     "get_main()\n--\n\nThe Interpreter that the process began with."},
    {NULL},
};
