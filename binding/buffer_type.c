// SPDX-License-Identifier: MIT
#include "buffer_type.h"

#include <string.h>

typedef struct shared_buffer {
    PyObject_VAR_HEAD subi_export *lent;  // one reference; NULL: it is of memory of the core's
    subi_memory *memory;                  // one reference, or NULL
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
    return is_one ? ((shared_buffer *)obj)->lent : NULL;
}

subi_memory *
subi_shared_buffer_memory(module_state *state, PyObject *obj)
{
    bool is_one = obj != NULL && Py_IS_TYPE(obj, state->shared_buffer_type);
    return is_one ? ((shared_buffer *)obj)->memory : NULL;
}

// One with a layout; it has no memory yet. `rest` is what follows the layout in a message.
static shared_buffer *
new_shared_buffer(PyTypeObject *type, const buffer_layout *layout, const void *rest)
{
    size_t size = subi_buffer_rest_size(layout);
    shared_buffer *self = PyObject_NewVar(shared_buffer, type, (Py_ssize_t)size);
    if (self != NULL) {
        self->lent = NULL;
        self->memory = NULL;
        self->layout = *layout;
        memcpy(self->dimensions, rest, size);
    }
    return self;
}

// Of all of m, whose reference it takes over.
static PyObject *
new_whole(PyTypeObject *type, subi_memory *m)
{
    Py_ssize_t size = (Py_ssize_t)subi_memory_size(m);
    struct {
        Py_ssize_t shape, stride;
        char format[2];
    } rest = {size, 1, "B"};
    buffer_layout layout = {
        .buf = subi_memory_bytes(m), .len = size, .itemsize = 1, .format_size = 2, .ndim = 1};
    shared_buffer *self = new_shared_buffer(type, &layout, &rest);
    if (self == NULL) {
        subi_memory_drop(m);
        return NULL;
    }
    self->memory = m;
    return (PyObject *)self;
}

static bool
is_whole(shared_buffer *self)
{
    return self->memory != NULL && self->layout.buf == subi_memory_bytes(self->memory) &&
           (size_t)self->layout.len == subi_memory_size(self->memory) && !self->layout.readonly &&
           self->layout.ndim == 1 && strcmp(format_of(self), "B") == 0;
}

bool
subi_shared_buffer_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment)
{
    if (subi_shared_buffer_memory(state, obj) == NULL || !is_whole((shared_buffer *)obj)) {
        return false;
    }
    *type = SUBI_HANDLE_MEMORY;
    *segment = subi_memory_segment(((shared_buffer *)obj)->memory);
    return true;
}

PyObject *
subi_shared_buffer_unpack(module_state *state, const subi_segment *segment)
{
    subi_memory_hold(segment->owner);
    return new_whole(state->shared_buffer_type, segment->owner);
}

// What comes from a message, which might be damaged, must not reach other memory than the segment's.
static bool
is_in(shared_buffer *self, const subi_segment *segment)
{
    buffer_extent extent;
    size_t format_size = self->layout.format_size;
    if (format_size == 0 || format_of(self)[format_size - 1] != 0 ||
        subi_layout_extent(&self->layout, shape_of(self), strides_of(self), format_of(self),
                           &extent) != NULL) {
        return false;
    }
    size_t offset = extent.start - (uintptr_t)segment->data;  // it wraps if it is before
    return extent.size == 0 || (offset <= segment->size && extent.size <= segment->size - offset);
}

PyObject *
subi_buffer_unpack(module_state *state, const subi_segment *segment, const buffer_layout *layout,
                   const void *rest)
{
    shared_buffer *self = new_shared_buffer(state->shared_buffer_type, layout, rest);
    if (self == NULL) {
        return NULL;
    }
    if (segment->type == SUBI_HANDLE_MEMORY_VIEW) {
        self->memory = segment->owner;
        subi_memory_hold(self->memory);
    }
    else {
        self->lent = segment->owner;
        subi_export_hold(self->lent);
    }
    PyObject *view = NULL;
    if (is_in(self, segment)) {
        view = PyMemoryView_FromObject((PyObject *)self);
    }
    else {
        PyErr_SetString(PyExc_SystemError, "malformed buffer from another interpreter");
    }
    Py_DECREF(self);
    return view;
}

