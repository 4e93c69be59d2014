// SPDX-License-Identifier: MIT
#include "legacy.h"

#include <stdlib.h>

#include "backend.h"
#include "codec.h"
#include "legacy_ids.h"
#include "lifecycle.h"
#include "run.h"

#define KEYWORDS METH_VARARGS | METH_KEYWORDS

// All the module has of its own: a reference to the binding's module, whose state it uses.
typedef struct legacy_state {
    PyObject *binding;
} legacy_state;

static module_state *
get_legacy_state(PyObject *module)
{
    return get_state(((legacy_state *)PyModule_GetState(module))->binding);
}

// ---- interpreters -----------------------------------------------------------------------------

PyDoc_STRVAR(create_doc, "create() -> ID\n\n"
                         "Create a new interpreter and return a unique generated ID.");

static PyObject *
legacy_create(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"isolated", NULL};
    module_state *state = get_legacy_state(module);
    int isolated = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|$i:create", keywords, &isolated)) {
        return NULL;
    }
    subi_interp *i =
        subi_lifecycle_create(state, subi_backend_find(isolated ? "own" : "shared"), NULL);
    if (i == NULL) {
        if (PyErr_ExceptionMatches(state->InterpreterError)) {
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
    // begin_close first by itself: a running interpreter is an error here, not a reason to wait
    if (subi_interp_state(i) == SUBI_STATE_RUNNING) {
        return raise_run(SUBI_BUSY, i);
    }
    subi_result r = subi_lifecycle_close(state, i, SUBI_FOREVER);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    return PyErr_Occurred() ? NULL : raise_run(r, i);
}

static PyObject *
legacy_destroy(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", NULL};
    module_state *state = get_legacy_state(module);
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O:destroy", keywords, &arg)) {
        return NULL;
    }
    subi_interp *i = subi_interpreter_id_resolve(state, arg);
    if (i == NULL) {
        return NULL;
    }
    PyObject *result = destroy(state, i);
    subi_interp_drop(i);
    return result;
}

PyDoc_STRVAR(list_all_doc, "list_all() -> [ID]\n\n"
                           "Return a list containing the ID of every existing interpreter.");

// Appends the InterpreterID of each; skips the ones that are gone by now.
static PyObject *
list_of_interpreters(module_state *state, const int64_t *ids, size_t count)
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
    PyObject *list = list_of_interpreters(get_legacy_state(module), ids, count);
    free(ids);
    return list;
}

PyDoc_STRVAR(get_current_doc, "get_current() -> ID\n\n"
                              "Return the ID of current interpreter.");

static PyObject *
legacy_get_current(PyObject *module, PyObject *unused)
{
    module_state *state = get_legacy_state(module);
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
    PyObject *id = subi_interpreter_id_new(get_legacy_state(module), i);
    subi_interp_drop(i);
    return id;
}

PyDoc_STRVAR(is_running_doc, "is_running(id) -> bool\n\n"
                             "Return whether or not the identified interpreter is running.");

static PyObject *
legacy_is_running(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", NULL};
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O:is_running", keywords, &arg)) {
        return NULL;
    }
    subi_interp *i = subi_interpreter_id_resolve(get_legacy_state(module), arg);
    if (i == NULL) {
        return NULL;
    }
    bool running = subi_interp_state(i) == SUBI_STATE_RUNNING;
    subi_interp_drop(i);
    return PyBool_FromLong(running);
}

// ---- run_string -------------------------------------------------------------------------------

