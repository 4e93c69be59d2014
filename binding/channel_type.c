// SPDX-License-Identifier: MIT
#include "channel_type.h"

#include "async.h"
#include "blocking.h"
#include "codec/codec.h"
#include "errors.h"

// One handle on one end; the core counts them, and an end closes with its last handle.
typedef struct channel_end {
    PyObject_HEAD
    subi_channel *channel;
} channel_end;

subi_channel *
subi_channel_of(PyObject *self)
{
    return ((channel_end *)self)->channel;
}

static subi_end
end_of(module_state *state, PyObject *self)
{
    return Py_IS_TYPE(self, state->send_channel_type) ? SUBI_SEND : SUBI_RECV;
}

static bool
is_channel_end(module_state *state, PyObject *obj)
{
    return Py_IS_TYPE(obj, state->send_channel_type) || Py_IS_TYPE(obj, state->recv_channel_type);
}

static PyObject *
new_end(module_state *state, subi_channel *c, subi_end end)
{
    PyTypeObject *type = end == SUBI_SEND ? state->send_channel_type : state->recv_channel_type;
    channel_end *self = PyObject_New(channel_end, type);
    if (self != NULL) {
        subi_channel_hold_end(c, end);
        self->channel = c;
    }
    return (PyObject *)self;
}

bool
subi_channel_end_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment)
{
    if (state == NULL || !is_channel_end(state, obj)) {
        return false;
    }
    subi_end end = end_of(state, obj);
    *type = end == SUBI_SEND ? SUBI_HANDLE_SEND_CHANNEL : SUBI_HANDLE_RECV_CHANNEL;
    *segment = subi_channel_end_segment(subi_channel_of(obj), end);
    return true;
}

PyObject *
subi_channel_end_unpack(module_state *state, char type, const subi_segment *segment)
{
    return new_end(state, segment->owner, type == SUBI_HANDLE_SEND_CHANNEL ? SUBI_SEND : SUBI_RECV);
}

// ---- methods of both --------------------------------------------------------------------------

static void
send_channel_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_channel_drop_end(subi_channel_of(self), SUBI_SEND);
    type->tp_free(self);
    Py_DECREF(type);
}

static void
recv_channel_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_channel_drop_end(subi_channel_of(self), SUBI_RECV);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
end_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<%s of channel %lld>", strchr(Py_TYPE(self)->tp_name, '.') + 1,
                                (long long)subi_channel_id(subi_channel_of(self)));
}

static PyObject *
end_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong((subi_channel_of(self) == subi_channel_of(other)) == (op == Py_EQ));
}

static Py_hash_t
end_hash(PyObject *self)
{
    return (Py_hash_t)subi_channel_id(subi_channel_of(self));
}

static PyObject *
end_get_id(PyObject *self, void *unused)
{
    return PyLong_FromLongLong(subi_channel_id(subi_channel_of(self)));
}

static PyObject *
end_get_capacity(PyObject *self, void *unused)
{
    size_t capacity = subi_channel_capacity(subi_channel_of(self));
    if (capacity == SUBI_UNBOUNDED) {
        Py_RETURN_NONE;
    }
    return PyLong_FromSize_t(capacity);
}

static PyObject *
end_get_closed(PyObject *self, void *unused)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    return PyBool_FromLong(subi_channel_is_closed(subi_channel_of(self), end_of(state, self)));
}

static Py_ssize_t
end_length(PyObject *self)
{
    return (Py_ssize_t)subi_channel_count(subi_channel_of(self));
}

static int
end_bool(PyObject *self)
{
    return 1;  // an empty channel is not a false one
}

static PyGetSetDef end_getset[] = {
    {"id", end_get_id, NULL, "The channel's number, the same in every interpreter.", NULL},
    {"capacity", end_get_capacity, NULL,
     "How many messages may be queued: an int (0: a sender waits for a receiver), or None.", NULL},
    {"closed", end_get_closed, NULL, "Whether this end is closed.", NULL},
    {NULL},
};

PyDoc_STRVAR(close_doc,
             "close($self, /)\n--\n\n"
             "Close this end for everybody.\n\n"
             "After the sending end was closed, receivers get what is queued and then\n"
             "ChannelClosedError (iteration ends). Closing the receiving end throws away what is\n"
             "queued, and senders get ChannelClosedError. Closing again does nothing.\n\n"
             "Raises:\n    ChannelError: in the child of a fork.");

static PyObject *
end_close(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_channel *c = subi_channel_of(self);
    subi_result r = subi_channel_close(c, end_of(state, self), true);
    if (r != SUBI_OK && r != SUBI_CLOSED) {
        return subi_raise_channel(state, r, subi_channel_id(c));
    }
    Py_RETURN_NONE;
}

