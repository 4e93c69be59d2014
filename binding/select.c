// SPDX-License-Identifier: MIT
#include "select.h"

#include "blocking.h"
#include "channel_type.h"
#include "codec/codec.h"
#include "errors.h"

PyDoc_STRVAR(
    select_doc,
    "select(*cases, timeout=None)\n--\n\n"
    "Wait until one of several sends and receives can go ahead, and do that one.\n\n"
    "Args:\n"
    "    cases: each a RecvChannel, to receive from, or a pair (SendChannel, obj), to send obj.\n"
    "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
    "Returns:\n"
    "    The pair (index, obj): which case was done, and what it received (None for a send). The\n"
    "    choice among several that are ready is random.\n\n"
    "Raises:\n"
    "    ChannelClosedError: the chosen case's channel is closed; its attribute `index` says which.\n"
    "    TimeoutError: the time is over, or timeout is 0 and none is ready.\n"
    "    NotShareableError, TypeError, ValueError: a case or the timeout is not as above.");

// Fills in one case; the message to send is written to *m.
static int
parse_case(module_state *state, PyObject *arg, Py_ssize_t index, subi_case *k, subi_message *m)
{
    *m = subi_message_none();
    k->message = m;
    if (Py_IS_TYPE(arg, state->recv_channel_type)) {
        k->channel = subi_channel_of(arg);
        k->end = SUBI_RECV;
        return 0;
    }
    if (PyTuple_CheckExact(arg) && PyTuple_GET_SIZE(arg) == 2 &&
        Py_IS_TYPE(PyTuple_GET_ITEM(arg, 0), state->send_channel_type)) {
        k->channel = subi_channel_of(PyTuple_GET_ITEM(arg, 0));
        k->end = SUBI_SEND;
        return subi_encode(state, PyTuple_GET_ITEM(arg, 1), m);
    }
    PyErr_Format(PyExc_TypeError,
                 "case %zd must be a RecvChannel or a pair (SendChannel, obj), got %.100s", index,
                 Py_TYPE(arg)->tp_name);
    return -1;
}

static PyObject *
raise_select(module_state *state, subi_result r, const subi_case *k, size_t index)
{
    if (r == SUBI_INTERRUPTED) {
        return NULL;
    }
    if (r == SUBI_EMPTY || r == SUBI_TIMEOUT) {
        PyErr_SetString(PyExc_TimeoutError,
                        r == SUBI_EMPTY ? "no case is ready" : "timed out waiting for a case");
        return NULL;
    }
    subi_raise_channel(state, r, k != NULL ? subi_channel_id(k->channel) : -1);
    if (r == SUBI_CLOSED) {
        PyObject *exc = PyErr_GetRaisedException();
        PyObject *number = PyLong_FromSize_t(index);
        if (number == NULL || PyObject_SetAttrString(exc, "index", number) < 0) {
            PyErr_Clear();
        }
        Py_XDECREF(number);
        PyErr_SetRaisedException(exc);
    }
    return NULL;
}

int
subi_select_parse(module_state *state, PyObject *args, subi_case *cases, subi_message *messages)
{
    Py_ssize_t n = PyTuple_GET_SIZE(args);
    for (Py_ssize_t i = 0; i < n; i++) {
        if (parse_case(state, PyTuple_GET_ITEM(args, i), i, &cases[i], &messages[i]) < 0) {
            subi_select_clear(messages, (size_t)i);
            return -1;
        }
    }
    return 0;
}

void
subi_select_clear(subi_message *messages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        subi_message_fini(&messages[i]);
    }
}

PyObject *
subi_select_result(module_state *state, subi_result r, const subi_case *cases, size_t count,
                   size_t chosen)
{
    if (r != SUBI_OK) {
        return raise_select(state, r, chosen < count ? &cases[chosen] : NULL, chosen);
    }
    if (cases[chosen].end == SUBI_SEND) {
        return Py_BuildValue("(nO)", (Py_ssize_t)chosen, Py_None);
    }
    const subi_case *k = &cases[chosen];
    PyObject *obj = subi_decode(state, k->message);
    PyObject *pair = obj != NULL ? Py_BuildValue("(nN)", (Py_ssize_t)chosen, obj) : NULL;
    return subi_received(k->channel, k->message, pair);
}

static PyObject *
select_cases(module_state *state, PyObject *args, int64_t deadline, subi_case *cases,
             subi_message *messages)
{
    size_t n = (size_t)PyTuple_GET_SIZE(args), chosen = 0;
    if (subi_select_parse(state, args, cases, messages) < 0) {
        return NULL;
    }
    subi_result r = subi_blocking_select(state, cases, n, deadline, &chosen);
    PyObject *result = subi_select_result(state, r, cases, n, chosen);
    subi_select_clear(messages, n);
    return result;
}

static PyObject *
channel_select(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    int64_t deadline;
    PyObject *no_args = PyTuple_New(0);
    int parsed = no_args != NULL &&
                 PyArg_ParseTupleAndKeywords(no_args, kwds, "|$O:select", keywords, &timeout);
    Py_XDECREF(no_args);
    if (!parsed || subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    size_t n = (size_t)PyTuple_GET_SIZE(args);
    subi_case *cases = PyMem_Calloc(n, sizeof(*cases));
    subi_message *messages = PyMem_Calloc(n, sizeof(*messages));
    PyObject *result = NULL;
    if (cases == NULL || messages == NULL) {
        PyErr_NoMemory();
    }
    else {
        subi_exports_drain(get_state(module)->self);
        result = select_cases(get_state(module), args, deadline, cases, messages);
    }
    PyMem_Free(cases);
    PyMem_Free(messages);
    return result;
}

PyMethodDef subi_select_functions[] = {
    {"select", (PyCFunction)(void (*)(void))channel_select, METH_VARARGS | METH_KEYWORDS,
     select_doc},
    {NULL},
};
