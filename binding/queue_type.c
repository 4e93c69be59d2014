// SPDX-License-Identifier: MIT
#include "queue_type.h"

#include <stddef.h>
#include <structmember.h>

#include "async.h"
#include "blocking.h"
#include "codec/codec.h"
#include "errors.h"
#include "registry.h"

#define QUEUES "subinterpreters._queues"

typedef struct queue {
    PyObject_HEAD
    subi_channel *channel;  // one reference
    PyObject *number;       // its id
    PyObject *weakrefs;
} queue;

// What becomes of an item when the interpreter that has put it is closed.
typedef enum fate {
    KEPT = 0,
    REMOVED = SUBI_NOTE_REMOVE,
    AN_ERROR = 2,
    REPLACED = 3,
    BY_DEFAULT = -1,
} fate;

// The label of a channel that is a queue: a mark, the fate of items by default, and maxsize if that is not
// the capacity, since it is no limit.
#define MARK          UINT64_C(0x51)
#define MARK_MASK     UINT64_C(0xff)
#define FATE_SHIFT    8
#define MAXSIZE_SHIFT 32

static subi_channel *
channel_of(PyObject *self)
{
    return ((queue *)self)->channel;
}

static bool
is_queue(const subi_channel *c)
{
    return (subi_channel_label(c) & MARK_MASK) == MARK;
}

static fate
default_fate(const subi_channel *c)
{
    return (fate)(subi_channel_label(c) >> FATE_SHIFT & 0xff);
}

static PyObject *
queue_for(module_state *state, subi_channel *c)
{
    PyObject *number = PyLong_FromLongLong(subi_channel_id(c));
    queue *found =
        number != NULL ? (queue *)subi_registry_find(state->queues, number) : NULL;  // borrowed
    if (number == NULL || PyErr_Occurred() || (found != NULL && found->channel == c)) {
        Py_XDECREF(number);
        return Py_XNewRef((PyObject *)found);
    }
    queue *self = PyObject_New(queue, state->queue_type);
    if (self == NULL || subi_registry_add(state->queues, number, (PyObject *)self) < 0) {
        if (self != NULL) {
            PyObject_Free(self);
            Py_DECREF(state->queue_type);
        }
        Py_DECREF(number);
        return NULL;
    }
    subi_channel_hold(c);
    self->channel = c;
    self->number = number;
    self->weakrefs = NULL;
    return (PyObject *)self;
}

bool
subi_queue_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment)
{
    if (state == NULL || !Py_IS_TYPE(obj, state->queue_type)) {
        return false;
    }
    *type = SUBI_HANDLE_QUEUE;
    *segment = subi_channel_segment(channel_of(obj));
    return true;
}

PyObject *
subi_queue_unpack(module_state *state, const subi_segment *segment)
{
    return queue_for(state, segment->owner);
}

// ---- errors -----------------------------------------------------------------------------------

// An attribute of _queues.py, which has the exceptions: they need more imports than most programs.
static PyObject *
queues_attribute(const char *name)
{
    PyObject *module = PyImport_ImportModule(QUEUES);
    PyObject *attribute = module != NULL ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return attribute;
}

static PyObject *
raise_error(const char *class, const char *format, PyObject *number)
{
    PyObject *error = queues_attribute(class);
    if (error != NULL) {
        PyErr_Format(error, format, number);
        Py_DECREF(error);
    }
    return NULL;
}

static PyObject *
raise_result(PyObject *self, subi_result r)
{
    PyObject *number = ((queue *)self)->number;
    switch (r) {
    case SUBI_INTERRUPTED:
        return NULL;  // there is an exception
    case SUBI_FULL:
        return raise_error("QueueFull", "queue %S is full", number);
    case SUBI_EMPTY:
        return raise_error("QueueEmpty", "queue %S is empty", number);
    case SUBI_FORKED:
        return raise_error("QueueError",
                           "queue %S belongs to the process that this one was forked from", number);
    case SUBI_NOMEM:
        return PyErr_NoMemory();
    default:
        return raise_error("QueueNotFoundError", "queue %S not found", number);
    }
}

// ---- unbounditems -----------------------------------------------------------------------------

static const char *const fate_names[] = {
    [REMOVED] = "UNBOUND_REMOVE", [AN_ERROR] = "UNBOUND_ERROR", [REPLACED] = "UNBOUND"};

