// SPDX-License-Identifier: MIT
#include "sync.h"

static subi_sync *
mutex_of(PyObject *self)
{
    subi_sync *s = subi_sync_of(self);
    return subi_sync_what(s) == SUBI_CONDITION ? subi_condition_mutex(s) : s;
}

// ---- methods ----------------------------------------------------------------------------------

static subi_result
acquire(module_state *state, subi_sync *m, int64_t deadline)
{
    static const subi_patience
    try
        = {.deadline = SUBI_TRY};
    subi_detached d;
    subi_result r = subi_mutex_acquire(m, state->self_id, &try);
    if (r != SUBI_BUSY || deadline == SUBI_TRY) {
        return r;
    }
    return SUBI_SYNC_WAIT(state, deadline, subi_mutex_acquire(m, state->self_id, &d.patience));
}

const char subi_lock_acquire_doc[] = PyDoc_STR(
    "acquire($self, /, blocking=True, timeout=-1)\n--\n\n"
    "Acquire the lock; wait while somebody else has it, in whatever interpreter.\n\n"
    "Args:\n"
    "    blocking: whether to wait.\n"
    "    timeout: seconds to wait at most; -1 or None is for ever, 0 tries once.\n\n"
    "Returns:\n    Whether it has been acquired.\n\n"
    "Raises:\n"
    "    LockOwnerDiedError: the thread that had it has ended, or its interpreter was closed.\n"
    "    ValueError: timeout is negative, or given though blocking is false.\n"
    "    RuntimeError: in the child of a fork.");

PyObject *
subi_lock_acquire(PyObject *self, PyObject *args, PyObject *kwds)
{
    module_state *state = get_state_of(self);
    int64_t deadline;
    if (state == NULL || subi_sync_parse_blocking(args, kwds, "|pO:acquire", true, &deadline) < 0) {
        return NULL;
    }
    subi_sync *m = mutex_of(self);
    return subi_sync_bool(state, acquire(state, m, deadline), m);
}

PyObject *
subi_lock_enter(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_sync *m = mutex_of(self);
    return subi_sync_bool(state, acquire(state, m, SUBI_FOREVER), m);
}

const char subi_lock_release_doc[] = PyDoc_STR(
    "release($self, /)\n--\n\n"
    "Release the lock. A Lock can be released by anybody, an RLock only by its owner: the\n"
    "thread and the interpreter that have acquired it, as often as they have.\n\n"
    "Raises:\n"
    "    RuntimeError: it has not been acquired; or in the child of a fork.\n"
    "    LockOwnerDiedError: its owner has ended.");

PyObject *
subi_lock_release(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_sync *m = mutex_of(self);
    subi_result r = subi_mutex_release(m, state->self_id);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    if (r == SUBI_NOT_OWNER) {
        PyErr_SetString(PyExc_RuntimeError, subi_sync_what(m) == SUBI_LOCK
                                                ? "release unlocked lock"
                                                : "cannot release un-acquired lock");
        return NULL;
    }
    return subi_sync_raise(state, r, m);
}

PyObject *
subi_lock_exit(PyObject *self, PyObject *const *args, Py_ssize_t n)
{
    return subi_lock_release(self, NULL);
}

const char subi_lock_locked_doc[] = PyDoc_STR(
    "locked($self, /)\n--\n\n"
    "Whether somebody has the lock, or has ended with it. RuntimeError in the child of a\n"
    "fork.");

PyObject *
subi_lock_locked(PyObject *self, PyObject *unused)
{
    subi_mutex_state s;
    subi_sync *m = mutex_of(self);
    subi_result r = subi_mutex_look(m, &s);
    if (r != SUBI_OK) {
        return subi_sync_raise(NULL, r, m);
    }
    return PyBool_FromLong(s.depth > 0 || s.owner_died);
}

PyDoc_STRVAR(reset_doc,
             "reset($self, /)\n--\n\n"
             "Make a lock usable again whose owner has ended: afterwards it is free. To be\n"
             "called when what the lock protects is known to be as it should.\n\n"
             "Raises:\n    RuntimeError: its owner has not ended; or in the child of a fork.");

static PyObject *
lock_reset(PyObject *self, PyObject *unused)
{
    subi_sync *m = subi_sync_of(self);
    subi_result r = subi_mutex_reset(m);
    if (r == SUBI_OK) {
        Py_RETURN_NONE;
    }
    if (r == SUBI_NOT_OWNER) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reset a lock whose owner has not ended");
        return NULL;
    }
    return subi_sync_raise(NULL, r, m);
}

// ---- text -------------------------------------------------------------------------------------

PyObject *
subi_lock_text(subi_sync *m)
{
    const char *name = subi_sync_name(m);
    long long id = subi_sync_id(m);
    subi_mutex_state s;
    if (subi_mutex_look(m, &s) != SUBI_OK) {
        return PyUnicode_FromFormat("%s %lld of another process", name, id);
    }
    if (s.depth == 0) {
        return PyUnicode_FromFormat("%s %lld %s", name, id,
                                    s.owner_died ? "whose owner has died" : "unlocked");
    }
    PyObject *times =
        s.depth > 1 ? PyUnicode_FromFormat(", %zu times", s.depth) : PyUnicode_FromString("");
    PyObject *text =
        times != NULL ? PyUnicode_FromFormat("%s %lld locked by thread %zu of interpreter %lld%U",
                                             name, id, (size_t)s.thread, (long long)s.interp, times)
                      : NULL;
    Py_XDECREF(times);
    return text;
}

static PyObject *
lock_repr(PyObject *self)
{
    PyObject *text = subi_lock_text(subi_sync_of(self));
    PyObject *repr = text != NULL ? PyUnicode_FromFormat("<%U>", text) : NULL;
    Py_XDECREF(text);
    return repr;
}

// ---- the types --------------------------------------------------------------------------------

static PyObject *
new_lock(PyTypeObject *type, bool recursive)
{
    subi_sync *m = NULL;
    subi_result r = subi_mutex_new(recursive, &m);
    return subi_sync_wrap(type, r, m);
}

static PyObject *
lock_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    return subi_sync_parse_nothing(args, kwds, ":Lock") < 0 ? NULL : new_lock(type, false);
}

static PyObject *
rlock_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    return subi_sync_parse_nothing(args, kwds, ":RLock") < 0 ? NULL : new_lock(type, true);
}

static PyMethodDef lock_methods[] = {
    SUBI_LOCK_METHODS,
    {"reset", lock_reset, METH_NOARGS, reset_doc},
    {NULL},
};

PyDoc_STRVAR(
    lock_doc,
    "Lock()\n--\n\n"
    "A lock as threading.Lock, for the threads of all interpreters that it is sent to. If\n"
    "the thread that has acquired it ends, or its interpreter closes, everybody gets\n"
    "LockOwnerDiedError, until reset() is called.");

static PyType_Slot lock_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, lock_new},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_doc, (void *)lock_doc},
    {0, NULL},
};

PyType_Spec subi_lock_spec = {
    .name = "subinterpreters.Lock",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = lock_slots,
};

PyDoc_STRVAR(
    rlock_doc,
    "RLock()\n--\n\n"
    "As Lock, but its owner, a thread in an interpreter, can acquire it again, and has to\n"
    "release it as often. The same thread in another interpreter is not its owner.");

static PyType_Slot rlock_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, rlock_new},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_doc, (void *)rlock_doc},
    {0, NULL},
};

PyType_Spec subi_rlock_spec = {
    .name = "subinterpreters.RLock",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = rlock_slots,
};
