// SPDX-License-Identifier: MIT
#include "submit.h"

#include "blocking.h"
#include "channel_type.h"
#include "codec/codec.h"
#include "errors.h"
#include "task.h"

// ---- Task -------------------------------------------------------------------------------------

typedef struct task_object {
    PyObject_HEAD
    task *task;
} task_object;

static task *
task_of(PyObject *self)
{
    return ((task_object *)self)->task;
}

static PyObject *
new_task_object(module_state *state, task *t)
{
    task_object *self = PyObject_New(task_object, state->task_type);
    if (self != NULL) {
        subi_task_hold(t);
        self->task = t;
    }
    return (PyObject *)self;
}

static void
task_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    subi_task_drop(task_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

// Its future, as a new reference which the task no longer has; NULL: it is gone.
static PyObject *
take_future(task *t)
{
    PyObject *future = t->future;
    t->future = NULL;
    return future;
}

static PyObject *
task_cancel(PyObject *self, PyObject *unused)
{
    bool cancelled = subi_task_cancel(task_of(self));
    if (cancelled) {
        Py_XDECREF(take_future(task_of(self)));
    }
    return PyBool_FromLong(cancelled);
}

static PyObject *
task_is_running(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(atomic_load(&task_of(self)->state) == TASK_RUNNING);
}

static void complete(module_state *state, task *t);

// Takes what has come back until this task is done: what wakes this thread is the worker itself. Another
// thread may complete it meanwhile, which then wakes it.
static subi_result
wait_for(module_state *state, task *t, subi_channel *done, int64_t deadline)
{
    subi_result r = SUBI_OK;
    subi_message m;
    while (t->future != NULL && r == SUBI_OK) {
        r = subi_channel_recv(done, SUBI_NOBODY, &m, SUBI_TRY);
        if (r == SUBI_EMPTY) {
            Py_BEGIN_ALLOW_THREADS
            r = subi_channel_recv_in_front(done, SUBI_NOBODY, &m, deadline);
            Py_END_ALLOW_THREADS
        }
        if (r == SUBI_OK) {
            task *other = subi_task_of(&m);
            complete(state, other);
            subi_task_drop(other);
        }
        else if (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0) {
            r = SUBI_OK;
        }
    }
    return r;
}

PyDoc_STRVAR(task_wait_doc,
             "wait($self, done, timeout=None, /)\n--\n\n"
             "Wait until it is done, or its future is about to be.\n\n"
             "Args:\n"
             "    done: the receiving end of the channel that tasks come back through.\n"
             "    timeout: seconds, or None.");

static PyObject *
task_wait(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    PyObject *end, *timeout = NULL;
    int64_t deadline;
    if (state == NULL || !PyArg_ParseTuple(args, "O!|O:wait", state->recv_channel_type, &end, &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    task *t = task_of(self);
    if (t->waiter != NULL || deadline == SUBI_TRY) {
        Py_RETURN_NONE;  // one thread does that at a time
    }
    t->waiter = subi_thread_self();
    subi_result r = wait_for(state, t, subi_channel_of(end), deadline);
    t->waiter = NULL;
    return r == SUBI_INTERRUPTED ? NULL : Py_NewRef(Py_None);
}

static PyMethodDef task_methods[] = {
    {"wait", task_wait, METH_VARARGS, task_wait_doc},
    {"cancel", task_cancel, METH_NOARGS,
     "cancel($self, /)\n--\n\nKeep it from being done; whether that was possible."},
    {"is_running", task_is_running, METH_NOARGS,
     "is_running($self, /)\n--\n\nWhether a worker has taken it; it may be done by now."},
    {NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_dealloc, task_dealloc},
    {Py_tp_methods, task_methods},
    {Py_tp_doc, "A call that waits for a worker of a pool."},
    {0, NULL},
};

static PyType_Spec task_spec = {
    .name = "subinterpreters._subinterpreters.Task",
    .basicsize = sizeof(task_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = task_slots,
};

int
subi_submit_init(PyObject *module, module_state *state)
{
    state->task_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &task_spec, NULL);
    return state->task_type != NULL ? 0 : -1;
}

// ---- submitting -------------------------------------------------------------------------------

// NULL with an exception.
static task *
make_task(module_state *state, PyObject *callable, PyObject *args, PyObject *kwargs)
{
    PyObject *parts = PyTuple_Pack(3, callable, args, kwargs);
    subi_message call;
    int encoded = parts != NULL ? subi_encode(state, parts, &call) : -1;
    Py_XDECREF(parts);
    if (encoded < 0) {
        return NULL;
    }
    task *t = subi_task_new(&call);
    if (t == NULL) {
        subi_message_fini(&call);
        PyErr_NoMemory();
    }
    return t;
}

PyDoc_STRVAR(submit_task_doc,
             "_submit_task(tasks, future, callable, args, kwargs, /)\n--\n\n"
             "Send a call to the workers of a pool.\n\n"
             "Args:\n"
             "    tasks: the sending end of the channel that they receive tasks from.\n"
             "    future: what gets its result, see _complete_tasks().\n"
             "    callable, args, kwargs: the call.\n\n"
             "Returns:\n    A Task.\n\n"
             "Raises:\n    ChannelClosedError: no worker receives tasks any more.\n"
             "    NotShareableError: a part of the call cannot be sent.");

static PyObject *
submit_task(PyObject *module, PyObject *args)
{
    module_state *state = get_state(module);
    PyObject *end, *future, *callable, *positional, *named;
    if (!PyArg_ParseTuple(args, "O!OOO!O!:_submit_task", state->send_channel_type, &end, &future,
                          &callable, &PyTuple_Type, &positional, &PyDict_Type, &named)) {
        return NULL;
    }
    task *t = make_task(state, callable, positional, named);
    PyObject *self = t != NULL ? new_task_object(state, t) : NULL;
    if (self == NULL) {
        if (t != NULL) {
            subi_task_drop(t);
        }
        return NULL;
    }
    t->future = Py_NewRef(future);
    subi_message m = subi_message_integer((int64_t)(intptr_t)t);
    subi_result r = subi_channel_send(subi_channel_of(end), SUBI_NOBODY, &m, SUBI_TRY);
    if (r == SUBI_OK) {
        return self;
    }
    Py_XDECREF(take_future(t));
    subi_task_drop(t);
    Py_DECREF(self);
    return subi_raise_channel(state, r, subi_channel_id(subi_channel_of(end)));
}

// ---- results ----------------------------------------------------------------------------------

// What the call returned, or NULL with what it raised.
static PyObject *
outcome_of(module_state *state, task *t)
{
    return t->run.outcome == RUN_SUCCEEDED ? subi_decode(state, &t->run.result)
                                           : subi_failure_raise(state, &t->run.failure);
}

// A callback may raise what set_result() does not catch, such as SystemExit.
static void
complete(module_state *state, task *t)
{
    PyObject *future = take_future(t);
    if (t->waiter != NULL && t->waiter != subi_thread_self()) {
        subi_thread_interrupt(t->waiter);
    }
    PyObject *obj = future != NULL ? outcome_of(state, t) : NULL, *done = NULL;
    if (obj != NULL) {
        done = PyObject_CallMethod(future, "set_result", "(O)", obj);
    }
    else if (future != NULL) {
        obj = PyErr_GetRaisedException();
        done = PyObject_CallMethod(future, "set_exception", "O", obj);
    }
    if (future != NULL && done == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(done);
    Py_XDECREF(obj);
    Py_XDECREF(future);
}

PyDoc_STRVAR(complete_tasks_doc,
             "_complete_tasks(done, /)\n--\n\n"
             "Give futures their results, until the channel is closed.\n\n"
             "Args:\n    done: the receiving end of the channel that tasks come back through.");

static PyObject *
complete_tasks(PyObject *module, PyObject *end)
{
    module_state *state = get_state(module);
    if (!Py_IS_TYPE(end, state->recv_channel_type)) {
        return PyErr_Format(PyExc_TypeError, "done must be a RecvChannel, got %.100s",
                            Py_TYPE(end)->tp_name);
    }
    subi_message m;
    subi_result r;
    while ((r = subi_blocking_recv(state, subi_channel_of(end), &m, SUBI_FOREVER)) == SUBI_OK) {
        task *t = subi_task_of(&m);
        complete(state, t);
        subi_task_drop(t);
    }
    if (r == SUBI_INTERRUPTED) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(refuse_tasks_doc,
             "_refuse_tasks(tasks, exception, /)\n--\n\n"
             "Take what no worker has taken, and give its futures that exception; None: cancel them.\n\n"
             "Args:\n"
             "    tasks: a receiving end of the channel that workers receive from.\n"
             "    exception: an exception, or None.");

static void
refuse(task *t, PyObject *exception)
{
    if (!subi_task_cancel(t)) {
        return;
    }
    PyObject *future = take_future(t), *done = NULL;
    if (future != NULL && exception != Py_None) {
        done = PyObject_CallMethod(future, "set_exception", "O", exception);
    }
    else if (future != NULL) {
        done = PyObject_CallMethod(future, "_cancelled", NULL);
    }
    if (future != NULL && done == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(done);
    Py_XDECREF(future);
}

static PyObject *
refuse_tasks(PyObject *module, PyObject *args)
{
    module_state *state = get_state(module);
    PyObject *end, *exception;
    if (!PyArg_ParseTuple(args, "O!O:_refuse_tasks", state->recv_channel_type, &end, &exception)) {
        return NULL;
    }
    subi_message m;
    while (subi_channel_recv(subi_channel_of(end), SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK) {
        task *t = subi_task_of(&m);
        refuse(t, exception);
        subi_task_drop(t);
    }
    Py_RETURN_NONE;
}

PyMethodDef subi_submit_functions[] = {
    {"_submit_task", submit_task, METH_VARARGS, submit_task_doc},
    {"_complete_tasks", complete_tasks, METH_O, complete_tasks_doc},
    {"_refuse_tasks", refuse_tasks, METH_VARARGS, refuse_tasks_doc},
    {NULL},
};