static PyObject *
end_enter(PyObject *self, PyObject *unused)
{
    return Py_NewRef(self);
}

static PyObject *
end_exit(PyObject *self, PyObject *args)
{
    return end_close(self, NULL);
}

// ---- SendChannel ------------------------------------------------------------------------------

typedef int (*encoder)(module_state *, PyObject *, subi_message *);

static PyObject *
send_object(PyObject *self, PyObject *obj, encoder encode, int64_t deadline)
{
    module_state *state = get_state_of(self);
    subi_message m;
    if (state == NULL) {
        return NULL;
    }
    subi_exports_drain(state->self);
    if (encode(state, obj, &m) < 0) {
        return NULL;
    }
    subi_channel *c = subi_channel_of(self);
    subi_result r = subi_blocking_send(state, c, &m, deadline);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    subi_message_fini(&m);
    return r == SUBI_INTERRUPTED ? NULL : subi_raise_channel(state, r, subi_channel_id(c));
}

PyDoc_STRVAR(
    send_doc,
    "send($self, obj, /, timeout=None)\n--\n\n"
    "Send a copy of obj; wait while the channel is full. Buffers are not copied: the\n"
    "receiver gets a memoryview of the same memory.\n\n"
    "Args:\n"
    "    obj: None, bool, int, float, complex, str, bytes, a channel end, an object with the\n"
    "        buffer protocol (bytearray, array, memoryview...), or a tuple, list, dict, set or\n"
    "        frozenset of these, of exactly these types; or what can be pickled. Functions\n"
    "        that are no module's, and what is defined in __main__, need cloudpickle.\n"
    "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
    "Raises:\n"
    "    NotShareableError: obj is something else, or a buffer of Python objects. Its cause is\n"
    "        what pickle has raised.\n"
    "    RecursionError: it is nested too deeply.\n"
    "    RuntimeError: something in it changed its size meanwhile.\n"
    "    ChannelClosedError: the channel is closed, or was while waiting.\n"
    "    ChannelFullError: timeout is 0 and there is no room.\n"
    "    TimeoutError: the time is over.\n"
    "    ValueError: timeout is negative.");

static PyObject *
parse_and_send(PyObject *self, PyObject *args, PyObject *kwds, const char *format, encoder encode)
{
    static char *keywords[] = {"", "timeout", NULL};
    PyObject *obj, *timeout = NULL;
    int64_t deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, format, keywords, &obj, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    return send_object(self, obj, encode, deadline);
}

static PyObject *
send_channel_send(PyObject *self, PyObject *args, PyObject *kwds)
{
    return parse_and_send(self, args, kwds, "O|O:send", subi_encode);
}

PyDoc_STRVAR(send_buffer_doc,
             "send_buffer($self, obj, /, timeout=None)\n--\n\n"
             "Send the memory of obj without a copy, also that of bytes: the receiver gets a\n"
             "memoryview. The rest is as for send().\n\n"
             "Args:\n"
             "    obj: an object with the buffer protocol.\n"
             "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
             "Raises:\n"
             "    TypeError: obj has no buffer; if it has one that cannot be sent, that is a\n"
             "        NotShareableError.");

static PyObject *
send_channel_send_buffer(PyObject *self, PyObject *args, PyObject *kwds)
{
    return parse_and_send(self, args, kwds, "O|O:send_buffer", subi_encode_buffer);
}

PyDoc_STRVAR(send_nowait_doc, "send_nowait($self, obj, /)\n--\n\n"
                              "As send(obj, timeout=0): ChannelFullError if there is no room.");

static PyObject *
send_channel_send_nowait(PyObject *self, PyObject *obj)
{
    return send_object(self, obj, subi_encode, SUBI_TRY);
}

PyDoc_STRVAR(
    send_async_doc,
    "send_async($self, obj, /)\n--\n\n"
    "As send(), for asyncio: a coroutine, which waits for room without blocking the event\n"
    "loop. One that is cancelled has not sent. obj is encoded at the call. On a channel of\n"
    "capacity 0 it needs a receiver that waits: one that tries once does not find it.\n\n"
    "Args:\n    obj: what send() can send.\n\n"
    "Raises:\n"
    "    NotShareableError, RecursionError, RuntimeError: as for send(), at the call.\n"
    "    ChannelClosedError: the channel is closed, or was while waiting.\n"
    "    OSError: there are too many open files.");

static PyObject *
send_channel_send_async(PyObject *self, PyObject *obj)
{
    module_state *state = get_state_of(self);
    subi_message m;
    if (state == NULL || subi_encode(state, obj, &m) < 0) {
        return NULL;
    }
    return subi_async_send(state, self, subi_channel_of(self), &m, NULL);
}