// -1 with an exception.
static int
parse_fate(PyObject *arg, fate none, fate *out)
{
    *out = none;
    if (arg == NULL || arg == Py_None) {
        return 0;
    }
    for (fate f = REMOVED; f <= REPLACED; f++) {
        PyObject *constant = queues_attribute(fate_names[f]);
        if (constant == NULL) {
            return -1;
        }
        Py_DECREF(constant);  // the module keeps it
        if (constant == arg) {
            *out = f;
            return 0;
        }
    }
    PyErr_Format(PyExc_ValueError,
                 "unbounditems must be UNBOUND, UNBOUND_ERROR, UNBOUND_REMOVE or None, got %R",
                 arg);
    return -1;
}

static PyObject *
fate_object(fate f)
{
    return f == KEPT ? Py_NewRef(Py_None) : queues_attribute(fate_names[f]);
}

// ---- put and get ------------------------------------------------------------------------------

// block, timeout -> a deadline. -1 with an exception.
static int
parse_wait(PyObject *block, PyObject *timeout, int64_t *deadline)
{
    int blocks = block != NULL ? PyObject_IsTrue(block) : 1;
    *deadline = SUBI_TRY;
    return blocks > 0 ? subi_parse_timeout(timeout, deadline) : blocks;
}

// The message for obj. -1 with an exception.
static int
make_item(module_state *state, PyObject *self, PyObject *obj, fate f, subi_message *m)
{
    if (state == NULL) {
        return -1;
    }
    subi_exports_drain(state->self);
    if (subi_encode(state, obj, m) < 0) {
        return -1;
    }
    m->note = (uint8_t)(f == BY_DEFAULT ? default_fate(channel_of(self)) : f);
    m->from = (uint32_t)state->self_id;
    return 0;
}

static PyObject *
put(PyObject *self, PyObject *obj, fate f, int64_t deadline)
{
    module_state *state = get_state_of(self);
    subi_message m;
    if (make_item(state, self, obj, f, &m) < 0) {
        return NULL;
    }
    subi_result r = subi_blocking_send(state, channel_of(self), &m, deadline);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    subi_message_fini(&m);
    return raise_result(self, r == SUBI_TIMEOUT ? SUBI_FULL : r);
}

static bool
is_closed(module_state *state, uint32_t id)
{
    subi_interp *i = id != (uint32_t)state->self_id ? subi_interp_lookup(id) : state->self;
    if (i != NULL && i != state->self) {
        subi_interp_drop(i);
    }
    return i == NULL;
}

static fate
fate_of(module_state *state, const subi_message *m)
{
    return m->note != KEPT && is_closed(state, m->from) ? (fate)m->note : KEPT;
}

static bool
is_removed(module_state *state, const subi_message *m)
{
    return m->note == REMOVED && fate_of(state, m) == REMOVED;
}

// What get() returns or raises for an item.
static PyObject *
item_of(module_state *state, PyObject *self, const subi_message *m)
{
    switch (fate_of(state, m)) {
    case AN_ERROR:
        return raise_error("ItemInterpreterDestroyed",
                           "the interpreter that put the item into queue %S is closed",
                           ((queue *)self)->number);
    case REPLACED:
        return fate_object(REPLACED);
    default:  // if REMOVED, its interpreter was closed just now, after is_removed()
        return subi_decode(state, m);
    }
}

static PyObject *
get(PyObject *self, int64_t deadline)
{
    module_state *state = get_state_of(self);
    subi_message m = subi_message_none();
    subi_result r;
    if (state == NULL) {
        return NULL;
    }
    subi_exports_drain(state->self);
    do {
        subi_message_fini(&m);
        r = subi_blocking_recv(state, channel_of(self), &m, deadline);
    } while (r == SUBI_OK && is_removed(state, &m));
    if (r != SUBI_OK) {
        return raise_result(self, r == SUBI_TIMEOUT ? SUBI_EMPTY : r);
    }
    return subi_received(channel_of(self), &m, item_of(state, self, &m));
}

PyDoc_STRVAR(
    put_doc,
    "put($self, /, obj, block=True, timeout=None, *, unbounditems=None)\n--\n\n"
    "Add a copy of obj to the queue, as SendChannel.send() does; wait while it is full.\n\n"
    "Args:\n"
    "    obj: what SendChannel.send() can send.\n"
    "    block: whether to wait at all.\n"
    "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n"
    "    unbounditems: what get() does once the interpreter that has put the item is closed:\n"
    "        UNBOUND returns UNBOUND in its place, UNBOUND_ERROR raises\n"
    "        ItemInterpreterDestroyed; UNBOUND_REMOVE takes it out of the queue. None is what\n"
    "        create_queue() was told; if that was nothing, the item is delivered.\n\n"
    "Raises:\n"
    "    QueueFull: there is no room, or was none until the time was over.\n"
    "    NotShareableError, RecursionError, RuntimeError: obj cannot be sent.\n"
    "    ValueError: timeout is negative, or unbounditems is not as above.");

