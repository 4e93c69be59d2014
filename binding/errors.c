// SPDX-License-Identifier: MIT
#include "errors.h"

#include <stddef.h>

#define PUBLIC "subinterpreters."
#define LEGACY "_xxsubinterpreters."

// base: the offset of the base class in module_state, or one of these
#define BASE_EXCEPTION     0
#define BASE_RUNTIME_ERROR 1
#define BASE_TYPE_ERROR    2

#define FIELD(name) offsetof(module_state, name)

static const struct exception {
    size_t field;
    size_t base;
    const char *name;
    const char *doc;
} exceptions[] = {
    {FIELD(InterpreterError), BASE_EXCEPTION, PUBLIC "InterpreterError",
     "An operation on an interpreter failed. Base of the others."},
    {FIELD(InterpreterNotFoundError), FIELD(InterpreterError), PUBLIC "InterpreterNotFoundError",
     "There is no such interpreter, or not any more."},
    {FIELD(InterpreterClosedError), FIELD(InterpreterNotFoundError),
     PUBLIC "InterpreterClosedError", "The interpreter was closed."},
    {FIELD(ExecutionFailed), FIELD(InterpreterError), PUBLIC "ExecutionFailed",
     "Code that ran in another interpreter raised an exception. Its attribute `excinfo` says which:\n"
     "`type` (with __name__, __qualname__, __module__), `msg`, `formatted`, `errdisplay` (the\n"
     "remote traceback as text)."},
    {FIELD(NotShareableError), BASE_TYPE_ERROR, PUBLIC "NotShareableError",
     "The object cannot be sent to another interpreter."},
    {FIELD(ChannelError), BASE_EXCEPTION, PUBLIC "ChannelError",
     "An operation on a channel failed. Base of the others."},
    {FIELD(ChannelNotFoundError), FIELD(ChannelError), PUBLIC "ChannelNotFoundError",
     "There is no such channel, or not any more."},
    {FIELD(ChannelClosedError), FIELD(ChannelError), PUBLIC "ChannelClosedError",
     "The channel is closed. Raised by select(), its attribute `index` says which case's."},
    {FIELD(ChannelEmptyError), FIELD(ChannelError), PUBLIC "ChannelEmptyError",
     "There is nothing to receive right now."},
    {FIELD(ChannelFullError), FIELD(ChannelError), PUBLIC "ChannelFullError",
     "There is no room to send right now."},
    {FIELD(LockOwnerDiedError), BASE_RUNTIME_ERROR, PUBLIC "LockOwnerDiedError",
     "The thread that had acquired the lock has ended, or its interpreter was closed, and what the\n"
     "lock protects may be in any state. Everybody gets this, until reset() of the lock is called."},
    {FIELD(LegacyRunFailedError), BASE_RUNTIME_ERROR, LEGACY "RunFailedError", NULL},
    {FIELD(LegacyChannelError), BASE_RUNTIME_ERROR, LEGACY "ChannelError", NULL},
    {FIELD(LegacyChannelNotFoundError), FIELD(LegacyChannelError), LEGACY "ChannelNotFoundError",
     NULL},
    {FIELD(LegacyChannelClosedError), FIELD(LegacyChannelError), LEGACY "ChannelClosedError", NULL},
    {FIELD(LegacyChannelEmptyError), FIELD(LegacyChannelError), LEGACY "ChannelEmptyError", NULL},
    {FIELD(LegacyChannelNotEmptyError), FIELD(LegacyChannelError), LEGACY "ChannelNotEmptyError",
     NULL},
};

static PyObject **
field_of(module_state *state, size_t offset)
{
    return (PyObject **)((char *)state + offset);
}

static const struct exception *
find(size_t field)
{
    const struct exception *e = exceptions;
    while (e->field != field) {
        e++;
    }
    return e;
}

static PyObject *class_of(module_state *state, const struct exception *e);

static PyObject *
base_of(module_state *state, size_t base)
{
    switch (base) {
    case BASE_EXCEPTION:
        return PyExc_Exception;
    case BASE_RUNTIME_ERROR:
        return PyExc_RuntimeError;
    case BASE_TYPE_ERROR:
        return PyExc_TypeError;
    default:
        return class_of(state, find(base));
    }
}

