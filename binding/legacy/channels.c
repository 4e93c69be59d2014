// SPDX-License-Identifier: MIT
#include "parts.h"

#include <stdlib.h>

#include "blocking.h"
#include "codec/codec.h"
#include "errors.h"
#include "ids.h"
#include "pool/pool.h"

static PyObject *
raise_channel(module_state *state, subi_result r, subi_channel *c)
{
    long long id = subi_channel_id(c);
    switch (r) {
    case SUBI_CLOSED:
        if (subi_channel_is_closed(c, SUBI_SEND)) {
            PyErr_Format(subi_error(state, LegacyChannelClosedError), "channel %lld closed", id);
        }
        else {
            PyErr_SetString(subi_error(state, LegacyChannelClosedError), "channel already closed");
        }
        break;
    case SUBI_EMPTY:
        PyErr_Format(subi_error(state, LegacyChannelEmptyError), "channel %lld is empty", id);
        break;
    case SUBI_NOT_EMPTY:
        PyErr_SetString(subi_error(state, LegacyChannelNotEmptyError),
                        "may not be closed if not empty (try force=True)");
        break;
    case SUBI_NOT_FOUND:
        PyErr_Format(subi_error(state, LegacyChannelNotFoundError), "channel %lld not found", id);
        break;
    case SUBI_FORKED:
        PyErr_Format(subi_error(state, LegacyChannelError),
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
    PyObject *id = subi_channel_id_new(subi_legacy_state(module), c, SUBI_BOTH);
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
    module_state *state = subi_legacy_state(module);
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
    module_state *state = subi_legacy_state(module);
    int64_t *ids;
    size_t count;
    if (subi_channel_list(&ids, &count) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t k = 0; k < count && list != NULL; k++) {
        subi_channel *c = subi_channel_lookup(ids[k]);
        if (c == NULL || subi_channel_label(c) == POOL_LABEL) {
            if (c != NULL) {
                subi_channel_drop(c);
            }
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
    module_state *state = subi_legacy_state(module);
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
        list = subi_legacy_list(state, ids, count);
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
    if (subi_legacy_check_shareable(state, obj) < 0 || subi_encode(state, obj, &m) < 0) {
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
    module_state *state = subi_legacy_state(module);
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
    module_state *state = subi_legacy_state(module);
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
        obj = subi_received(c, &m, subi_decode(state, &m));
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
    return subi_channel_id_resolve(subi_legacy_state(module), arg);
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
        r == SUBI_OK ? Py_NewRef(Py_None) : raise_channel(subi_legacy_state(module), r, c);
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
    module_state *state = subi_legacy_state(module);
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

static PyObject *
legacy_make_channel_id(PyObject *module, PyObject *args, PyObject *kwds)
{
    return subi_channel_id_make(subi_legacy_state(module), args, kwds);
}

PyMethodDef subi_legacy_channel_functions[] = {
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