static void
shared_buffer_dealloc(PyObject *obj)
{
    shared_buffer *self = (shared_buffer *)obj;
    PyTypeObject *type = Py_TYPE(obj);
    if (self->lent != NULL) {
        subi_export_drop(self->lent);
    }
    if (self->memory != NULL) {
        subi_memory_drop(self->memory);
    }
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

// ---- for users --------------------------------------------------------------------------------

static PyObject *
shared_buffer_make(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *names[] = {"nbytes", NULL};
    PyObject *arg;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O:SharedBuffer", names, &arg)) {
        return NULL;
    }
    Py_ssize_t size = PyNumber_AsSsize_t(arg, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (size < 0) {
        PyErr_Format(PyExc_ValueError, "nbytes must not be negative, got %zd", size);
        return NULL;
    }
    subi_memory *m;
    return subi_memory_new((size_t)size, &m) == SUBI_OK ? new_whole(type, m) : PyErr_NoMemory();
}

static PyObject *
shared_buffer_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<SharedBuffer of %zd bytes>", ((shared_buffer *)self)->layout.len);
}

static Py_ssize_t
shared_buffer_length(PyObject *self)
{
    return ((shared_buffer *)self)->layout.len;
}

static PyObject *
shared_buffer_nbytes(PyObject *self, void *closure)
{
    return PyLong_FromSsize_t(((shared_buffer *)self)->layout.len);
}

// Where the memory is; for memory of no bytes, too.
static Py_hash_t
shared_buffer_hash(PyObject *self)
{
    Py_hash_t hash = (Py_hash_t)((uintptr_t)((shared_buffer *)self)->layout.buf >> 4);
    return hash != -1 ? hash : -2;
}

static PyObject *
shared_buffer_compare(PyObject *a, PyObject *b, int op)
{
    if ((op != Py_EQ && op != Py_NE) || Py_TYPE(a) != Py_TYPE(b)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    const shared_buffer *x = (shared_buffer *)a, *y = (shared_buffer *)b;
    bool same = x == y || (x->lent == y->lent && x->memory == y->memory &&
                           x->layout.buf == y->layout.buf && x->layout.len == y->layout.len);
    return PyBool_FromLong(same == (op == Py_EQ));
}

static PyGetSetDef shared_buffer_getset[] = {
    {"nbytes", shared_buffer_nbytes, NULL, "The size of the memory in bytes.", NULL},
    {NULL},
};

PyDoc_STRVAR(
    shared_buffer_doc,
    "SharedBuffer(nbytes)\n--\n\n"
    "Memory of `nbytes` bytes, all zero at first, that belongs to no interpreter.\n\n"
    "It has the buffer protocol (writable, format 'B'). Whoever receives it has the same\n"
    "memory, which is freed with the last of its SharedBuffers and views, in whatever\n"
    "interpreter; it outlives the one that made it. Two are equal if they are of the same\n"
    "memory. Nothing orders what several interpreters write.\n\n"
    "Args:\n    nbytes: an int, how large it is.\n\n"
    "Raises:\n"
    "    ValueError: nbytes is negative.\n"
    "    OverflowError, MemoryError: it is too large.\n"
    "    TypeError: it is no int.\n\n"
    ">>> buffer = SharedBuffer(8)\n"
    ">>> memoryview(buffer).cast('q')[0] = 42");

// There is nothing to release: the reference to the object is all that a view holds.
static PyType_Slot shared_buffer_slots[] = {
    {Py_tp_dealloc, shared_buffer_dealloc}, {Py_bf_getbuffer, shared_buffer_getbuffer},
    {Py_tp_new, shared_buffer_make},        {Py_tp_repr, shared_buffer_repr},
    {Py_tp_hash, shared_buffer_hash},       {Py_tp_richcompare, shared_buffer_compare},
    {Py_tp_getset, shared_buffer_getset},   {Py_sq_length, shared_buffer_length},
    {Py_tp_doc, (void *)shared_buffer_doc}, {0, NULL},
};

static PyType_Spec shared_buffer_spec = {
    .name = "subinterpreters.SharedBuffer",
    .basicsize = sizeof(shared_buffer),
    .itemsize = 1,
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = shared_buffer_slots,
};

int
subi_buffer_type_make(module_state *state)
{
    return subi_type_add(state, &state->shared_buffer_type, &shared_buffer_spec);
}
