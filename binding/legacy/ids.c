// SPDX-License-Identifier: MIT
#include "ids.h"

#include "errors.h"
#include "lifecycle.h"

// ---- what both types share --------------------------------------------------------------------

// An id from anything with __index__; `what` is for the messages. -1 with an exception set.
static int
parse_id(PyObject *arg, const char *what, int64_t *id)
{
    if (!PyIndex_Check(arg)) {
        PyErr_Format(PyExc_TypeError, "%s ID must be an int, got %.100s", what,
                     Py_TYPE(arg)->tp_name);
        return -1;
    }
    PyObject *number = PyNumber_Index(arg);
    if (number == NULL) {
        return -1;
    }
    int overflow;
    *id = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow != 0) {
        PyErr_SetString(PyExc_OverflowError, "int too big to convert");
        return -1;
    }
    if (*id < 0) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "%s ID must be a non-negative int, got %R", what, arg);
        }
        return -1;
    }
    return 0;
}

// Compares an id with a number of any type; `other` is not an id object.
static PyObject *
compare_id(int64_t id, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || !PyNumber_Check(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    PyObject *number = PyLong_FromLongLong(id);
    if (number == NULL) {
        return NULL;
    }
    PyObject *result = PyObject_RichCompare(number, other, op);
    Py_DECREF(number);
    return result;
}

static Py_hash_t
hash_id(int64_t id)
{
    PyObject *number = PyLong_FromLongLong(id);
    if (number == NULL) {
        return -1;
    }
    Py_hash_t hash = PyObject_Hash(number);
    Py_DECREF(number);
    return hash;
}

// ---- InterpreterID ----------------------------------------------------------------------------

typedef struct interpreter_id {
    PyObject_HEAD
    int64_t id;
    subi_interp *interp;  // one reference, as a user; NULL: made by force, or closed by then
} interpreter_id;

static int64_t
interp_number(PyObject *self)
{
    return ((interpreter_id *)self)->id;
}

static PyObject *
new_interpreter_id(PyTypeObject *type, int64_t id, subi_interp *i)
{
    interpreter_id *self = (interpreter_id *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->id = id;
        self->interp = i;
        if (i != NULL) {
            subi_interp_hold(i);
            subi_interp_hold_user(i);
        }
    }
    return (PyObject *)self;
}

PyObject *
subi_interpreter_id_new(module_state *state, subi_interp *i)
{
    return new_interpreter_id(state->interpreter_id_type, subi_interp_id(i), i);
}

static subi_interp *
lookup_interp(int64_t id)
{
    subi_interp *i = subi_interp_lookup(id);
    if (i == NULL) {
        PyErr_Format(PyExc_RuntimeError, "unrecognized interpreter ID %lld", (long long)id);
    }
    return i;
}

subi_interp *
subi_interpreter_id_resolve(module_state *state, PyObject *arg)
{
    int64_t id;
    if (PyObject_TypeCheck(arg, state->interpreter_id_type)) {
        id = interp_number(arg);
    }
    else if (parse_id(arg, "interpreter", &id) < 0) {
        return NULL;
    }
    return lookup_interp(id);
}

static PyObject *
interpreter_id_tp_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", "force", NULL};
    PyObject *arg;
    int64_t id;
    int force = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$p:InterpreterID.__init__", keywords, &arg,
                                     &force) ||
        parse_id(arg, "interpreter", &id) < 0) {
        return NULL;
    }
    subi_interp *i = lookup_interp(id);
    if (i == NULL) {
        if (!force) {
            return NULL;
        }
        PyErr_Clear();
    }
    PyObject *self = new_interpreter_id(type, id, i);
    if (i != NULL) {
        subi_interp_drop(i);
    }
    return self;
}

