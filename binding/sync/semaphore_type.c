// SPDX-License-Identifier: MIT
#include "sync.h"

// ---- methods ----------------------------------------------------------------------------------

static subi_result
acquire(module_state *state, subi_sync *s, int64_t deadline)
{
    static const subi_patience
    try
        = {.deadline = SUBI_TRY};
    subi_detached d;
    subi_result r = subi_semaphore_acquire(s, &try);
    if (r != SUBI_BUSY || deadline == SUBI_TRY) {
        return r;
    }
    return SUBI_SYNC_WAIT(state, deadline, subi_semaphore_acquire(s, &d.patience));
}

PyDoc_STRVAR(acquire_doc,
             "acquire($self, /, blocking=True, timeout=None)\n--\n\n"
             "Take one off the value; wait while that is 0.\n\n"
             "Args:\n"
             "    blocking: whether to wait.\n"
             "    timeout: seconds to wait at most; None is for ever, 0 tries once.\n\n"
             "Returns:\n    Whether one has been taken.\n\n"
             "Raises:\n"
             "    ValueError: timeout is negative, or given though blocking is false.\n"
             "    RuntimeError: in the child of a fork.");

static PyObject *
semaphore_acquire(PyObject *self, PyObject *args, PyObject *kwds)
{
    module_state *state = get_state_of(self);
    int64_t deadline;
    if (state == NULL ||
        subi_sync_parse_blocking(args, kwds, "|pO:acquire", false, &deadline) < 0) {
        return NULL;
    }
    subi_sync *s = subi_sync_of(self);
    return subi_sync_bool(state, acquire(state, s, deadline), s);
}

static PyObject *
semaphore_enter(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_sync *s = subi_sync_of(self);
    return subi_sync_bool(state, acquire(state, s, SUBI_FOREVER), s);
}

static PyObject *
release(PyObject *self, size_t n)
{
    subi_sync *s = subi_sync_of(self);
    subi_result r = subi_semaphore_release(s, n);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    if (r == SUBI_FULL) {
        PyErr_SetString(PyExc_ValueError, "Semaphore released too many times");
        return NULL;
    }
    return subi_sync_raise(NULL, r, s);
}

PyDoc_STRVAR(release_doc,
             "release($self, /, n=1)\n--\n\n"
             "Add n, an int, to the value, and wake as many that wait.\n\n"
             "Raises:\n"
             "    ValueError: n is less than 1; or the value of a BoundedSemaphore would\n"
             "        be more than at first.\n"
             "    RuntimeError: in the child of a fork.");

static PyObject *
semaphore_release(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"n", NULL};
    Py_ssize_t n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|n:release", keywords, &n)) {
        return NULL;
    }
    if (n < 1) {
        PyErr_Format(PyExc_ValueError, "n must be one or more, got %zd", n);
        return NULL;
    }
    return release(self, (size_t)n);
}

static PyObject *
semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    return release(self, 1);
}

static PyObject *
semaphore_repr(PyObject *self)
{
    subi_sync *s = subi_sync_of(self);
    size_t value;
    const char *name = subi_sync_name(s);
    long long id = subi_sync_id(s);
    if (subi_semaphore_value(s, &value) != SUBI_OK) {
        return PyUnicode_FromFormat("<%s %lld of another process>", name, id);
    }
    return PyUnicode_FromFormat("<%s %lld value=%zu>", name, id, value);
}

// ---- the types --------------------------------------------------------------------------------

static PyObject *
new_semaphore(PyTypeObject *type, PyObject *args, PyObject *kwds, const char *format, bool bounded)
{
    static char *keywords[] = {"value", NULL};
    Py_ssize_t value = 1;
    subi_sync *s = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, format, keywords, &value)) {
        return NULL;
    }
    if (value < 0) {
        PyErr_Format(PyExc_ValueError, "semaphore initial value must be >= 0, got %zd", value);
        return NULL;
    }
    subi_result r = subi_semaphore_new((size_t)value, bounded, &s);
    return subi_sync_wrap(type, r, s);
}

static PyObject *
semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    return new_semaphore(type, args, kwds, "|n:Semaphore", false);
}

static PyObject *
bounded_semaphore_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    return new_semaphore(type, args, kwds, "|n:BoundedSemaphore", true);
}

static PyMethodDef semaphore_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semaphore_acquire, METH_VARARGS | METH_KEYWORDS,
     acquire_doc},
    {"release", (PyCFunction)(void (*)(void))semaphore_release, METH_VARARGS | METH_KEYWORDS,
     release_doc},
    {"__enter__", semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL, NULL},
    {NULL},
};

PyDoc_STRVAR(
    semaphore_doc,
    "Semaphore(value=1)\n--\n\n"
    "A semaphore as threading.Semaphore, for the threads of all interpreters that it is sent\n"
    "to. It has no owner: one thread may acquire and another release. Those that wait are\n"
    "served in their order.\n\n"
    "Args:\n    value: an int, how many can acquire it before anybody releases it.\n\n"
    "Raises:\n    ValueError: value is negative.");

static PyType_Slot semaphore_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, semaphore_new},
    {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_doc, (void *)semaphore_doc},
    {0, NULL},
};

PyType_Spec subi_semaphore_spec = {
    .name = "subinterpreters.Semaphore",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = semaphore_slots,
};

PyDoc_STRVAR(bounded_semaphore_doc,
             "BoundedSemaphore(value=1)\n--\n\n"
             "As Semaphore, but its value cannot become more than it was at first.");

static PyType_Slot bounded_semaphore_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, bounded_semaphore_new},
    {Py_tp_repr, semaphore_repr},
    {Py_tp_methods, semaphore_methods},
    {Py_tp_doc, (void *)bounded_semaphore_doc},
    {0, NULL},
};

PyType_Spec subi_bounded_semaphore_spec = {
    .name = "subinterpreters.BoundedSemaphore",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = bounded_semaphore_slots,
};