// What may be sent is less than the codec can do. -1 with the exception that 3.11 raises.
static int
check_shareable(module_state *state, PyObject *obj)
{
    if (PyLong_CheckExact(obj)) {
        int overflow;
        PyLong_AsLongLongAndOverflow(obj, &overflow);
        if (overflow != 0) {
            PyErr_SetString(PyExc_OverflowError, "try sending as bytes");
            return -1;
        }
        return 0;
    }
    if (obj == Py_None || PyBytes_CheckExact(obj) || PyUnicode_CheckExact(obj) ||
        Py_IS_TYPE(obj, state->channel_id_type)) {
        return 0;
    }
    PyErr_Format(PyExc_ValueError, "%S does not support cross-interpreter data", obj);
    return -1;
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
    bool shareable = obj == Py_None || PyLong_CheckExact(obj) || PyBytes_CheckExact(obj) ||
                     PyUnicode_CheckExact(obj) ||
                     Py_IS_TYPE(obj, get_legacy_state(module)->channel_id_type);
    return PyBool_FromLong(shareable);
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
    return subi_run_pack(state, shared, check_shareable, m);
}

static PyObject *
raise_failure(module_state *state, run *r)
{
    PyObject *items = subi_run_failure(state, r);
    if (items != NULL) {
        PyErr_Format(state->LegacyRunFailedError, "%U: %U",
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
    subi_result began = subi_run(i, &r);
    subi_message_fini(&m);
    if (began != SUBI_OK) {
        return raise_run(began, i);
    }
    switch (r.outcome) {
    case RUN_SUCCEEDED:
        Py_RETURN_NONE;
    case RUN_SIGNALLED:
        return NULL;
    default:
        return raise_failure(state, &r);
    }
}

PyDoc_STRVAR(run_string_doc, "run_string(id, script, shared)\n\n"
                             "Execute the provided string in the identified interpreter.\n\n"
                             "See PyRun_SimpleStrings.");

static PyObject *
legacy_run_string(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", "script", "shared", NULL};
    module_state *state = get_legacy_state(module);
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

// ---- channels ---------------------------------------------------------------------------------

static PyObject *
raise_channel(module_state *state, subi_result r, subi_channel *c)
{
    long long id = subi_channel_id(c);
    switch (r) {
    case SUBI_CLOSED:
        if (subi_channel_is_closed(c, SUBI_SEND)) {
            PyErr_Format(state->LegacyChannelClosedError, "channel %lld closed", id);
        }
        else {
            PyErr_SetString(state->LegacyChannelClosedError, "channel already closed");
        }
        break;
    case SUBI_EMPTY:
        PyErr_Format(state->LegacyChannelEmptyError, "channel %lld is empty", id);
        break;
    case SUBI_NOT_EMPTY:
        PyErr_SetString(state->LegacyChannelNotEmptyError,
                        "may not be closed if not empty (try force=True)");
        break;
    case SUBI_NOT_FOUND:
        PyErr_Format(state->LegacyChannelNotFoundError, "channel %lld not found", id);
        break;
    case SUBI_FORKED:
        PyErr_Format(state->LegacyChannelError,
                     "channel %lld belongs to the process that this one was forked from", id);
        break;
    default:
        PyErr_NoMemory();
    }
    return NULL;
}

PyDoc_STRVAR(channel_create_doc,
             "channel_create() -> cid\n\n"
             "Create a new cross-interpreter channel and return a unique generated ID.");

static PyObject *
legacy_channel_create(PyObject *module, PyObject *unused)
{
    subi_channel *c;
    if (subi_channel_new(SUBI_UNBOUNDED, &c) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *id = subi_channel_id_new(get_legacy_state(module), c, SUBI_BOTH);
    subi_channel_drop(c);
    return id;
}

PyDoc_STRVAR(channel_destroy_doc,
             "channel_destroy(cid)\n\n"
             "Close and finalize the channel.  Afterward attempts to use the channel\n"
             "will behave as though it never existed.");

static PyObject *
legacy_channel_destroy(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"cid", NULL};
    module_state *state = get_legacy_state(module);
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O:channel_destroy", keywords, &arg)) {
        return NULL;
    }
    subi_channel *c = subi_channel_id_resolve(state, arg);
    if (c == NULL) {
        return NULL;
    }
    subi_result r = subi_channel_unlist(c);
    PyObject *result = r == SUBI_OK ? Py_NewRef(Py_None) : raise_channel(state, r, c);
    subi_channel_drop(c);
    return result;
}

PyDoc_STRVAR(channel_list_all_doc, "channel_list_all() -> [cid]\n\n"
                                   "Return the list of all IDs for active channels.");

static PyObject *
legacy_channel_list_all(PyObject *module, PyObject *unused)
{
    module_state *state = get_legacy_state(module);
    int64_t *ids;
    size_t count;
    if (subi_channel_list(&ids, &count) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t k = 0; k < count && list != NULL; k++) {
        subi_channel *c = subi_channel_lookup(ids[k]);
        if (c == NULL) {
            continue;
        }
        PyObject *id = subi_channel_id_new(state, c, SUBI_BOTH);
        subi_channel_drop(c);
        if (id == NULL || PyList_Append(list, id) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(id);
    }
    free(ids);
    return list;
}

PyDoc_STRVAR(channel_list_interpreters_doc,
             "channel_list_interpreters(cid, *, send) -> [id]\n\n"
             "Return the list of all interpreter IDs associated with an end of the channel.\n\n"
             "The 'send' argument should be a boolean indicating whether to use the send or\n"
             "receive end.");

static PyObject *
legacy_channel_list_interpreters(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"cid", "send", NULL};
    module_state *state = get_legacy_state(module);
    PyObject *arg;
    int send;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O$p:channel_list_interpreters", keywords, &arg,
                                     &send)) {
        return NULL;
    }
    subi_channel *c = subi_channel_id_resolve(state, arg);
    if (c == NULL) {
        return NULL;
    }
    int64_t *ids;
    size_t count;
    PyObject *list = NULL;
    subi_result r = subi_channel_users(c, send ? SUBI_SEND : SUBI_RECV, &ids, &count);
    if (r == SUBI_OK) {
        list = list_of_interpreters(state, ids, count);
        free(ids);
    }
    else {
        raise_channel(state, r, c);
    }
    subi_channel_drop(c);
    return list;
}