static void
interpreter_id_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_interp *i = ((interpreter_id *)self)->interp;
    if (i != NULL) {
        subi_lifecycle_drop_user(i);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
interpreter_id_repr(PyObject *self)
{
    return PyUnicode_FromFormat("InterpreterID(%lld)", (long long)interp_number(self));
}

static PyObject *
interpreter_id_str(PyObject *self)
{
    return PyUnicode_FromFormat("%lld", (long long)interp_number(self));
}

static PyObject *
interpreter_id_int(PyObject *self)
{
    return PyLong_FromLongLong(interp_number(self));
}

static Py_hash_t
interpreter_id_hash(PyObject *self)
{
    return hash_id(interp_number(self));
}

static PyObject *
interpreter_id_richcompare(PyObject *self, PyObject *other, int op)
{
    if (PyObject_TypeCheck(other, Py_TYPE(self)) && (op == Py_EQ || op == Py_NE)) {
        return PyBool_FromLong((interp_number(self) == interp_number(other)) == (op == Py_EQ));
    }
    return compare_id(interp_number(self), other, op);
}

static PyType_Slot interpreter_id_slots[] = {
    {Py_tp_new, interpreter_id_tp_new},
    {Py_tp_dealloc, interpreter_id_dealloc},
    {Py_tp_repr, interpreter_id_repr},
    {Py_tp_str, interpreter_id_str},
    {Py_nb_int, interpreter_id_int},
    {Py_nb_index, interpreter_id_int},
    {Py_tp_hash, interpreter_id_hash},
    {Py_tp_richcompare, interpreter_id_richcompare},
    {Py_tp_doc, "A interpreter ID identifies a interpreter and may be used as an int."},
    {0, NULL},
};

static PyType_Spec interpreter_id_spec = {
    .name = "_xxsubinterpreters.InterpreterID",
    .basicsize = sizeof(interpreter_id),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = interpreter_id_slots,
};

// ---- ChannelID --------------------------------------------------------------------------------

typedef struct channel_id {
    PyObject_HEAD
    int64_t id;
    subi_end end;
    subi_channel *channel;  // one reference; NULL: made by force
} channel_id;

static int64_t
channel_number(PyObject *self)
{
    return ((channel_id *)self)->id;
}

static PyObject *
new_channel_id(PyTypeObject *type, int64_t id, subi_channel *c, subi_end end)
{
    channel_id *self = (channel_id *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->id = id;
        self->end = end;
        self->channel = c;
        if (c != NULL) {
            subi_channel_hold(c);
        }
    }
    return (PyObject *)self;
}

PyObject *
subi_channel_id_new(module_state *state, subi_channel *c, subi_end end)
{
    return new_channel_id(state->channel_id_type, subi_channel_id(c), c, end);
}

int
subi_channel_id_parse(module_state *state, PyObject *arg, int64_t *id)
{
    if (PyObject_TypeCheck(arg, state->channel_id_type)) {
        *id = channel_number(arg);
        return 0;
    }
    return parse_id(arg, "channel", id);
}

static subi_channel *
lookup_channel(module_state *state, int64_t id)
{
    subi_channel *c = subi_channel_lookup(id);
    if (c == NULL) {
        PyErr_Format(subi_error(state, LegacyChannelNotFoundError), "channel %lld not found",
                     (long long)id);
    }
    return c;
}

subi_channel *
subi_channel_id_resolve(module_state *state, PyObject *arg)
{
    int64_t id;
    return subi_channel_id_parse(state, arg, &id) == 0 ? lookup_channel(state, id) : NULL;
}

// The end that the arguments send and recv ask for; -1 means not given. 0 with ValueError.
static subi_end
choose_end(int send, int recv)
{
    if (send == 0 && recv == 0) {
        PyErr_SetString(PyExc_ValueError, "'send' and 'recv' cannot both be False");
        return 0;
    }
    if (send == 1) {
        return recv == 1 ? SUBI_BOTH : SUBI_SEND;
    }
    return recv == 1 ? SUBI_RECV : SUBI_BOTH;
}

PyObject *
subi_channel_id_make(module_state *state, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"id", "send", "recv", "force", "_resolve", NULL};
    PyObject *arg;
    int64_t id;
    int send = -1, recv = -1, force = 0, resolve = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$pppp:ChannelID.__new__", keywords, &arg, &send,
                                     &recv, &force, &resolve) ||
        subi_channel_id_parse(state, arg, &id) < 0) {
        return NULL;
    }
    subi_end end = choose_end(send, recv);
    if (end == 0) {
        return NULL;
    }
    subi_channel *c = lookup_channel(state, id);
    if (c == NULL) {
        if (!force) {
            return NULL;
        }
        PyErr_Clear();
    }
    PyObject *self = new_channel_id(state->channel_id_type, id, c, end);
    if (c != NULL) {
        subi_channel_drop(c);
    }
    return self;
}