static PyObject *
queue_put(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"obj", "block", "timeout", "unbounditems", "_delay", NULL};
    PyObject *obj, *block = NULL, *timeout = NULL, *unbound = NULL, *delay = NULL;
    int64_t deadline;
    fate f;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|OO$OO:put", keywords, &obj, &block, &timeout,
                                     &unbound, &delay) ||
        parse_wait(block, timeout, &deadline) < 0 || parse_fate(unbound, BY_DEFAULT, &f) < 0) {
        return NULL;
    }
    return put(self, obj, f, deadline);
}

static PyObject *
queue_put_nowait(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"obj", "unbounditems", NULL};
    PyObject *obj, *unbound = NULL;
    fate f;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$O:put_nowait", keywords, &obj, &unbound) ||
        parse_fate(unbound, BY_DEFAULT, &f) < 0) {
        return NULL;
    }
    return put(self, obj, f, SUBI_TRY);
}

PyDoc_STRVAR(get_doc,
             "get($self, /, block=True, timeout=None)\n--\n\n"
             "Take the oldest item; wait while there is none.\n\n"
             "Args:\n"
             "    block: whether to wait at all.\n"
             "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
             "Returns:\n    A new object, equal to what was put; or UNBOUND, see put().\n\n"
             "Raises:\n"
             "    QueueEmpty: there is nothing, or was nothing until the time was over.\n"
             "    ItemInterpreterDestroyed: see put().\n"
             "    MemoryError: there is not enough for the item, which stays the oldest one.\n"
             "    ValueError: timeout is negative.");

static PyObject *
queue_get(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"block", "timeout", "_delay", NULL};
    PyObject *block = NULL, *timeout = NULL, *delay = NULL;
    int64_t deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|OO$O:get", keywords, &block, &timeout, &delay) ||
        parse_wait(block, timeout, &deadline) < 0) {
        return NULL;
    }
    return get(self, deadline);
}

static PyObject *
queue_get_nowait(PyObject *self, PyObject *unused)
{
    return get(self, SUBI_TRY);
}

// ---- in asyncio ---------------------------------------------------------------------------------

static PyObject *
put_outcome(module_state *state, PyObject *self, subi_result r, const subi_message *m)
{
    return r == SUBI_OK ? Py_NewRef(Py_None) : raise_result(self, r);
}

static PyObject *
get_outcome(module_state *state, PyObject *self, subi_result r, const subi_message *m)
{
    return r == SUBI_OK ? item_of(state, self, m) : raise_result(self, r);
}

static const subi_async_outcome async_put = {.result = put_outcome};
static const subi_async_outcome async_get = {.skips = is_removed, .result = get_outcome};

PyDoc_STRVAR(
    put_async_doc,
    "put_async($self, /, obj, *, unbounditems=None)\n--\n\n"
    "As put(), for asyncio: a coroutine, which waits for room without blocking the event\n"
    "loop. One that is cancelled has put nothing. obj is encoded at the call.\n\n"
    "Args:\n"
    "    obj, unbounditems: as for put().\n\n"
    "Raises:\n"
    "    NotShareableError, RecursionError, RuntimeError: obj cannot be sent; at the call.\n"
    "    ValueError: unbounditems is not as for put(); at the call.\n"
    "    OSError: there are too many open files.");

static PyObject *
queue_put_async(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"obj", "unbounditems", NULL};
    module_state *state = get_state_of(self);
    PyObject *obj, *unbound = NULL;
    subi_message m;
    fate f;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$O:put_async", keywords, &obj, &unbound) ||
        parse_fate(unbound, BY_DEFAULT, &f) < 0 || make_item(state, self, obj, f, &m) < 0) {
        return NULL;
    }
    return subi_async_send(state, self, channel_of(self), &m, &async_put);
}

PyDoc_STRVAR(
    get_async_doc,
    "get_async($self, /)\n--\n\n"
    "As get(), for asyncio: a coroutine, which waits without blocking the event loop. One\n"
    "that is cancelled has taken nothing.\n\n"
    "Returns:\n    What get() returns.\n\n"
    "Raises:\n"
    "    ItemInterpreterDestroyed: see put().\n"
    "    OSError: there are too many open files.");

static PyObject *
queue_get_async(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    return state != NULL ? subi_async_recv(state, self, channel_of(self), &async_get) : NULL;
}

