// SPDX-License-Identifier: MIT
#include "task_type.h"

#include "blocking.h"
#include "deadlines.h"
#include "errors.h"
#include "outcome.h"

typedef struct task_object {
    PyObject_HEAD
    pool_object *pool;
    task *task;
    PyObject *future;  // until it is sent
} task_object;

PyObject *
subi_task_object_new(module_state *state, pool_object *po, task *t, PyObject *future)
{
    task_object *self = PyObject_GC_New(task_object, state->task_type);
    if (self != NULL) {
        subi_task_hold(t);
        self->task = t;
        self->pool = (pool_object *)Py_NewRef((PyObject *)po);
        self->future = Py_NewRef(future);
        PyObject_GC_Track(self);
    }
    return (PyObject *)self;
}

task *
subi_task_object_begin(PyObject *self)
{
    task_object *o = (task_object *)self;
    if (o->future == NULL) {
        return NULL;
    }
    o->task->future = o->future;
    o->future = NULL;
    return o->task;
}

static int
task_traverse(PyObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(((task_object *)self)->pool);
    Py_VISIT(((task_object *)self)->future);
    return 0;
}

static int
task_clear(PyObject *self)
{
    Py_CLEAR(((task_object *)self)->pool);
    Py_CLEAR(((task_object *)self)->future);
    return 0;
}

static void
task_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    subi_task_drop(((task_object *)self)->task);
    task_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- waiting ----------------------------------------------------------------------------------

static bool
is_pending(const task *t)
{
    return t->future != NULL && !t->is_back;
}

// What takes code of Python's is the business of the thread that is there for it: callbacks may take their time,
// and where handlers of signals run, what they raise would be lost.
static void
came_back(module_state *state, pool_object *po, task *t)
{
    bool settled = subi_pool_settle(t);
    bool stuck =
        po->telling > 0 && po->completer != subi_thread_self();  // maybe in a callback that waits
    if (!settled && !stuck && subi_pool_send_surely(po->pool->later, t) == SUBI_OK) {
        t->is_back = true;
        subi_pool_wake_waiter(t);
        return;
    }
    if (!settled) {
        subi_pool_complete(state, po, t);
    }
    subi_task_drop(t);
}

// Takes what has come back until this task has: what wakes this thread is the worker itself. Another thread may
// complete it meanwhile, which then wakes it.
static subi_result
wait_for(module_state *state, pool_object *po, task *t, int64_t deadline)
{
    subi_channel *done = po->pool->done;
    subi_result r = SUBI_OK;
    subi_message m;
    while (is_pending(t) && r == SUBI_OK) {
        r = subi_channel_recv(done, SUBI_NOBODY, &m, SUBI_TRY);
        if (r == SUBI_EMPTY) {
            PyThreadState *tstate = subi_wait_begin(state);
            r = subi_channel_recv_in_front(done, SUBI_NOBODY, &m, deadline);
            subi_wait_end(tstate);
        }
        if (r == SUBI_OK) {
            came_back(state, po, subi_task_of(&m));
            if (is_pending(t) && subi_check_signals(state) < 0) {
                r = SUBI_INTERRUPTED;  // others' results may have kept it from sleeping
            }
        }
        else if (r == SUBI_INTERRUPTED && subi_check_signals(state) == 0) {
            r = SUBI_OK;
        }
    }
    if (po->completer == subi_thread_self()) {
        subi_pool_complete_later(state, po);  // in a callback: nobody else does it
    }
    return r;
}

PyDoc_STRVAR(task_wait_doc,
             "wait($self, timeout=None, /)\n--\n\n"
             "Wait until it is done, or its future is about to be.\n\n"
             "Args:\n    timeout: seconds, or None.\n\n"
             "Raises:\n    InterpreterError: the caller is a worker of the same pool.");

static PyObject *
task_wait(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    PyObject *timeout = NULL;
    int64_t deadline;
    if (state == NULL || !PyArg_ParseTuple(args, "|O:wait", &timeout) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    task *t = ((task_object *)self)->task;
    pool_object *po = ((task_object *)self)->pool;
    if (!is_pending(t)) {
        Py_RETURN_NONE;
    }
    if (subi_pool_may_wait(state, po) < 0) {
        return NULL;
    }
    if (t->waiter != NULL || deadline == SUBI_TRY) {
        Py_RETURN_NONE;  // one thread does that at a time
    }
    atomic_store(&po->pool->is_fetched, true);
    Py_INCREF(self);  // a handler of signals may drop it
    t->waiter = subi_thread_self();
    subi_result r = wait_for(state, po, t, deadline);
    t->waiter = NULL;
    Py_DECREF(self);
    if (r == SUBI_FORKED) {
        PyErr_SetString(subi_error(state, InterpreterError),
                        "the call was submitted in the process that this one was forked from");
        return NULL;
    }
    return r == SUBI_INTERRUPTED ? NULL : Py_NewRef(Py_None);
}

// ---- cancelling -------------------------------------------------------------------------------

PyDoc_STRVAR(
    task_cancel_doc,
    "cancel($self, interrupt, /)\n--\n\n"
    "Keep it from being done; whether that was possible. Its future is the caller's then.\n\n"
    "Args:\n    interrupt: whether it is interrupted if it has begun.");

static PyObject *
task_cancel(PyObject *self, PyObject *arg)
{
    task *t = ((task_object *)self)->task;
    pool_object *po = ((task_object *)self)->pool;
    int interrupt = PyObject_IsTrue(arg);
    if (interrupt < 0) {
        return NULL;
    }
    bool waits = is_pending(t) && subi_task_change(t, TASK_WAITING, TASK_CANCELLED);
    if (!waits && (!interrupt || !is_pending(t))) {
        Py_RETURN_FALSE;
    }
    if (waits) {
        atomic_fetch_sub(&po->pool->load, 1);
    }
    po->cancelled++;
    PyObject *future = subi_task_take_future(t);
    subi_pool_wake_waiter(t);
    if (!waits) {
        subi_deadlines_add(po, t);
    }
    Py_XDECREF(future);
    Py_RETURN_TRUE;
}

static PyObject *
task_is_running(PyObject *self, PyObject *unused)
{
    const task *t = ((task_object *)self)->task;
    return PyBool_FromLong(t->future != NULL && atomic_load(&t->state) == TASK_RUNNING);
}

static PyMethodDef task_methods[] = {
    {"wait", task_wait, METH_VARARGS, task_wait_doc},
    {"cancel", task_cancel, METH_O, task_cancel_doc},
    {"is_running", task_is_running, METH_NOARGS,
     "is_running($self, /)\n--\n\nWhether a worker has taken it; it may be done by now."},
    {NULL},
};

static PyType_Slot task_slots[] = {
    {Py_tp_dealloc, task_dealloc},
    {Py_tp_traverse, task_traverse},
    {Py_tp_clear, task_clear},
    {Py_tp_methods, task_methods},
    {Py_tp_doc, "A call that waits for a worker of a pool."},
    {0, NULL},
};

static PyType_Spec task_spec = {
    .name = "subinterpreters._subinterpreters.Task",
    .basicsize = sizeof(task_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = task_slots,
};

int
subi_task_type_init(module_state *state)
{
    return subi_type_add(state, &state->task_type, &task_spec);
}
