// SPDX-License-Identifier: MIT
#include "buffer_type.h"

typedef struct shared_buffer {
    PyObject_VAR_HEAD subi_export *memory;  // one reference
    buffer_layout layout;
    Py_ssize_t dimensions[];  // shape and strides; behind them the format
} shared_buffer;

static Py_ssize_t *
shape_of(shared_buffer *self)
{
    return self->layout.ndim > 0 ? self->dimensions : NULL;
}

static Py_ssize_t *
strides_of(shared_buffer *self)
{
    return self->layout.ndim > 0 ? self->dimensions + self->layout.ndim : NULL;
}

static char *
format_of(shared_buffer *self)
{
    return (char *)(self->dimensions + 2 * self->layout.ndim);
}

subi_export *
subi_shared_buffer_export(module_state *state, PyObject *obj)
{
    bool is_one = obj != NULL && Py_IS_TYPE(obj, state->shared_buffer_type);
    return is_one ? ((shared_buffer *)obj)->memory : NULL;
}

PyObject *
subi_buffer_unpack(module_state *state, const subi_segment *segment, const buffer_layout *layout,
                   const void *rest)
{
    size_t size = subi_buffer_rest_size(layout);
    shared_buffer *self =
        PyObject_NewVar(shared_buffer, state->shared_buffer_type, (Py_ssize_t)size);
    if (self == NULL) {
        return NULL;
    }
    self->memory = segment->owner;
    subi_export_hold(self->memory);
    self->layout = *layout;
    memcpy(self->dimensions, rest, size);
    PyObject *view = PyMemoryView_FromObject((PyObject *)self);
    Py_DECREF(self);
    return view;
}

static void
shared_buffer_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_export_drop(((shared_buffer *)self)->memory);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- the buffer protocol ----------------------------------------------------------------------

static bool
asks_for(int flags, int what)
{
    return (flags & what) == what;
}

// Why the request cannot be met, or NULL.
static const char *
find_objection(const Py_buffer *all, int flags)
{
    bool c = PyBuffer_IsContiguous(all, 'C');
    if (asks_for(flags, PyBUF_WRITABLE) && all->readonly) {
        return "the memory is read-only";
    }
    if (asks_for(flags, PyBUF_C_CONTIGUOUS) && !c) {
        return "the memory is not C-contiguous";
    }
    if (asks_for(flags, PyBUF_F_CONTIGUOUS) && !PyBuffer_IsContiguous(all, 'F')) {
        return "the memory is not Fortran-contiguous";
    }
    if (asks_for(flags, PyBUF_ANY_CONTIGUOUS) && !PyBuffer_IsContiguous(all, 'A')) {
        return "the memory is not contiguous";
    }
    if (!asks_for(flags, PyBUF_STRIDES) && !c) {
        return "the memory is not C-contiguous, and strides were not asked for";
    }
    if (asks_for(flags, PyBUF_FORMAT) && !asks_for(flags, PyBUF_ND)) {
        return "a format was asked for, and no shape";
    }
    return NULL;
}

static int
shared_buffer_getbuffer(PyObject *obj, Py_buffer *view, int flags)
{
    shared_buffer *self = (shared_buffer *)obj;
    Py_buffer all = {.buf = self->layout.buf,
                     .len = self->layout.len,
                     .itemsize = self->layout.itemsize,
                     .readonly = self->layout.readonly,
                     .ndim = self->layout.ndim,
                     .format = format_of(self),
                     .shape = shape_of(self),
                     .strides = strides_of(self)};
    const char *objection = find_objection(&all, flags);
    view->obj = NULL;
    if (objection != NULL) {
        PyErr_SetString(PyExc_BufferError, objection);
        return -1;
    }
    if (!asks_for(flags, PyBUF_FORMAT)) {
        all.format = NULL;
    }
    if (!asks_for(flags, PyBUF_STRIDES)) {
        all.strides = NULL;
    }
    if (!asks_for(flags, PyBUF_ND)) {  // bytes, whatever they mean
        all.shape = NULL;
        all.ndim = 1;
    }
    *view = all;
    view->obj = Py_NewRef(obj);
    return 0;
}

// There is nothing to release: the reference to the object is all that a view holds.
static PyType_Slot shared_buffer_slots[] = {
    {Py_tp_dealloc, shared_buffer_dealloc},
    {Py_bf_getbuffer, shared_buffer_getbuffer},
    {Py_tp_doc, "Memory of another interpreter, which keeps it as long as this exists."},
    {0, NULL},
};

static PyType_Spec shared_buffer_spec = {
    .name = "subinterpreters.SharedBuffer",
    .basicsize = sizeof(shared_buffer),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shared_buffer_slots,
};

int
subi_buffer_type_init(PyObject *module, module_state *state)
{
    state->shared_buffer_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &shared_buffer_spec, NULL);
    return state->shared_buffer_type != NULL ? 0 : -1;
}
