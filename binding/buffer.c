// SPDX-License-Identifier: MIT
#include "buffer.h"

#include "buffer_type.h"
#include "errors.h"
#include "exit.h"

// ---- the export: runs in the interpreter that has the memory, or on the core's reaper ----------

// The data of an export.
typedef struct opened_buffer {
    PyInterpreterState *interp;
    Py_buffer view;  // stays where it is: exporters may point into it
} opened_buffer;

static bool
is_attached(void *data)
{
    PyThreadState *t = PyThreadState_GetUnchecked();
#if PY_VERSION_HEX < 0x030C0000
    if (t != NULL && t->thread_id != PyThread_get_thread_ident()) {
        return false;  // it is that of the thread that has the GIL
    }
#endif
    return t != NULL && PyThreadState_GetInterpreter(t) == ((opened_buffer *)data)->interp;
}

static void
release(void *data)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyBuffer_Release(&((opened_buffer *)data)->view);  // may run any code
    PyErr_SetRaisedException(exc);
}

static bool
visit(void *data, subi_export *returned)
{
    PyThreadState *mine = PyThreadState_New(((opened_buffer *)data)->interp);
    if (mine == NULL) {
        return false;
    }
    PyEval_RestoreThread(mine);
    subi_exports_release(returned);
    PyThreadState_Clear(mine);
    PyThreadState_DeleteCurrent();
    return true;
}

static const subi_export_calls calls = {is_attached, release, visit};

// ---- what cannot be sent ----------------------------------------------------------------------

// The exception that is set becomes the cause.
static int
refuse(module_state *state, PyObject *obj, const char *why)
{
    PyObject *cause = PyErr_GetRaisedException();
    PyErr_Format(subi_error(state, NotShareableError),
                 "%.200s object cannot be sent to another interpreter: %s", Py_TYPE(obj)->tp_name,
                 why);
    if (cause != NULL) {
        PyObject *exc = PyErr_GetRaisedException();
        PyException_SetCause(exc, cause);  // which takes it over
        PyErr_SetRaisedException(exc);
    }
    return -1;
}

static int
check(module_state *state, PyObject *obj, const Py_buffer *view)
{
    bool indirect = false;
    for (int k = 0; view->suboffsets != NULL && k < view->ndim; k++) {
        indirect = indirect || view->suboffsets[k] >= 0;
    }
    if (indirect) {
        return refuse(state, obj, "its buffer is indirect (it has suboffsets)");
    }
    if (view->ndim > PyBUF_MAX_NDIM || (view->shape == NULL && view->ndim > 1)) {
        return refuse(state, obj, "its buffer has too many dimensions");
    }
    return 0;
}

// ---- opening ----------------------------------------------------------------------------------

static int
raise_no_export(module_state *state, PyObject *obj, subi_result r)
{
    if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
        return -1;
    }
    return refuse(state, obj,
                  r == SUBI_CLOSED ? "this interpreter is ending"
                                   : "this interpreter was made before a fork");
}

static int
get_buffer(module_state *state, PyObject *obj, Py_buffer *view)
{
    if (PyObject_GetBuffer(obj, view, PyBUF_FULL_RO) == 0) {
        return check(state, obj, view);
    }
    view->obj = NULL;
    bool passes = !PyErr_ExceptionMatches(PyExc_Exception) ||  // KeyboardInterrupt, for one
                  PyErr_ExceptionMatches(PyExc_MemoryError);
    return passes ? -1 : refuse(state, obj, "its buffer could not be opened");
}

// Memory that came from another interpreter goes on without us: this one may end.
static void
find_original(module_state *state, const Py_buffer *view, outgoing_buffer *out)
{
    PyObject *base = view->obj;
    while (base != NULL && PyMemoryView_Check(base)) {
        base = PyMemoryView_GET_BASE(base);
    }
    out->memory = subi_shared_buffer_export(state, base);
    out->borrowed = subi_shared_buffer_memory(state, base);
}