// ---- what it says of itself --------------------------------------------------------------------

static void
queue_dealloc(PyObject *obj)
{
    queue *self = (queue *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    module_state *state = get_state_of(obj);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(obj);
    }
    if (state != NULL) {
        subi_registry_remove(state->queues, self->number);
    }
    Py_DECREF(self->number);
    subi_channel_drop(self->channel);
    type->tp_free(obj);
    Py_DECREF(type);
}

static PyObject *
queue_repr(PyObject *self)
{
    return PyUnicode_FromFormat("Queue(%S)", ((queue *)self)->number);
}

static Py_hash_t
queue_hash(PyObject *self)
{
    return PyObject_Hash(((queue *)self)->number);
}

static PyObject *
queue_reduce(PyObject *self, PyObject *unused)
{
    return Py_BuildValue("O(O)", Py_TYPE(self), ((queue *)self)->number);
}

static PyObject *
queue_qsize(PyObject *self, PyObject *unused)
{
    return PyLong_FromSize_t(subi_channel_count(channel_of(self)));
}

static PyObject *
queue_empty(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(subi_channel_count(channel_of(self)) == 0);
}

static PyObject *
queue_full(PyObject *self, PyObject *unused)
{
    subi_channel *c = channel_of(self);
    return PyBool_FromLong(subi_channel_count(c) >= subi_channel_capacity(c));
}

static PyObject *
queue_get_id(PyObject *self, void *unused)
{
    return Py_NewRef(((queue *)self)->number);
}

static PyObject *
queue_get_maxsize(PyObject *self, void *unused)
{
    const subi_channel *c = channel_of(self);
    size_t capacity = subi_channel_capacity(c);
    if (capacity != SUBI_UNBOUNDED) {
        return PyLong_FromSize_t(capacity);
    }
    return PyLong_FromLong((int32_t)(subi_channel_label(c) >> MAXSIZE_SHIFT));
}

static PyObject *
queue_get_unbounditems(PyObject *self, void *unused)
{
    return fate_object(default_fate(channel_of(self)));
}

static PyGetSetDef queue_getset[] = {
    {"id", queue_get_id, NULL, "The queue's number, the same in every interpreter.", NULL},
    {"maxsize", queue_get_maxsize, NULL, "How many items it may have; 0 or less: any number.",
     NULL},
    {"unbounditems", queue_get_unbounditems, NULL, "What create_queue() was told, or None.", NULL},
    {NULL},
};

static PyMethodDef queue_methods[] = {
    {"put", (PyCFunction)(void (*)(void))queue_put, METH_VARARGS | METH_KEYWORDS, put_doc},
    {"put_nowait", (PyCFunction)(void (*)(void))queue_put_nowait, METH_VARARGS | METH_KEYWORDS,
     "put_nowait($self, /, obj, *, unbounditems=None)\n--\n\n"
     "As put(obj, block=False): QueueFull if there is no room."},
    {"get", (PyCFunction)(void (*)(void))queue_get, METH_VARARGS | METH_KEYWORDS, get_doc},
    {"get_nowait", queue_get_nowait, METH_NOARGS,
     "get_nowait($self, /)\n--\n\nAs get(block=False): QueueEmpty if there is nothing."},
    {"put_async", (PyCFunction)(void (*)(void))queue_put_async, METH_VARARGS | METH_KEYWORDS,
     put_async_doc},
    {"get_async", queue_get_async, METH_NOARGS, get_async_doc},
    {"qsize", queue_qsize, METH_NOARGS, "qsize($self, /)\n--\n\nHow many items there are."},
    {"empty", queue_empty, METH_NOARGS, "empty($self, /)\n--\n\nWhether there is no item."},
    {"full", queue_full, METH_NOARGS, "full($self, /)\n--\n\nWhether there is no room."},
    {"__reduce__", queue_reduce, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef queue_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(queue, weakrefs), READONLY, NULL},
    {NULL},
};

static PyObject *queue_new(PyTypeObject *type, PyObject *args, PyObject *kwds);

PyDoc_STRVAR(
    queue_doc,
    "Queue(id, /)\n--\n\n"
    "A queue between interpreters and threads. Made by create_queue(), and by sending one;\n"
    "with an id it is the one that there is.\n\n"
    "Args:\n    id: an int, the attribute `id` of a queue.\n\n"
    "Raises:\n"
    "    QueueNotFoundError: there is none with that id, or not any more.\n"
    "    TypeError: id is no int.");