PyDoc_STRVAR(channel_send_doc, "channel_send(cid, obj)\n\n"
                               "Add the object's data to the channel's queue.");

static PyObject *
channel_send(module_state *state, subi_channel *c, PyObject *obj)
{
    subi_message m;
    if (subi_channel_is_closed(c, SUBI_SEND)) {
        return raise_channel(state, SUBI_CLOSED, c);  // before any complaint about the object
    }
    if (check_shareable(state, obj) < 0 || subi_encode(state, obj, &m) < 0) {
        return NULL;
    }
    subi_result r = subi_channel_send(c, state->self_id, &m, SUBI_TRY);
    if (r != SUBI_OK) {
        subi_message_fini(&m);
        return raise_channel(state, r, c);
    }
    Py_RETURN_NONE;
}

static PyObject *
legacy_channel_send(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"cid", "obj", NULL};
    module_state *state = get_legacy_state(module);
    PyObject *arg, *obj;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "OO:channel_send", keywords, &arg, &obj)) {
        return NULL;
    }
    subi_channel *c = subi_channel_id_resolve(state, arg);
    if (c == NULL) {
        return NULL;
    }
    PyObject *result = channel_send(state, c, obj);
    subi_channel_drop(c);
    return result;
}

PyDoc_STRVAR(channel_recv_doc,
             "channel_recv(cid, [default]) -> obj\n\n"
             "Return a new object from the data at the front of the channel's queue.\n\n"
             "If there is nothing to receive then raise ChannelEmptyError, unless\n"
             "a default value is provided.  In that case return it.");

static PyObject *
legacy_channel_recv(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"cid", "default", NULL};
    module_state *state = get_legacy_state(module);
    PyObject *arg, *empty = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|O:channel_recv", keywords, &arg, &empty)) {
        return NULL;
    }
    subi_channel *c = subi_channel_id_resolve(state, arg);
    if (c == NULL) {
        return NULL;
    }
    subi_message m;
    PyObject *obj;
    subi_result r = subi_channel_recv(c, state->self_id, &m, SUBI_TRY);
    if (r == SUBI_OK) {
        obj = subi_decode(state, &m);
        subi_message_fini(&m);
    }
    else if (r == SUBI_EMPTY && empty != NULL) {
        obj = Py_NewRef(empty);
    }
    else {
        obj = raise_channel(state, r, c);
    }
    subi_channel_drop(c);
    return obj;
}

