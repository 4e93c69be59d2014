// SPDX-License-Identifier: MIT
//
// What the Barrier of _barrier.py has in the core.
#include "sync.h"

static PyObject *
raise_broken(void)
{
    PyObject *threading = PyImport_ImportModule("threading");
    PyObject *error =
        threading != NULL ? PyObject_GetAttrString(threading, "BrokenBarrierError") : NULL;
    if (error != NULL) {
        PyErr_SetNone(error);
    }
    Py_XDECREF(error);
    Py_XDECREF(threading);
    return NULL;
}

static PyObject *
raise_barrier(module_state *state, subi_result r, subi_sync *b)
{
    return r == SUBI_BROKEN || r == SUBI_TIMEOUT ? raise_broken() : subi_sync_raise(state, r, b);
}

// The caller leads. -1 with an exception set.
static int
lead(module_state *state, subi_sync *b, PyObject *action)
{
    PyObject *result = PyObject_CallNoArgs(action);
    if (result == NULL) {
        subi_barrier_abort(b);
        return -1;
    }
    Py_DECREF(result);
    subi_result r = subi_barrier_release(b, state->self_id);
    if (r != SUBI_OK) {
        raise_barrier(state, r, b);
    }
    return r == SUBI_OK ? 0 : -1;
}

static PyObject *
barrier_wait(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    PyObject *timeout, *action;
    int64_t deadline;
    size_t index = 0;
    subi_detached d;
    subi_barrier_state looks;
    if (state == NULL || !PyArg_ParseTuple(args, "OO:wait", &timeout, &action) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    subi_sync *b = subi_sync_of(self);
    subi_barrier_look(b, &looks);
    subi_result r =
        SUBI_SYNC_WAIT(state, deadline, subi_barrier_wait(b, state->self_id, &d.patience, &index));
    if (r != SUBI_OK) {
        return raise_barrier(state, r, b);
    }
    if (action != Py_None && index == looks.parties - 1 && lead(state, b, action) < 0) {
        return NULL;
    }
    return PyLong_FromSize_t(index);
}

static PyObject *
none_or_raise(subi_result r, subi_sync *b)
{
    if (r != SUBI_OK) {
        return subi_sync_raise(NULL, r, b);
    }
    Py_RETURN_NONE;
}

static PyObject *
barrier_abort(PyObject *self, PyObject *unused)
{
    subi_sync *b = subi_sync_of(self);
    return none_or_raise(subi_barrier_abort(b), b);
}

static PyObject *
barrier_reset(PyObject *self, PyObject *unused)
{
    subi_sync *b = subi_sync_of(self);
    return none_or_raise(subi_barrier_reset(b), b);
}

// The tuple (parties, n_waiting, broken).
static PyObject *
barrier_look(PyObject *self, PyObject *unused)
{
    subi_sync *b = subi_sync_of(self);
    subi_barrier_state s;
    subi_result r = subi_barrier_look(b, &s);
    if (r != SUBI_OK) {
        return subi_sync_raise(NULL, r, b);
    }
    return Py_BuildValue("(nnO)", (Py_ssize_t)s.parties, (Py_ssize_t)s.waiting,
                         s.broken ? Py_True : Py_False);
}

// _Barrier(parties, led, timeout): the last is only looked at, whether it is one.
static PyObject *
barrier_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    Py_ssize_t parties;
    int led;
    int64_t unused;
    PyObject *timeout;
    subi_sync *b = NULL;
    if (!PyArg_ParseTuple(args, "npO:Barrier", &parties, &led, &timeout) ||
        subi_parse_timeout(timeout, &unused) < 0) {
        return NULL;
    }
    if (parties < 1) {
        PyErr_Format(PyExc_ValueError, "parties must be >= 1, got %zd", parties);
        return NULL;
    }
    subi_result r = subi_barrier_new((size_t)parties, led, &b);
    return subi_sync_wrap(type, r, b);
}

static PyMethodDef barrier_methods[] = {
    {"wait", barrier_wait, METH_VARARGS, NULL},
    {"abort", barrier_abort, METH_NOARGS, NULL},
    {"reset", barrier_reset, METH_NOARGS, NULL},
    {"look", barrier_look, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot barrier_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, barrier_new},
    {Py_tp_methods, barrier_methods},
    {0, NULL},
};

PyType_Spec subi_barrier_spec = {
    .name = "subinterpreters._Barrier",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = barrier_slots,
};