// Borrowed. NULL with an exception. To make one takes 20 us, and most interpreters need none.
static PyObject *
class_of(module_state *state, const struct exception *e)
{
    PyObject **field = field_of(state, e->field);
    if (*field != NULL) {
        return *field;
    }
    PyObject *base = base_of(state, e->base);
    PyObject *cls = base != NULL ? PyErr_NewExceptionWithDoc(e->name, e->doc, base, NULL) : NULL;
    if (cls == NULL) {
        return NULL;
    }
    if (*field == NULL) {
        *field = cls;
    }
    else {
        Py_DECREF(cls);  // another thread was faster
    }
    return *field;
}

PyObject *
subi_error_class(module_state *state, size_t field)
{
    PyObject *before = PyErr_GetRaisedException();
    PyObject *cls = class_of(state, find(field));
    PyErr_SetRaisedException(before);
    return cls != NULL ? cls : PyExc_MemoryError;
}

int
subi_errors_init(PyObject *module, module_state *state)
{
    for (size_t i = 0; i < Py_ARRAY_LENGTH(exceptions); i++) {
        const struct exception *e = &exceptions[i];
        PyObject *cls = class_of(state, e);
        // those of _xxsubinterpreters become attributes of that module only
        if (cls == NULL || (e->name[0] != '_' &&
                            PyModule_AddObjectRef(module, strchr(e->name, '.') + 1, cls) < 0)) {
            return -1;
        }
    }
    return 0;
}

PyObject *
subi_raise_channel(module_state *state, subi_result r, int64_t id)
{
    long long n = id;
    switch (r) {
    case SUBI_CLOSED:
        PyErr_Format(subi_error(state, ChannelClosedError), "channel %lld is closed", n);
        break;
    case SUBI_EMPTY:
        PyErr_Format(subi_error(state, ChannelEmptyError), "channel %lld is empty", n);
        break;
    case SUBI_FULL:
        PyErr_Format(subi_error(state, ChannelFullError), "channel %lld is full", n);
        break;
    case SUBI_TIMEOUT:
        PyErr_Format(PyExc_TimeoutError, "timed out waiting on channel %lld", n);
        break;
    case SUBI_NOT_FOUND:
        PyErr_Format(subi_error(state, ChannelNotFoundError), "channel %lld not found", n);
        break;
    case SUBI_FORKED:
        PyErr_Format(subi_error(state, ChannelError),
                     "channel %lld belongs to the process that this one was forked from", n);
        break;
    case SUBI_NOMEM:
        PyErr_NoMemory();
        break;
    default:
        PyErr_Format(PyExc_SystemError, "unexpected result %d on channel %lld", (int)r, n);
    }
    return NULL;
}

PyObject *
subi_raise_interp(module_state *state, subi_result r, int64_t id)
{
    long long n = id;
    switch (r) {
    case SUBI_CLOSED:
        PyErr_Format(subi_error(state, InterpreterClosedError), "interpreter %lld is closed", n);
        break;
    case SUBI_BUSY:
        PyErr_Format(subi_error(state, InterpreterError), "interpreter %lld is already running", n);
        break;
    case SUBI_TIMEOUT:
        PyErr_Format(PyExc_TimeoutError, "timed out waiting for interpreter %lld", n);
        break;
    case SUBI_NOT_FOUND:
        PyErr_Format(subi_error(state, InterpreterNotFoundError), "interpreter %lld not found", n);
        break;
    case SUBI_FORKED:
        PyErr_Format(subi_error(state, InterpreterError),
                     "interpreter %lld belongs to the process that this one was forked from", n);
        break;
    case SUBI_NOMEM:
        PyErr_NoMemory();
        break;
    default:
        PyErr_Format(PyExc_SystemError, "unexpected result %d on interpreter %lld", (int)r, n);
    }
    return NULL;
}

PyObject *
subi_int_text(PyObject *number)
{
    int overflow;
    long long n = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (overflow == 0) {
        return PyUnicode_FromFormat("%lld", n);
    }
    PyObject *all = PyNumber_ToBase(number, 16);
    if (all == NULL || PyUnicode_GET_LENGTH(all) <= 40) {
        return all;
    }
    PyObject *text = PyUnicode_FromFormat("%.40U...", all);
    Py_DECREF(all);
    return text;
}