PyDoc_STRVAR(channel_close_doc,
             "channel_close(cid, *, send=None, recv=None, force=False)\n\n"
             "Close the channel for all interpreters.\n\n"
             "If the channel is empty then the keyword args are ignored and both\n"
             "ends are immediately closed.  Otherwise, if 'force' is True then\n"
             "all queued items are released and both ends are immediately\n"
             "closed.\n\n"
             "If the channel is not empty *and* 'force' is False then following\n"
             "happens:\n\n"
             " * recv is True (regardless of send):\n"
             "   - raise ChannelNotEmptyError\n"
             " * recv is None and send is None:\n"
             "   - raise ChannelNotEmptyError\n"
             " * send is True and recv is not True:\n"
             "   - fully close the 'send' end\n"
             "   - close the 'recv' end to interpreters not already receiving\n"
             "   - fully close it once empty\n\n"
             "Closing an already closed channel results in a ChannelClosedError.\n\n"
             "Once the channel's ID has no more ref counts in any interpreter\n"
             "the channel will be destroyed.");

// The arguments that close and release have in common. A new reference to the channel, or NULL.
static subi_channel *
parse_close(PyObject *module, PyObject *args, PyObject *kwds, const char *format, int *send,
            int *recv, int *force)
{
    static char *keywords[] = {"cid", "send", "recv", "force", NULL};
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, format, keywords, &arg, send, recv, force)) {
        return NULL;
    }
    return subi_channel_id_resolve(get_legacy_state(module), arg);
}

static PyObject *
legacy_channel_close(PyObject *module, PyObject *args, PyObject *kwds)
{
    int send = 0, recv = 0, force = 0;
    subi_channel *c = parse_close(module, args, kwds, "O|$ppp:channel_close", &send, &recv, &force);
    if (c == NULL) {
        return NULL;
    }
    subi_end ends = send && !recv && !force ? SUBI_SEND : SUBI_BOTH;
    subi_result r = subi_channel_close(c, ends, force);
    PyObject *result =
        r == SUBI_OK ? Py_NewRef(Py_None) : raise_channel(get_legacy_state(module), r, c);
    subi_channel_drop(c);
    return result;
}

PyDoc_STRVAR(channel_release_doc,
             "channel_release(cid, *, send=None, recv=None, force=True)\n\n"
             "Close the channel for the current interpreter.  'send' and 'recv'\n"
             "(bool) may be used to indicate the ends to close.  By default both\n"
             "ends are closed.  Closing an already closed end is a noop.");

static PyObject *
legacy_channel_release(PyObject *module, PyObject *args, PyObject *kwds)
{
    module_state *state = get_legacy_state(module);
    int send = 0, recv = 0, force = 0;
    subi_channel *c =
        parse_close(module, args, kwds, "O|$ppp:channel_release", &send, &recv, &force);
    if (c == NULL) {
        return NULL;
    }
    subi_end ends = send == recv ? SUBI_BOTH : send ? SUBI_SEND : SUBI_RECV;
    subi_result r = subi_channel_release(c, state->self_id, ends);
    PyObject *result = r == SUBI_OK ? Py_NewRef(Py_None) : raise_channel(state, r, c);
    subi_channel_drop(c);
    return result;
}

#define FUNCTION(f) (PyCFunction)(void (*)(void)) f

static PyObject *
legacy_make_channel_id(PyObject *module, PyObject *args, PyObject *kwds)
{
    return subi_channel_id_make(get_legacy_state(module), args, kwds);
}

