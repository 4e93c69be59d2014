// SPDX-License-Identifier: MIT
#include "sync.h"

// ---- methods ----------------------------------------------------------------------------------

static PyObject *
raise_condition(module_state *state, subi_result r, subi_sync *c, const char *what)
{
    if (r == SUBI_NOT_OWNER) {
        PyErr_Format(PyExc_RuntimeError, "cannot %s on un-acquired lock", what);
        return NULL;
    }
    return subi_sync_raise(state, r, r == SUBI_OWNER_DIED ? subi_condition_mutex(c) : c);
}

static subi_result
wait_until(module_state *state, subi_sync *c, int64_t deadline)
{
    subi_detached d;
    return SUBI_SYNC_WAIT(state, deadline, subi_condition_wait(c, state->self_id, &d.patience));
}

PyDoc_STRVAR(
    wait_doc,
    "wait($self, /, timeout=None)\n--\n\n"
    "Release the lock, wait to be notified, and acquire the lock again, as often as it was.\n\n"
    "Args:\n"
    "    timeout: seconds to wait at most; None is for ever. The time to acquire the lock\n"
    "        comes on top.\n\n"
    "Returns:\n    False if the time is over, else True.\n\n"
    "Raises:\n"
    "    RuntimeError: the caller has not acquired the lock; or in the child of a fork.\n"
    "    LockOwnerDiedError: somebody has ended with the lock.\n"
    "    ValueError: timeout is negative.");

static PyObject *
condition_wait(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    module_state *state = get_state_of(self);
    PyObject *timeout = NULL;
    int64_t deadline;
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwds, "|O:wait", keywords, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    subi_sync *c = subi_sync_of(self);
    subi_result r = wait_until(state, c, deadline);
    if (r == SUBI_OK || r == SUBI_TIMEOUT) {
        return PyBool_FromLong(r == SUBI_OK);
    }
    return raise_condition(state, r, c, "wait");
}

PyDoc_STRVAR(wait_for_doc, "wait_for($self, /, predicate, timeout=None)\n--\n\n"
                           "Wait until predicate(), which is called with the lock, is true.\n\n"
                           "Args:\n"
                           "    predicate: called at first, and whenever notified.\n"
                           "    timeout: seconds to wait at most, in all; None is for ever.\n\n"
                           "Returns:\n    What predicate() has returned last.\n\n"
                           "Raises:\n    As wait(), and what predicate() raises.");

static PyObject *
condition_wait_for(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"predicate", "timeout", NULL};
    module_state *state = get_state_of(self);
    PyObject *predicate, *timeout = NULL;
    int64_t deadline;
    if (state == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwds, "O|O:wait_for", keywords, &predicate, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    subi_sync *c = subi_sync_of(self);
    subi_result r = SUBI_OK;
    for (;;) {
        PyObject *result = PyObject_CallNoArgs(predicate);
        int is_true = result != NULL ? PyObject_IsTrue(result) : -1;
        if (is_true < 0) {
            Py_XDECREF(result);
            return NULL;
        }
        if (is_true || r == SUBI_TIMEOUT) {
            return result;
        }
        Py_DECREF(result);
        r = wait_until(state, c, deadline);
        if (r != SUBI_OK && r != SUBI_TIMEOUT) {
            return raise_condition(state, r, c, "wait");
        }
    }
}

static PyObject *
notify(PyObject *self, size_t n)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_sync *c = subi_sync_of(self);
    subi_result r = subi_condition_notify(c, state->self_id, n);
    if (r != SUBI_OK) {
        return raise_condition(state, r, c, "notify");
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(notify_doc,
             "notify($self, /, n=1)\n--\n\n"
             "Wake at most n of those that wait, in their order.\n\n"
             "Args:\n    n: an int; less than 1 wakes nobody.\n\n"
             "Raises:\n"
             "    RuntimeError: the caller has not acquired the lock; or in the child of\n"
             "        a fork.\n"
             "    LockOwnerDiedError: somebody has ended with the lock.");

static PyObject *
condition_notify(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"n", NULL};
    Py_ssize_t n = 1;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "|n:notify", keywords, &n)) {
        return NULL;
    }
    return notify(self, n > 0 ? (size_t)n : 0);
}