static PyType_Slot queue_slots[] = {
    {Py_tp_new, queue_new},         {Py_tp_dealloc, queue_dealloc}, {Py_tp_repr, queue_repr},
    {Py_tp_hash, queue_hash},       {Py_tp_methods, queue_methods}, {Py_tp_getset, queue_getset},
    {Py_tp_members, queue_members}, {Py_tp_doc, (void *)queue_doc}, {0, NULL},
};

static PyType_Spec queue_spec = {
    .name = "subinterpreters.Queue",
    .basicsize = sizeof(queue),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = queue_slots,
};

// ---- making and finding them --------------------------------------------------------------------

static PyObject *
queue_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *module = PyType_GetModuleByDef(type, &subi_module_def);
    PyObject *id;
    static char *keywords[] = {"", NULL};
    if (module == NULL || !PyArg_ParseTupleAndKeywords(args, kwds, "O:Queue", keywords, &id)) {
        return NULL;
    }
    if (!PyLong_Check(id)) {
        return PyErr_Format(PyExc_TypeError, "id must be an int, got %.100s", Py_TYPE(id)->tp_name);
    }
    int overflow;
    subi_channel *c = subi_channel_lookup(PyLong_AsLongLongAndOverflow(id, &overflow));
    PyObject *self = NULL;
    if (c != NULL && overflow == 0 && is_queue(c)) {
        self = queue_for(get_state(module), c);
    }
    else {
        PyObject *text = subi_int_text(id);
        if (text != NULL) {
            raise_error("QueueNotFoundError", "queue %U not found", text);
        }
        Py_XDECREF(text);
    }
    if (c != NULL) {
        subi_channel_drop(c);
    }
    return self;
}

PyDoc_STRVAR(create_queue_doc,
             "create_queue(maxsize=0, *, unbounditems=None)\n--\n\n"
             "Make a queue, through which interpreters and threads send objects to each other.\n\n"
             "Args:\n"
             "    maxsize: how many items it may have; 0 or less is any number.\n"
             "    unbounditems: see Queue.put(). Unlike those of concurrent.interpreters, items\n"
             "        outlive the interpreter that has put them, if nothing else is asked for.\n\n"
             "Returns:\n    A Queue.\n\n"
             "Raises:\n    TypeError, ValueError: an argument is not as above.");

static PyObject *
create_queue(PyObject *module, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"maxsize", "unbounditems", NULL};
    Py_ssize_t maxsize = 0;
    PyObject *unbound = NULL;
    fate f;
    subi_channel *c;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|n$O:create_queue", keywords, &maxsize,
                                     &unbound) ||
        parse_fate(unbound, KEPT, &f) < 0) {
        return NULL;
    }
    int32_t no_limit = maxsize < INT32_MIN ? INT32_MIN : maxsize < 0 ? (int32_t)maxsize : 0;
    uint64_t label =
        MARK | (uint64_t)f << FATE_SHIFT | (uint64_t)(uint32_t)no_limit << MAXSIZE_SHIFT;
    if (subi_channel_new_labelled(maxsize > 0 ? (size_t)maxsize : SUBI_UNBOUNDED, label, &c) !=
        SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *self = queue_for(get_state(module), c);
    subi_channel_drop(c);
    return self;
}

static PyObject *
list_queues(PyObject *module, PyObject *unused)
{
    int64_t *ids;
    size_t count;
    if (subi_channel_list(&ids, &count) != SUBI_OK) {
        return PyErr_NoMemory();
    }
    PyObject *list = PyList_New(0);
    for (size_t k = 0; k < count && list != NULL; k++) {
        subi_channel *c = subi_channel_lookup(ids[k]);
        if (c != NULL && is_queue(c)) {
            PyObject *self = queue_for(get_state(module), c);
            if (self == NULL || PyList_Append(list, self) < 0) {
                Py_CLEAR(list);
            }
            Py_XDECREF(self);
        }
        if (c != NULL) {
            subi_channel_drop(c);
        }
    }
    free(ids);
    return list;
}

PyMethodDef subi_queue_functions[] = {
    {"create_queue", (PyCFunction)(void (*)(void))create_queue, METH_VARARGS | METH_KEYWORDS,
     create_queue_doc},
    {"list_queues", list_queues, METH_NOARGS,
     "list_queues()\n--\n\nThe queues of this process, as a list."},
    {NULL},
};

int
subi_queue_type_init(module_state *state)
{
    if (state->queues == NULL && (state->queues = PyDict_New()) == NULL) {
        return -1;
    }
    return subi_type_add(state, &state->queue_type, &queue_spec);
}