static PyMethodDef send_channel_methods[] = {
    {"send", (PyCFunction)(void (*)(void))send_channel_send, METH_VARARGS | METH_KEYWORDS,
     send_doc},
    {"send_buffer", (PyCFunction)(void (*)(void))send_channel_send_buffer,
     METH_VARARGS | METH_KEYWORDS, send_buffer_doc},
    {"send_nowait", send_channel_send_nowait, METH_O, send_nowait_doc},
    {"send_async", send_channel_send_async, METH_O, send_async_doc},
    {"close", end_close, METH_NOARGS, close_doc},
    {"__enter__", end_enter, METH_NOARGS, NULL},
    {"__exit__", end_exit, METH_VARARGS, NULL},
    {NULL},
};

PyDoc_STRVAR(send_channel_doc,
             "The sending end of a channel. Made by create_channel(), and by sending one. The\n"
             "channel closes for sending when the last of them is gone, in whatever interpreter.");

static PyType_Slot send_channel_slots[] = {
    {Py_tp_dealloc, send_channel_dealloc},
    {Py_tp_repr, end_repr},
    {Py_tp_richcompare, end_richcompare},
    {Py_tp_hash, end_hash},
    {Py_tp_methods, send_channel_methods},
    {Py_tp_getset, end_getset},
    {Py_sq_length, end_length},
    {Py_nb_bool, end_bool},
    {Py_tp_doc, (void *)send_channel_doc},
    {0, NULL},
};

static PyType_Spec send_channel_spec = {
    .name = "subinterpreters.SendChannel",
    .basicsize = sizeof(channel_end),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = send_channel_slots,
};

// ---- RecvChannel ------------------------------------------------------------------------------

// The received object; NULL without an exception when the channel is closed; NULL with one.
static PyObject *
recv_object(PyObject *self, int64_t deadline, subi_result *r)
{
    module_state *state = get_state_of(self);
    subi_message m;
    if (state == NULL) {
        *r = SUBI_INTERRUPTED;
        return NULL;
    }
    subi_exports_drain(state->self);
    *r = subi_blocking_recv(state, subi_channel_of(self), &m, deadline);
    if (*r != SUBI_OK) {
        return NULL;
    }
    return subi_received(subi_channel_of(self), &m, subi_decode(state, &m));
}

static PyObject *
recv_or_raise(PyObject *self, int64_t deadline, PyObject *empty)
{
    subi_result r;
    PyObject *obj = recv_object(self, deadline, &r);
    if (r == SUBI_EMPTY && empty != NULL) {
        return Py_NewRef(empty);
    }
    if (r == SUBI_OK || r == SUBI_INTERRUPTED) {
        return obj;
    }
    return subi_raise_channel(get_state_of(self), r, subi_channel_id(subi_channel_of(self)));
}

PyDoc_STRVAR(recv_doc,
             "recv($self, /, timeout=None)\n--\n\n"
             "Receive the oldest message; wait while there is none.\n\n"
             "Args:\n"
             "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
             "Returns:\n    A new object, equal to what was sent.\n\n"
             "Raises:\n"
             "    ChannelClosedError: the channel is closed and drained, or was while waiting.\n"
             "    ChannelEmptyError: timeout is 0 and there is nothing.\n"
             "    TimeoutError: the time is over.\n"
             "    MemoryError: there is not enough for the message, which stays the oldest one.\n"
             "    ValueError: timeout is negative.");

static PyObject *
recv_channel_recv(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    PyObject *timeout = NULL;
    int64_t deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|O:recv", keywords, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    return recv_or_raise(self, deadline, NULL);
}

PyDoc_STRVAR(recv_nowait_doc,
             "recv_nowait($self, default=..., /)\n--\n\n"
             "As recv(timeout=0), but when there is nothing, return default if it is given.\n\n"
             "Returns:\n    A new object, equal to what was sent; or default.\n\n"
             "Raises:\n"
             "    ChannelEmptyError: there is nothing, and no default.\n"
             "    ChannelClosedError: the channel is closed and drained.");

static PyObject *
recv_channel_recv_nowait(PyObject *self, PyObject *args)
{
    PyObject *empty = NULL;
    if (!PyArg_ParseTuple(args, "|O:recv_nowait", &empty)) {
        return NULL;
    }
    return recv_or_raise(self, SUBI_TRY, empty);
}

static PyObject *
recv_channel_next(PyObject *self)
{
    subi_result r;
    PyObject *obj = recv_object(self, SUBI_FOREVER, &r);
    if (r == SUBI_OK || r == SUBI_INTERRUPTED || r == SUBI_CLOSED) {
        return obj;  // closed: NULL without an exception ends the iteration
    }
    return subi_raise_channel(get_state_of(self), r, subi_channel_id(subi_channel_of(self)));
}