static PyMethodDef legacy_functions[] = {
    {"create", FUNCTION(legacy_create), KEYWORDS, create_doc},
    {"destroy", FUNCTION(legacy_destroy), KEYWORDS, destroy_doc},
    {"list_all", legacy_list_all, METH_NOARGS, list_all_doc},
    {"get_current", legacy_get_current, METH_NOARGS, get_current_doc},
    {"get_main", legacy_get_main, METH_NOARGS, get_main_doc},
    {"is_running", FUNCTION(legacy_is_running), KEYWORDS, is_running_doc},
    {"run_string", FUNCTION(legacy_run_string), KEYWORDS, run_string_doc},
    {"is_shareable", FUNCTION(legacy_is_shareable), KEYWORDS, is_shareable_doc},
    {"channel_create", legacy_channel_create, METH_NOARGS, channel_create_doc},
    {"channel_destroy", FUNCTION(legacy_channel_destroy), KEYWORDS, channel_destroy_doc},
    {"channel_list_all", legacy_channel_list_all, METH_NOARGS, channel_list_all_doc},
    {"channel_list_interpreters", FUNCTION(legacy_channel_list_interpreters), KEYWORDS,
     channel_list_interpreters_doc},
    {"channel_send", FUNCTION(legacy_channel_send), KEYWORDS, channel_send_doc},
    {"channel_recv", FUNCTION(legacy_channel_recv), KEYWORDS, channel_recv_doc},
    {"channel_close", FUNCTION(legacy_channel_close), KEYWORDS, channel_close_doc},
    {"channel_release", FUNCTION(legacy_channel_release), KEYWORDS, channel_release_doc},
    {"_channel_id", FUNCTION(legacy_make_channel_id), KEYWORDS, NULL},
    {NULL},
};

// ---- the module -------------------------------------------------------------------------------

static int
legacy_traverse(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(((legacy_state *)PyModule_GetState(module))->binding);
    return 0;
}

static int
legacy_clear(PyObject *module)
{
    Py_CLEAR(((legacy_state *)PyModule_GetState(module))->binding);
    return 0;
}

static void
legacy_free(void *module)
{
    legacy_clear(module);
}

static PyModuleDef_Slot legacy_slots[] = {
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
    {0, NULL},
};

PyDoc_STRVAR(legacy_doc,
             "This module provides primitive operations to manage Python interpreters.\n"
             "The 'interpreters' module provides a more convenient interface.");

static PyModuleDef legacy_module_def = {
    PyModuleDef_HEAD_INIT,          .m_name = "_xxsubinterpreters", .m_doc = legacy_doc,
    .m_size = sizeof(legacy_state), .m_methods = legacy_functions,  .m_slots = legacy_slots,
    .m_traverse = legacy_traverse,  .m_clear = legacy_clear,        .m_free = legacy_free,
};

static int
add_names(PyObject *module, module_state *state)
{
    const struct {
        const char *name;
        PyObject *value;
    } names[] = {
        {"InterpreterID", (PyObject *)state->interpreter_id_type},
        {"ChannelID", (PyObject *)state->channel_id_type},
        {"RunFailedError", state->LegacyRunFailedError},
        {"ChannelError", state->LegacyChannelError},
        {"ChannelNotFoundError", state->LegacyChannelNotFoundError},
        {"ChannelClosedError", state->LegacyChannelClosedError},
        {"ChannelEmptyError", state->LegacyChannelEmptyError},
        {"ChannelNotEmptyError", state->LegacyChannelNotEmptyError},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (PyModule_AddObjectRef(module, names[i].name, names[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
subi_legacy_module(PyObject *binding, PyObject *spec)
{
    PyObject *module = PyModule_FromDefAndSpec(&legacy_module_def, spec);
    if (module == NULL) {
        return NULL;
    }
    if (PyModule_ExecDef(module, &legacy_module_def) == 0) {  // allocates the state
        ((legacy_state *)PyModule_GetState(module))->binding = Py_NewRef(binding);
        if (add_names(module, get_state(binding)) == 0) {
            return module;
        }
    }
    Py_DECREF(module);
    return NULL;
}