// Not all exporters give what PyBUF_FULL_RO asks for, when it goes without saying. Where a step is too large
// for its type there are no items, or subi_layout_extent finds out.
static void
complete_dimensions(const Py_buffer *view, Py_ssize_t *shape, Py_ssize_t *strides)
{
    Py_ssize_t step = view->itemsize;
    for (int k = view->ndim - 1; k >= 0; k--) {
        shape[k] = view->shape != NULL ? view->shape[k] : step > 0 ? view->len / step : 0;
        strides[k] = view->strides != NULL ? view->strides[k] : step;
        (void)__builtin_mul_overflow(step, shape[k], &step);
    }
}

static int
describe(module_state *state, PyObject *obj, outgoing_buffer *out)
{
    Py_ssize_t shape[PyBUF_MAX_NDIM], strides[PyBUF_MAX_NDIM];
    const Py_buffer *view = out->view;
    const char *format = view->format != NULL ? view->format : "B";
    out->layout = (buffer_layout){.buf = view->buf,
                                  .len = view->len,
                                  .itemsize = view->itemsize,
                                  .format_size = strlen(format) + 1,
                                  .ndim = view->ndim,
                                  .readonly = view->readonly};
    complete_dimensions(view, shape, strides);
    const char *why = subi_layout_extent(&out->layout, shape, strides, format, &out->extent);
    return why == NULL ? 0 : refuse(state, obj, why);
}

int
subi_buffer_open(module_state *state, PyObject *obj, outgoing_buffer *out)
{
    subi_interp *self = subi_state_self(state);
    subi_result r = subi_export_new(self, &calls, sizeof(opened_buffer), &out->opened);
    if (r != SUBI_OK) {
        return raise_no_export(state, obj, r);
    }
    opened_buffer *opened = subi_export_data(out->opened);
    opened->interp = PyInterpreterState_Get();
    int got = get_buffer(state, obj, &opened->view);
    out->view = &opened->view;
    if (got == 0) {
        got = describe(state, obj, out);
    }
    out->memory = NULL;
    out->borrowed = NULL;
    if (got == 0) {
        find_original(state, &opened->view, out);
    }
    if (got == 0 && out->memory == NULL && out->borrowed == NULL) {
        out->memory = out->opened;
        if (subi_interp_kind(self) == SUBI_KIND_FOREIGN) {
            got = refuse(state, obj,
                         "this interpreter was not made by subinterpreters.create(), "
                         "so it may end while its memory is in use");
        }
        else if (subi_exit_arm(state) < 0) {
            got = -1;
        }
    }
    if (got < 0) {
        subi_export_drop(out->opened);
        return -1;
    }
    return 0;
}

void
subi_buffer_done(outgoing_buffer *b)
{
    subi_export_drop(b->opened);
}

// ---- writing ----------------------------------------------------------------------------------

size_t
subi_buffer_rest_size(const buffer_layout *layout)
{
    return 2 * (size_t)layout->ndim * sizeof(Py_ssize_t) + layout->format_size;
}

size_t
subi_buffer_written_size(const outgoing_buffer *b)
{
    return sizeof(b->layout) + subi_buffer_rest_size(&b->layout);
}

void
subi_buffer_write(const outgoing_buffer *b, unsigned char *p)
{
    Py_ssize_t shape[PyBUF_MAX_NDIM], strides[PyBUF_MAX_NDIM];
    size_t size = (size_t)b->layout.ndim * sizeof(Py_ssize_t);
    complete_dimensions(b->view, shape, strides);
    memcpy(p, &b->layout, sizeof(b->layout));
    p += sizeof(b->layout);
    memcpy(p, shape, size);
    memcpy(p + size, strides, size);
    memcpy(p + 2 * size, b->view->format != NULL ? b->view->format : "B", b->layout.format_size);
}