PyDoc_STRVAR(notify_all_doc, "notify_all($self, /)\n--\n\n"
                             "Wake all that wait. It raises what notify() raises.");

static PyObject *
condition_notify_all(PyObject *self, PyObject *unused)
{
    return notify(self, SIZE_MAX);
}

static PyObject *
condition_repr(PyObject *self)
{
    subi_sync *c = subi_sync_of(self);
    PyObject *of = subi_lock_text(subi_condition_mutex(c));
    PyObject *repr =
        of != NULL ? PyUnicode_FromFormat("<Condition %lld of %U>", (long long)subi_sync_id(c), of)
                   : NULL;
    Py_XDECREF(of);
    return repr;
}

// ---- the type ---------------------------------------------------------------------------------

// The mutex for a new condition, as a new reference; NULL with an exception set.
static subi_sync *
mutex_for(module_state *state, PyObject *lock)
{
    subi_sync *m = NULL;
    if (lock == Py_None) {
        if (subi_mutex_new(true, &m) != SUBI_OK) {
            PyErr_NoMemory();
        }
    }
    else if (Py_IS_TYPE(lock, state->sync_types[SUBI_LOCK]) ||
             Py_IS_TYPE(lock, state->sync_types[SUBI_RLOCK])) {
        m = subi_sync_of(lock);
        subi_sync_hold(m);
    }
    else {
        PyErr_Format(PyExc_TypeError,
                     "lock must be a Lock or RLock of subinterpreters, or None, got %.100s",
                     Py_TYPE(lock)->tp_name);
    }
    return m;
}

static PyObject *
condition_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"lock", NULL};
    PyObject *lock = Py_None;
    PyObject *module = PyType_GetModuleByDef(type, &subi_module_def);
    if (module == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwds, "|O:Condition", keywords, &lock)) {
        return NULL;
    }
    subi_sync *c = NULL, *m = mutex_for(get_state(module), lock);
    if (m == NULL) {
        return NULL;
    }
    subi_result r = subi_condition_new(m, &c);
    PyObject *self = r != SUBI_FORKED ? subi_sync_wrap(type, r, c) : subi_sync_raise(NULL, r, m);
    subi_sync_drop(m);
    return self;
}

static PyMethodDef condition_methods[] = {
    SUBI_LOCK_METHODS,
    {"wait", (PyCFunction)(void (*)(void))condition_wait, METH_VARARGS | METH_KEYWORDS, wait_doc},
    {"wait_for", (PyCFunction)(void (*)(void))condition_wait_for, METH_VARARGS | METH_KEYWORDS,
     wait_for_doc},
    {"notify", (PyCFunction)(void (*)(void))condition_notify, METH_VARARGS | METH_KEYWORDS,
     notify_doc},
    {"notify_all", condition_notify_all, METH_NOARGS, notify_all_doc},
    {NULL},
};

PyDoc_STRVAR(
    condition_doc,
    "Condition(lock=None)\n--\n\n"
    "A condition as threading.Condition, for the threads of all interpreters that it is sent\n"
    "to; its lock goes with it.\n\n"
    "Args:\n    lock: a Lock or RLock of this package; None is a new RLock.\n\n"
    "Raises:\n"
    "    TypeError: lock is something else.\n"
    "    RuntimeError: it was made before a fork, in the parent.");

static PyType_Slot condition_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, condition_new},
    {Py_tp_repr, condition_repr},
    {Py_tp_methods, condition_methods},
    {Py_tp_doc, (void *)condition_doc},
    {0, NULL},
};

PyType_Spec subi_condition_spec = {
    .name = "subinterpreters.Condition",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = condition_slots,
};