static void
channel_id_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_channel *c = ((channel_id *)self)->channel;
    if (c != NULL) {
        subi_channel_drop(c);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
channel_id_repr(PyObject *self)
{
    subi_end end = ((channel_id *)self)->end;
    return PyUnicode_FromFormat("ChannelID(%lld%s)", (long long)channel_number(self),
                                end == SUBI_SEND   ? ", send=True"
                                : end == SUBI_RECV ? ", recv=True"
                                                   : "");
}

static PyObject *
channel_id_str(PyObject *self)
{
    return PyUnicode_FromFormat("%lld", (long long)channel_number(self));
}

static PyObject *
channel_id_int(PyObject *self)
{
    return PyLong_FromLongLong(channel_number(self));
}

static Py_hash_t
channel_id_hash(PyObject *self)
{
    return hash_id(channel_number(self));
}

static PyObject *
channel_id_richcompare(PyObject *self, PyObject *other, int op)
{
    if (Py_IS_TYPE(other, Py_TYPE(self)) && (op == Py_EQ || op == Py_NE)) {
        bool equal = channel_number(self) == channel_number(other) &&
                     ((channel_id *)self)->end == ((channel_id *)other)->end;
        return PyBool_FromLong(equal == (op == Py_EQ));
    }
    return compare_id(channel_number(self), other, op);
}

static PyObject *
channel_id_get_end(PyObject *self, void *unused)
{
    subi_end end = ((channel_id *)self)->end;
    return PyUnicode_InternFromString(end == SUBI_SEND   ? "send"
                                      : end == SUBI_RECV ? "recv"
                                                         : "both");
}

static PyObject *
channel_id_get_send(PyObject *self, void *unused)
{
    return new_channel_id(Py_TYPE(self), channel_number(self), ((channel_id *)self)->channel,
                          SUBI_SEND);
}

static PyObject *
channel_id_get_recv(PyObject *self, void *unused)
{
    return new_channel_id(Py_TYPE(self), channel_number(self), ((channel_id *)self)->channel,
                          SUBI_RECV);
}

static PyGetSetDef channel_id_getset[] = {
    {"end", channel_id_get_end, NULL, "'send', 'recv', or 'both'", NULL},
    {"send", channel_id_get_send, NULL, "the 'send' end of the channel", NULL},
    {"recv", channel_id_get_recv, NULL, "the 'recv' end of the channel", NULL},
    {NULL},
};

static PyType_Slot channel_id_slots[] = {
    {Py_tp_dealloc, channel_id_dealloc},
    {Py_tp_repr, channel_id_repr},
    {Py_tp_str, channel_id_str},
    {Py_nb_int, channel_id_int},
    {Py_nb_index, channel_id_int},
    {Py_tp_hash, channel_id_hash},
    {Py_tp_richcompare, channel_id_richcompare},
    {Py_tp_getset, channel_id_getset},
    {Py_tp_doc, "A channel ID identifies a channel and may be used as an int."},
    {0, NULL},
};

static PyType_Spec channel_id_spec = {
    .name = "_xxsubinterpreters.ChannelID",
    .basicsize = sizeof(channel_id),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = channel_id_slots,
};

bool
subi_channel_id_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment)
{
    if (state == NULL || !Py_IS_TYPE(obj, state->channel_id_type)) {
        return false;
    }
    channel_id *self = (channel_id *)obj;
    if (self->channel == NULL) {
        return false;  // made by force for an id without a channel
    }
    *type = self->end == SUBI_SEND   ? SUBI_HANDLE_CHANNEL_ID_SEND
            : self->end == SUBI_RECV ? SUBI_HANDLE_CHANNEL_ID_RECV
                                     : SUBI_HANDLE_CHANNEL_ID_BOTH;
    *segment = subi_channel_segment(self->channel);
    return true;
}

PyObject *
subi_channel_id_unpack(module_state *state, char type, const subi_segment *segment)
{
    subi_end end = type == SUBI_HANDLE_CHANNEL_ID_SEND   ? SUBI_SEND
                   : type == SUBI_HANDLE_CHANNEL_ID_RECV ? SUBI_RECV
                                                         : SUBI_BOTH;
    return subi_channel_id_new(state, segment->owner, end);
}

int
subi_legacy_ids_init(module_state *state)
{
    return subi_type_make(state, &state->interpreter_id_type, &interpreter_id_spec) < 0
               ? -1
               : subi_type_make(state, &state->channel_id_type, &channel_id_spec);
}
