// SPDX-License-Identifier: MIT
#include "sync.h"

PyDoc_STRVAR(is_set_doc, "is_set($self, /)\n--\n\n"
                         "Whether the flag is true. RuntimeError in the child of a fork.");

static PyObject *
event_is_set(PyObject *self, PyObject *unused)
{
    subi_sync *e = subi_sync_of(self);
    bool flag;
    subi_result r = subi_event_look(e, &flag);
    return r == SUBI_OK ? PyBool_FromLong(flag) : subi_sync_raise(NULL, r, e);
}

static PyObject *
assign(PyObject *self, bool flag)
{
    subi_sync *e = subi_sync_of(self);
    subi_result r = subi_event_assign(e, flag);
    if (r != SUBI_OK) {
        return subi_sync_raise(NULL, r, e);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_doc, "set($self, /)\n--\n\n"
                      "Make the flag true, and wake all that wait for that. RuntimeError in the\n"
                      "child of a fork.");

static PyObject *
event_set(PyObject *self, PyObject *unused)
{
    return assign(self, true);
}

PyDoc_STRVAR(clear_doc, "clear($self, /)\n--\n\n"
                        "Make the flag false. RuntimeError in the child of a fork.");

static PyObject *
event_clear(PyObject *self, PyObject *unused)
{
    return assign(self, false);
}

PyDoc_STRVAR(wait_doc, "wait($self, /, timeout=None)\n--\n\n"
                       "Wait until the flag is true.\n\n"
                       "Args:\n"
                       "    timeout: seconds to wait at most; None is for ever, 0 just looks.\n\n"
                       "Returns:\n    False if the time is over, else True.\n\n"
                       "Raises:\n"
                       "    ValueError: timeout is negative.\n"
                       "    RuntimeError: in the child of a fork.");

static PyObject *
event_wait(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"timeout", NULL};
    static const subi_patience
    try
        = {.deadline = SUBI_TRY};
    module_state *state = get_state_of(self);
    PyObject *timeout = NULL;
    int64_t deadline;
    subi_detached d;
    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwds, "|O:wait", keywords, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    subi_sync *e = subi_sync_of(self);
    subi_result r = subi_event_wait(e, &try);
    if (r == SUBI_BUSY && deadline != SUBI_TRY) {
        r = SUBI_SYNC_WAIT(state, deadline, subi_event_wait(e, &d.patience));
    }
    return subi_sync_bool(state, r, e);
}

static PyObject *
event_repr(PyObject *self)
{
    subi_sync *e = subi_sync_of(self);
    bool flag;
    subi_result r = subi_event_look(e, &flag);
    return PyUnicode_FromFormat("<Event %lld %s>", (long long)subi_sync_id(e),
                                r != SUBI_OK ? "of another process"
                                : flag       ? "set"
                                             : "unset");
}

// ---- the type ---------------------------------------------------------------------------------

static PyObject *
event_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    subi_sync *e = NULL;
    if (subi_sync_parse_nothing(args, kwds, ":Event") < 0) {
        return NULL;
    }
    subi_result r = subi_event_new(&e);
    return subi_sync_wrap(type, r, e);
}

static PyMethodDef event_methods[] = {
    {"is_set", event_is_set, METH_NOARGS, is_set_doc},
    {"set", event_set, METH_NOARGS, set_doc},
    {"clear", event_clear, METH_NOARGS, clear_doc},
    {"wait", (PyCFunction)(void (*)(void))event_wait, METH_VARARGS | METH_KEYWORDS, wait_doc},
    {NULL},
};

PyDoc_STRVAR(
    event_doc,
    "Event()\n--\n\n"
    "An event as threading.Event, for the threads of all interpreters that it is sent to: a\n"
    "flag, false at first, that can be waited for.");

static PyType_Slot event_slots[] = {
    SUBI_SYNC_SLOTS,
    {Py_tp_new, event_new},
    {Py_tp_repr, event_repr},
    {Py_tp_methods, event_methods},
    {Py_tp_doc, (void *)event_doc},
    {0, NULL},
};

PyType_Spec subi_event_spec = {
    .name = "subinterpreters.Event",
    .basicsize = sizeof(sync_object),
    .flags = SUBI_SYNC_FLAGS,
    .slots = event_slots,
};