PyDoc_STRVAR(
    recv_async_doc,
    "recv_async($self, /)\n--\n\n"
    "As recv(), for asyncio: a coroutine, which waits without blocking the event loop. One\n"
    "that is cancelled has received nothing.\n\n"
    "Returns:\n    A new object, equal to what was sent.\n\n"
    "Raises:\n"
    "    ChannelClosedError: the channel is closed and drained, or was while waiting.\n"
    "    OSError: there are too many open files.");

static PyObject *
recv_channel_recv_async(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    return state != NULL ? subi_async_recv(state, self, subi_channel_of(self), NULL) : NULL;
}

static PyMethodDef recv_channel_methods[] = {
    {"recv", (PyCFunction)(void (*)(void))recv_channel_recv, METH_VARARGS | METH_KEYWORDS,
     recv_doc},
    {"recv_nowait", recv_channel_recv_nowait, METH_VARARGS, recv_nowait_doc},
    {"recv_async", recv_channel_recv_async, METH_NOARGS, recv_async_doc},
    {"close", end_close, METH_NOARGS, close_doc},
    {"__enter__", end_enter, METH_NOARGS, NULL},
    {"__exit__", end_exit, METH_VARARGS, NULL},
    {NULL},
};

PyDoc_STRVAR(recv_channel_doc,
             "The receiving end of a channel. Made by create_channel(), and by sending one. The\n"
             "channel closes when the last of them is gone, in whatever interpreter. Iteration\n"
             "receives until the channel is closed and drained; `async for`, too, which lets the\n"
             "event loop take its turn now and then, however much is queued.");

static PyType_Slot recv_channel_slots[] = {
    {Py_tp_dealloc, recv_channel_dealloc},
    {Py_tp_repr, end_repr},
    {Py_tp_richcompare, end_richcompare},
    {Py_tp_hash, end_hash},
    {Py_tp_methods, recv_channel_methods},
    {Py_tp_getset, end_getset},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, recv_channel_next},
    {Py_am_aiter, subi_async_iterate},
    {Py_sq_length, end_length},
    {Py_nb_bool, end_bool},
    {Py_tp_doc, (void *)recv_channel_doc},
    {0, NULL},
};

static PyType_Spec recv_channel_spec = {
    .name = "subinterpreters.RecvChannel",
    .basicsize = sizeof(channel_end),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = recv_channel_slots,
};

// ---- functions --------------------------------------------------------------------------------

static int
parse_capacity(PyObject *arg, size_t *capacity)
{
    *capacity = SUBI_UNBOUNDED;
    if (arg == Py_None) {
        return 0;
    }
    Py_ssize_t n = PyNumber_AsSsize_t(arg, PyExc_OverflowError);
    if (n == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) {
            PyErr_Format(PyExc_TypeError, "capacity must be an int or None, got %.100s",
                         Py_TYPE(arg)->tp_name);
        }
        return -1;
    }
    if (n < 0) {
        PyErr_Format(PyExc_ValueError, "capacity must not be negative, got %zd", n);
        return -1;
    }
    *capacity = (size_t)n;
    return 0;
}

PyDoc_STRVAR(
    create_channel_doc,
    "create_channel(capacity=None)\n--\n\n"
    "Make a channel, through which interpreters and threads send objects to each other.\n\n"
    "Args:\n"
    "    capacity: how many messages may be queued before a sender waits; None is no\n"
    "        limit, 0 makes every sender wait for its receiver.\n\n"
    "Returns:\n    The pair (RecvChannel, SendChannel).\n\n"
    "Raises:\n    TypeError, ValueError, OverflowError: capacity is no int, negative, or too large.");

static PyObject *
create_channel(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"capacity", NULL};
    module_state *state = get_state(module);
    PyObject *capacity_arg = Py_None;
    size_t capacity;
    subi_channel *c;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|O:create_channel", keywords, &capacity_arg) ||
        parse_capacity(capacity_arg, &capacity) < 0) {
        return NULL;
    }
    if (subi_channel_new(capacity, &c) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *recv = new_end(state, c, SUBI_RECV);
    PyObject *send = recv != NULL ? new_end(state, c, SUBI_SEND) : NULL;
    subi_channel_drop(c);
    if (send == NULL) {
        Py_XDECREF(recv);
        return NULL;
    }
    return Py_BuildValue("(NN)", recv, send);
}

PyMethodDef subi_channel_functions[] = {
    {"create_channel", (PyCFunction)(void (*)(void))create_channel, METH_VARARGS | METH_KEYWORDS,
     create_channel_doc},
    {NULL},
};

int
subi_channel_types_make(module_state *state)
{
    return subi_type_add(state, &state->recv_channel_type, &recv_channel_spec) < 0
               ? -1
               : subi_type_add(state, &state->send_channel_type, &send_channel_spec);
}
