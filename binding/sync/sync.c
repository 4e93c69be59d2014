// SPDX-License-Identifier: MIT
#include "sync.h"
#include "errors.h"

#include <stddef.h>

// ---- objects ----------------------------------------------------------------------------------

PyObject *
subi_sync_wrap(PyTypeObject *type, subi_result made, subi_sync *s)
{
    if (made != SUBI_OK) {
        return PyErr_NoMemory();
    }
    sync_object *self = PyObject_New(sync_object, type);
    if (self == NULL) {
        subi_sync_drop(s);
        return NULL;
    }
    self->sync = s;
    self->weakrefs = NULL;
    return (PyObject *)self;
}

void
subi_sync_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    if (((sync_object *)self)->weakrefs != NULL) {
        PyObject_ClearWeakRefs(self);
    }
    subi_sync_drop(subi_sync_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

PyObject *
subi_sync_richcompare(PyObject *self, PyObject *other, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(self) != Py_TYPE(other)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyBool_FromLong((subi_sync_of(self) == subi_sync_of(other)) == (op == Py_EQ));
}

Py_hash_t
subi_sync_hash(PyObject *self)
{
    return (Py_hash_t)subi_sync_id(subi_sync_of(self));
}

static PyObject *
get_id(PyObject *self, void *unused)
{
    return PyLong_FromLongLong(subi_sync_id(subi_sync_of(self)));
}

PyGetSetDef subi_sync_getset[] = {
    {"id", get_id, NULL, "Its number, the same in every interpreter.", NULL},
    {NULL},
};

PyMemberDef subi_sync_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(sync_object, weakrefs), READONLY, NULL},
    {NULL},
};

// ---- handles ----------------------------------------------------------------------------------

bool
subi_sync_pack(PyObject *obj, char *type, subi_segment *segment)
{
    if (Py_TYPE(obj)->tp_dealloc != subi_sync_dealloc) {  // none of the types has subclasses
        return false;
    }
    *type = SUBI_HANDLE_SYNC;
    *segment = subi_sync_segment(subi_sync_of(obj));
    return true;
}

PyObject *
subi_sync_unpack(module_state *state, const subi_segment *segment)
{
    subi_sync *s = segment->owner;
    subi_sync_hold(s);
    return subi_sync_wrap(state->sync_types[subi_sync_what(s)], SUBI_OK, s);
}

// ---- arguments --------------------------------------------------------------------------------

int
subi_sync_parse_nothing(PyObject *args, PyObject *kwds, const char *format)
{
    static char *keywords[] = {NULL};
    return PyArg_ParseTupleAndKeywords(args, kwds, format, keywords) ? 0 : -1;
}

int
subi_sync_parse_blocking(PyObject *args, PyObject *kwds, const char *format, bool minus_one,
                         int64_t *deadline)
{
    static char *keywords[] = {"blocking", "timeout", NULL};
    int blocking = 1;
    PyObject *timeout = Py_None;
    *deadline = SUBI_FOREVER;
    if (kwds == NULL && PyTuple_GET_SIZE(args) == 0) {
        return 0;
    }
    if (!PyArg_ParseTupleAndKeywords(args, kwds, format, keywords, &blocking, &timeout)) {
        return -1;
    }
    int given = minus_one ? subi_parse_timeout_or_minus_one(timeout, deadline)
                          : subi_parse_timeout(timeout, deadline);
    if (given < 0) {
        return -1;
    }
    if (!blocking && (minus_one ? given > 0 : timeout != Py_None)) {
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (!blocking) {
        *deadline = SUBI_TRY;
    }
    return 0;
}

// ---- results ----------------------------------------------------------------------------------

const char *
subi_sync_name(const subi_sync *s)
{
    static const char *const names[] = {
        [SUBI_LOCK] = "Lock",           [SUBI_RLOCK] = "RLock",
        [SUBI_SEMAPHORE] = "Semaphore", [SUBI_BOUNDED_SEMAPHORE] = "BoundedSemaphore",
        [SUBI_EVENT] = "Event",         [SUBI_CONDITION] = "Condition",
        [SUBI_BARRIER] = "Barrier",
    };
    return names[subi_sync_what(s)];
}

PyObject *
subi_sync_raise(module_state *state, subi_result r, subi_sync *s)
{
    const char *name = subi_sync_name(s);
    long long id = subi_sync_id(s);
    switch (r) {
    case SUBI_INTERRUPTED:
        break;  // the exception is set
    case SUBI_CLOSED:
        PyErr_SetNone(PyExc_SystemExit);
        break;
    case SUBI_FORKED:
        PyErr_Format(PyExc_RuntimeError,
                     "%s %lld belongs to the process that this one was forked from", name, id);
        break;
    case SUBI_OWNER_DIED:
        PyErr_Format(subi_error(state, LockOwnerDiedError),
                     "the owner of %s %lld has ended without releasing it; see reset()", name, id);
        break;
    case SUBI_NOMEM:
        PyErr_NoMemory();
        break;
    default:
        PyErr_Format(PyExc_SystemError, "unexpected result %d on %s %lld", (int)r, name, id);
    }
    return NULL;
}

PyObject *
subi_sync_bool(module_state *state, subi_result r, subi_sync *s)
{
    if (r == SUBI_OK) {
        Py_RETURN_TRUE;
    }
    if (r == SUBI_BUSY || r == SUBI_TIMEOUT) {
        Py_RETURN_FALSE;
    }
    return subi_sync_raise(state, r, s);
}

// ---- the module -------------------------------------------------------------------------------

int
subi_sync_types_init(module_state *state)
{
    PyType_Spec *const specs[] = {
        [SUBI_LOCK] = &subi_lock_spec,
        [SUBI_RLOCK] = &subi_rlock_spec,
        [SUBI_SEMAPHORE] = &subi_semaphore_spec,
        [SUBI_BOUNDED_SEMAPHORE] = &subi_bounded_semaphore_spec,
        [SUBI_EVENT] = &subi_event_spec,
        [SUBI_CONDITION] = &subi_condition_spec,
        [SUBI_BARRIER] = &subi_barrier_spec,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(specs); i++) {
        if (subi_type_add(state, &state->sync_types[i], specs[i]) < 0) {
            return -1;
        }
    }
    return 0;
}
