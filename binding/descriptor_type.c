// SPDX-License-Identifier: MIT
#include "descriptor_type.h"

#include <unistd.h>

typedef struct descriptor {
    PyObject_HEAD
    subi_descriptor *descriptor;  // one reference
} descriptor;

// Takes over the reference.
static PyObject *
wrap(PyTypeObject *type, subi_descriptor *d)
{
    descriptor *self = PyObject_New(descriptor, type);
    if (self == NULL) {
        subi_descriptor_drop(d);
        return NULL;
    }
    self->descriptor = d;
    return (PyObject *)self;
}

bool
subi_descriptor_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment)
{
    if (!Py_IS_TYPE(obj, state->descriptor_type)) {
        return false;
    }
    *type = SUBI_HANDLE_DESCRIPTOR;
    *segment = subi_descriptor_segment(((descriptor *)obj)->descriptor);
    return true;
}

PyObject *
subi_descriptor_unpack(module_state *state, const subi_segment *segment)
{
    subi_descriptor_hold(segment->owner);
    return wrap(state->descriptor_type, segment->owner);
}

static PyObject *
descriptor_make(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"fd", NULL};
    int fd;
    subi_descriptor *d;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "i:_Descriptor", names, &fd)) {
        return NULL;
    }
    switch (subi_descriptor_new(fd, &d)) {
    case SUBI_OK:
        return wrap(type, d);
    case SUBI_NOMEM:
        return PyErr_NoMemory();
    default:
        return PyErr_SetFromErrno(PyExc_OSError);
    }
}

static void
descriptor_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_descriptor_drop(((descriptor *)self)->descriptor);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
new_number(int fd)
{
    if (fd < 0) {
        PyErr_SetString(PyExc_ValueError, "the descriptor has been taken");
        return NULL;
    }
    PyObject *number = PyLong_FromLong(fd);
    if (number == NULL) {
        close(fd);
    }
    return number;
}

PyDoc_STRVAR(
    copy_doc,
    "copy($self, /)\n--\n\n"
    "Return a descriptor of the same file, which is the caller's to close: another copy, so\n"
    "that this can be done again if the rest of the message cannot be received. If no\n"
    "descriptor is left, as take().\n\n"
    "Raises ValueError: it has been taken.");

static PyObject *
descriptor_copy(PyObject *self, PyObject *unused)
{
    return new_number(subi_descriptor_copy(((descriptor *)self)->descriptor));
}

PyDoc_STRVAR(take_doc, "take($self, /)\n--\n\n"
                       "Return the copy of the descriptor, which then is the caller's to close.\n\n"
                       "Raises ValueError: it has been taken.");

static PyObject *
descriptor_take(PyObject *self, PyObject *unused)
{
    return new_number(subi_descriptor_take(((descriptor *)self)->descriptor));
}

static PyMethodDef descriptor_methods[] = {
    {"copy", descriptor_copy, METH_NOARGS, copy_doc},
    {"take", descriptor_take, METH_NOARGS, take_doc},
    {NULL},
};

PyDoc_STRVAR(
    descriptor_doc,
    "_Descriptor(fd)\n--\n\n"
    "A copy of a file descriptor, not inheritable, that can be sent to one other interpreter.\n\n"
    "It is closed with the last reference, unless somebody has taken it. Raises OSError.");

static PyType_Slot descriptor_slots[] = {
    {Py_tp_dealloc, descriptor_dealloc},
    {Py_tp_new, descriptor_make},
    {Py_tp_methods, descriptor_methods},
    {Py_tp_doc, (void *)descriptor_doc},
    {0, NULL},
};

static PyType_Spec descriptor_spec = {
    .name = "subinterpreters._Descriptor",
    .basicsize = sizeof(descriptor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = descriptor_slots,
};

int
subi_descriptor_type_init(module_state *state)
{
    return subi_type_add(state, &state->descriptor_type, &descriptor_spec);
}
