// SPDX-License-Identifier: MIT
#include "async.h"

#include "blocking.h"
#include "errors.h"
#include "select.h"

#define AIO "subinterpreters._aio"

// ---- Notifier ---------------------------------------------------------------------------------

typedef struct notifier {
    PyObject_HEAD
    subi_notifier *notifier;
} notifier;

// One of several operations on channels, tried without blocking. The objects to send are encoded once.
typedef struct operation {
    PyObject_HEAD
    PyObject *owners;     // of the channels
    PyObject *future;     // to be woken when it is told; or NULL
    subi_waiter *waiter;  // NULL: it has not had to wait yet
    const subi_async_outcome *outcome;
    size_t count;
    subi_case *cases;
    subi_message *messages;
} operation;

static PyObject *
new_notifier(module_state *state)
{
    if (subi_state_complete(state) < 0) {
        return NULL;
    }
    notifier *self = PyObject_New(notifier, state->notifier_type);
    if (self == NULL) {
        return NULL;
    }
    self->notifier = NULL;
    subi_result r = subi_notifier_new(state->self_id, &self->notifier);
    if (r == SUBI_OK) {
        return (PyObject *)self;
    }
    if (r == SUBI_FULL) {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    else {
        PyErr_NoMemory();
    }
    Py_DECREF(self);
    return NULL;
}

static void
notifier_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (((notifier *)self)->notifier != NULL) {
        subi_notifier_drop(((notifier *)self)->notifier);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
notifier_fileno(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong(subi_notifier_fd(((notifier *)self)->notifier));
}

static PyObject *
notifier_told(PyObject *self, PyObject *unused)
{
    subi_notifier *n = ((notifier *)self)->notifier;
    PyObject *futures = PyList_New(0);
    operation *o;
    subi_notifier_clear(n);
    while (futures != NULL && (o = subi_notifier_next(n)) != NULL) {
        if (o->future != NULL && PyList_Append(futures, o->future) < 0) {
            Py_CLEAR(futures);
        }
    }
    return futures;
}

static PyMethodDef notifier_methods[] = {
    {"fileno", notifier_fileno, METH_NOARGS,
     "fileno($self, /)\n--\n\nThe descriptor that is readable when operations have been told."},
    {"told", notifier_told, METH_NOARGS,
     "told($self, /)\n--\n\nA list of the futures of operations that have been told to try again."},
    {NULL},
};

static PyType_Slot notifier_slots[] = {
    {Py_tp_dealloc, notifier_dealloc},
    {Py_tp_methods, notifier_methods},
    {Py_tp_doc, "What an event loop watches for the operations that wait in it."},
    {0, NULL},
};

static PyType_Spec notifier_spec = {
    .name = "subinterpreters._subinterpreters.Notifier",
    .basicsize = sizeof(notifier),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = notifier_slots,
};

// ---- Operation --------------------------------------------------------------------------------

// Room for `count` cases. NULL with an exception set.
static operation *
new_operation(module_state *state, PyObject *owners, size_t count)
{
    if (subi_state_complete(state) < 0) {
        return NULL;
    }
    operation *self = PyObject_GC_New(operation, state->operation_type);
    if (self == NULL) {
        return NULL;
    }
    self->owners = Py_NewRef(owners);
    self->future = NULL;
    self->waiter = NULL;
    self->outcome = NULL;
    self->count = 0;  // until there are messages
    self->cases = PyMem_Calloc(count, sizeof(*self->cases));
    self->messages = PyMem_Calloc(count, sizeof(*self->messages));
    PyObject_GC_Track(self);
    if (self->cases == NULL || self->messages == NULL) {
        PyErr_NoMemory();
        Py_CLEAR(self);
    }
    return self;
}

// Takes its place in the wait lists away.
static void
give_up(operation *self)
{
    if (self->waiter != NULL) {
        subi_waiter_free(self->waiter);
        self->waiter = NULL;
    }
    Py_CLEAR(self->future);
}

static int
operation_traverse(PyObject *obj, visitproc visit, void *arg)
{
    operation *self = (operation *)obj;
    Py_VISIT(self->owners);
    Py_VISIT(self->future);
    Py_VISIT(Py_TYPE(obj));
    return 0;
}

// The owners stay as long as the operation.
static int
operation_clear(PyObject *obj)
{
    give_up((operation *)obj);
    return 0;
}

static void
operation_dealloc(PyObject *obj)
{
    operation *self = (operation *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    PyObject_GC_UnTrack(obj);
    give_up(self);
    subi_select_clear(self->messages, self->count);
    PyMem_Free(self->messages);
    PyMem_Free(self->cases);
    Py_XDECREF(self->owners);
    type->tp_free(obj);
    Py_DECREF(type);
}

static subi_result
attempt_once(operation *self, PyObject *in, size_t *chosen)
{
    if (self->waiter == NULL && in == NULL) {
        return subi_select(self->cases, self->count, SUBI_NOBODY, SUBI_TRY, chosen);
    }
    if (self->waiter == NULL) {
        subi_result r = subi_waiter_new(((notifier *)in)->notifier, self->cases, self->count,
                                        SUBI_NOBODY, self, &self->waiter);
        if (r != SUBI_OK) {
            return r;
        }
    }
    return subi_waiter_try(self->waiter, chosen);
}

static subi_result
attempt(module_state *state, operation *self, PyObject *in, size_t *chosen)
{
    subi_result r;
    while ((r = attempt_once(self, in, chosen)) == SUBI_OK && self->outcome != NULL &&
           self->outcome->skips != NULL && self->outcome->skips(state, &self->messages[0])) {
        subi_message_fini(&self->messages[0]);
    }
    return subi_blocking_result(r);
}

// As select() returns it.
static PyObject *
result_of(module_state *state, operation *self, subi_result r, size_t chosen)
{
    if (self->outcome == NULL) {
        return subi_select_result(state, r, self->cases, self->count, chosen);
    }
    const subi_case *k = &self->cases[0];
    PyObject *obj = self->outcome->result(state, self->owners, r, k->message);
    PyObject *pair = obj != NULL ? Py_BuildValue("(iN)", 0, obj) : NULL;
    return r == SUBI_OK && k->end == SUBI_RECV ? subi_received(k->channel, k->message, pair) : pair;
}

PyDoc_STRVAR(attempt_doc, "attempt($self, notifier=None, future=None, /)\n--\n\n"
                          "Perform one of the cases, as select() with a time-out of 0.\n\n"
                          "Args:\n"
                          "    notifier: when none is ready, wait in the loop that watches this.\n"
                          "    future: what that loop is to wake then.\n\n"
                          "Returns:\n    What select() returns; None when none is ready.\n\n"
                          "Raises:\n    What select() raises.");

static PyObject *
operation_attempt(PyObject *obj, PyObject *args)
{
    operation *self = (operation *)obj;
    module_state *state = get_state_of(obj);
    PyObject *in = NULL, *future = NULL;
    size_t chosen = 0;
    if (state == NULL ||
        !PyArg_ParseTuple(args, "|O!O:attempt", state->notifier_type, &in, &future)) {
        return NULL;
    }
    subi_exports_drain(state->self);
    subi_result r = attempt(state, self, in, &chosen);
    if (r != SUBI_EMPTY) {
        return result_of(state, self, r, chosen);
    }
    Py_XSETREF(self->future, Py_XNewRef(future));
    Py_RETURN_NONE;
}

static PyObject *
operation_give_up(PyObject *obj, PyObject *unused)
{
    give_up((operation *)obj);
    Py_RETURN_NONE;
}

static PyMethodDef operation_methods[] = {
    {"attempt", operation_attempt, METH_VARARGS, attempt_doc},
    {"give_up", operation_give_up, METH_NOARGS,
     "give_up($self, /)\n--\n\nWait no more, if it does; what was reserved for it goes to others."},
    {NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_dealloc, operation_dealloc},
    {Py_tp_traverse, operation_traverse},
    {Py_tp_clear, operation_clear},
    {Py_tp_methods, operation_methods},
    {Py_tp_doc, "A send, a receive or a select that an event loop waits for."},
    {0, NULL},
};

static PyType_Spec operation_spec = {
    .name = "subinterpreters._subinterpreters.Operation",
    .basicsize = sizeof(operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = operation_slots,
};

// ---- coroutines -------------------------------------------------------------------------------

// A call of a function of _aio.py. Steals arg, which may be NULL with an exception set.
static PyObject *
call_aio(const char *function, PyObject *arg)
{
    PyObject *aio = arg != NULL ? PyImport_ImportModule(AIO) : NULL;
    PyObject *result = aio != NULL ? PyObject_CallMethod(aio, function, "O", arg) : NULL;
    Py_XDECREF(aio);
    Py_XDECREF(arg);
    return result;
}

static PyObject *
complete_one(module_state *state, PyObject *owner, subi_channel *c, subi_end end, subi_message *m,
             const subi_async_outcome *outcome)
{
    operation *o = new_operation(state, owner, 1);
    if (o == NULL) {
        subi_message_fini(m);
        return NULL;
    }
    o->outcome = outcome;
    o->messages[0] = *m;
    o->cases[0] = (subi_case){.channel = c, .end = end, .message = &o->messages[0]};
    o->count = 1;
    return call_aio("complete_one", (PyObject *)o);
}

PyObject *
subi_async_recv(module_state *state, PyObject *owner, subi_channel *c,
                const subi_async_outcome *outcome)
{
    subi_message m = subi_message_none();
    return complete_one(state, owner, c, SUBI_RECV, &m, outcome);
}

PyObject *
subi_async_send(module_state *state, PyObject *owner, subi_channel *c, subi_message *m,
                const subi_async_outcome *outcome)
{
    return complete_one(state, owner, c, SUBI_SEND, m, outcome);
}

PyObject *
subi_async_iterate(PyObject *end)
{
    return call_aio("Iterator", Py_NewRef(end));
}

PyDoc_STRVAR(
    select_async_doc,
    "select_async(*cases)\n--\n\n"
    "As select(), for asyncio: a coroutine, which does not block the event loop. A cancelled\n"
    "one has done nothing. The objects to send are encoded at the call.\n\n"
    "Args:\n"
    "    cases: each a RecvChannel, to receive from, or a pair (SendChannel, obj), to send obj.\n\n"
    "Returns:\n"
    "    The pair (index, obj): which case was done, and what it received (None for a send).\n\n"
    "Raises:\n"
    "    ChannelClosedError: the chosen case's channel is closed; its attribute `index` says which.\n"
    "    NotShareableError, TypeError: a case is not as above.\n"
    "    OSError: there are too many open files.");

static PyObject *
select_async(PyObject *module, PyObject *args)
{
    module_state *state = get_state(module);
    size_t count = (size_t)PyTuple_GET_SIZE(args);
    operation *o = new_operation(state, args, count);
    if (o == NULL || subi_select_parse(state, args, o->cases, o->messages) < 0) {
        Py_XDECREF(o);
        return NULL;
    }
    o->count = count;
    return call_aio("complete", (PyObject *)o);
}

static PyObject *
make_notifier(PyObject *module, PyObject *unused)
{
    return new_notifier(get_state(module));
}

PyMethodDef subi_async_functions[] = {
    {"select_async", select_async, METH_VARARGS, select_async_doc},
    {"_notifier", make_notifier, METH_NOARGS, "_notifier()\n--\n\nA new Notifier."},
    {NULL},
};

int
subi_async_init(module_state *state)
{
    return subi_type_make(state, &state->notifier_type, &notifier_spec) < 0
               ? -1
               : subi_type_make(state, &state->operation_type, &operation_spec);
}
