// SPDX-License-Identifier: MIT
#include "pool_type.h"

#include "blocking.h"
#include "codec/codec.h"
#include "deadlines.h"
#include "errors.h"
#include "interp_type.h"
#include "job.h"
#include "map_type.h"
#include "outcome.h"
#include "run.h"
#include "task_type.h"
#include "worker.h"

static pool *
pool_of(PyObject *self)
{
    return ((pool_object *)self)->pool;
}

PyDoc_STRVAR(pool_doc,
             "Pool(lost, more, performed, /)\n--\n\n"
             "One queue of tasks, and the way back.\n\n"
             "Args:\n"
             "    lost: called with the ident of its thread when a worker is given up.\n"
             "    more: called when there is more work.\n"
             "    performed: called after the first call with a future has been performed,\n"
             "        unless complete() was called before.");

static PyObject *
pool_new(PyTypeObject *type, PyObject *args, PyObject *kwds)
{
    PyObject *lost, *more, *performed;
    if (!PyArg_ParseTuple(args, "OOO:Pool", &lost, &more, &performed)) {
        return NULL;
    }
    pool_object *self = (pool_object *)type->tp_alloc(type, 0);  // all zero
    if (self != NULL && (self->pool = subi_pool_new()) == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    if (self != NULL) {
        self->lost = Py_NewRef(lost);
        self->more = Py_NewRef(more);
        self->performed = Py_NewRef(performed);
        self->next_look = SUBI_FOREVER;
        self->generation = subi_generation();
    }
    return (PyObject *)self;
}

static int
pool_traverse(PyObject *self, visitproc visit, void *arg)
{
    pool_object *po = (pool_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(po->lost);
    Py_VISIT(po->more);
    Py_VISIT(po->performed);
    Py_VISIT(po->refused);
    return subi_callees_traverse(&po->callees, visit, arg);
}

static int
pool_clear(PyObject *self)
{
    pool_object *po = (pool_object *)self;
    Py_CLEAR(po->lost);
    Py_CLEAR(po->more);
    Py_CLEAR(po->performed);
    Py_CLEAR(po->refused);
    subi_callees_clear(&po->callees);
    return 0;
}

// No worker is left: their threads keep it alive.
static void
drop_all(subi_channel *c)
{
    task *t;
    while ((t = subi_pool_take(c)) != NULL) {
        Py_XDECREF(subi_task_take_future(t));
        if (t->job != NULL) {
            subi_job_cancel(t->job, true);
        }
        subi_task_drop(t);
    }
}

static void
drop_later(subi_channel *c)
{
    subi_message m;
    while (subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK) {
        if (m.tag != SUBI_TAG_NONE) {
            Py_XDECREF(subi_task_take_future(subi_task_of(&m)));
            subi_task_drop(subi_task_of(&m));
        }
    }
}

static void
pool_dealloc(PyObject *self)
{
    pool_object *po = (pool_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    subi_deadlines_clear(po);
    if (po->pool != NULL) {
        drop_all(po->pool->tasks);
        drop_all(po->pool->done);
        drop_later(po->pool->later);
        subi_pool_drop(po->pool);
    }
    pool_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

int
subi_pool_may_wait(module_state *state, const pool_object *po)
{
    subi_thread *me = subi_thread_self();
    if (po->generation != subi_generation()) {
        return 0;  // its workers are not there
    }
    for (const at_work *w = po->at_work; w != NULL; w = w->next) {
        if (w->thread == me) {
            PyErr_SetString(subi_error(state, InterpreterError),
                            "a worker cannot wait for its own pool, which may have no other one");
            return -1;
        }
    }
    return 0;
}

void
subi_pool_raise(module_state *state, subi_result r)
{
    if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
    }
    else if (r == SUBI_FORKED) {
        PyErr_SetString(subi_error(state, InterpreterError),
                        "the pool belongs to the process that this one was forked from");
    }
    else {
        PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
    }
}

// ---- submitting -------------------------------------------------------------------------------

// NULL with an exception.
static task *
make_task(module_state *state, pool_object *po, PyObject *callable, PyObject *args, PyObject *named)
{
    task *t = subi_task_new();
    if (t == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    t->is_named = PyDict_GET_SIZE(named) > 0;
    PyObject *arguments = t->is_named ? PyTuple_Pack(2, args, named) : Py_NewRef(args);
    t->callee = arguments != NULL ? subi_callees_find(state, &po->callees, callable) : NULL;
    if (t->callee == NULL || subi_encode_keeping_arrays(state, arguments, &t->arguments) < 0) {
        t->arguments = subi_message_none();
        subi_task_drop(t);
        t = NULL;
    }
    Py_XDECREF(arguments);
    return t;
}

PyDoc_STRVAR(pool_task_doc,
             "task($self, future, timeout, callable, args, kwargs, /)\n--\n\n"
             "Make a call that can be sent to the workers: see send(). This may run any code.\n\n"
             "Args:\n"
             "    future: what gets its result.\n"
             "    timeout: seconds after which it is interrupted, from when it begins, or None.\n"
             "    callable, args, kwargs: the call.\n\n"
             "Returns:\n    A Task.\n\n"
             "Raises:\n    NotShareableError: a part of the call cannot be sent.");

static PyObject *
pool_task(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    pool_object *po = (pool_object *)self;
    PyObject *future, *timeout, *callable, *positional, *named;
    int64_t deadline;
    if (state == NULL ||
        !PyArg_ParseTuple(args, "OOOO!O!:task", &future, &timeout, &callable, &PyTuple_Type,
                          &positional, &PyDict_Type, &named) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    task *t = make_task(state, po, callable, positional, named);
    if (t == NULL) {
        return NULL;
    }
    if (timeout != Py_None && deadline != SUBI_FOREVER) {
        double ns = PyFloat_AsDouble(timeout) * 1e9;
        t->timeout = ns >= 1 ? (int64_t)ns : 1;
    }
    PyObject *object = subi_task_object_new(state, po, t, future);
    subi_task_drop(t);
    return object;
}

PyDoc_STRVAR(pool_send_doc, "send($self, task, /)\n--\n\n"
                            "Send a task to the workers, once. This runs no other code.\n\n"
                            "Raises:\n    RuntimeError: the pool is closed.");

static PyObject *
pool_send(PyObject *self, PyObject *object)
{
    module_state *state = get_state_of(self);
    pool_object *po = (pool_object *)self;
    if (state == NULL || !Py_IS_TYPE(object, state->task_type)) {
        return PyErr_Format(PyExc_TypeError, "expected a Task, got %.100s",
                            Py_TYPE(object)->tp_name);
    }
    task *t = subi_task_object_begin(object);
    if (t == NULL) {
        PyErr_SetString(PyExc_ValueError, "the task has been sent");
        return NULL;
    }
    atomic_fetch_add(&po->pool->load, 1);
    subi_task_hold(t);
    subi_result r = subi_pool_send(po->pool->tasks, t);
    if (r != SUBI_OK) {
        atomic_fetch_sub(&po->pool->load, 1);
        Py_XDECREF(subi_task_take_future(t));
        subi_task_drop(t);
        subi_pool_raise(state, r);
        return NULL;
    }
    po->submitted++;
    if (t->timeout > 0) {
        subi_deadlines_add(po, t);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    pool_map_doc,
    "map($self, callable, source, capacity, chunk, workers, timeout, tells_all, /)\n--\n\n"
    "Make a map that workers can be let begin with: see Map.begin(). This may run any code.\n\n"
    "Args:\n"
    "    callable: what is called.\n"
    "    source: an iterator over tuples, the arguments.\n"
    "    capacity: so many of them are taken in advance of results.\n"
    "    chunk: so many are for one worker at a time; 0: as many as take no time.\n"
    "    workers: so many, at most.\n"
    "    timeout: seconds in which all results must have been had, or None.\n"
    "    tells_all: whether wait() returns for each call that has ended.\n\n"
    "Returns:\n    A Map.");

static PyObject *
pool_map(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    return state != NULL ? subi_map_new(state, (pool_object *)self, args) : NULL;
}

// ---- completing -------------------------------------------------------------------------------

static void
complete(module_state *state, pool_object *po, const subi_message *m)
{
    if (m->tag == SUBI_TAG_NONE) {
        atomic_store(&po->pool->called, false);
        return;
    }
    task *t = subi_task_of(m);
    subi_pool_complete(state, po, t);
    subi_task_drop(t);
}

void
subi_pool_complete_later(module_state *state, pool_object *po)
{
    subi_message m;
    while (subi_channel_recv(po->pool->later, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK) {
        complete(state, po, &m);
    }
}

// Nobody waits for what comes back: it is to be completed as soon as it does.
static void
complete_unfetched(module_state *state, pool_object *po, const subi_message *m)
{
    if (subi_task_of(m)->waiter == NULL) {
        atomic_store(&po->pool->is_fetched, false);
    }
    complete(state, po, m);
}

PyDoc_STRVAR(pool_complete_doc,
             "complete($self, /)\n--\n\n"
             "Give futures their results, until the last worker has ended, and see to it "
             "that nothing takes longer than it may.");

static PyObject *
pool_complete(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    pool_object *po = (pool_object *)self;
    if (state == NULL) {
        return NULL;
    }
    subi_result r = SUBI_OK;
    po->completer = subi_thread_self();
    atomic_store(&po->pool->announced, true);
    while (r != SUBI_CLOSED && r != SUBI_INTERRUPTED && r != SUBI_FORKED) {
        subi_message m;
        r = subi_channel_recv(po->pool->done, SUBI_NOBODY, &m, SUBI_TRY);
        if (r == SUBI_OK) {
            complete_unfetched(state, po, &m);
        }
        subi_result more = subi_blocking_recv(state, po->pool->later, &m,
                                              r == SUBI_EMPTY ? po->next_look : SUBI_TRY);
        if (more == SUBI_OK) {
            complete(state, po, &m);
        }
        r = more == SUBI_INTERRUPTED ? more : r;
        subi_deadlines_look(po);
    }
    po->completer = NULL;
    if (r == SUBI_INTERRUPTED) {
        return NULL;
    }
    // who has taken a result, and has not sent it on yet, then gives it to its future itself
    subi_channel_close(po->pool->later, SUBI_SEND, false);
    subi_pool_complete_later(state, po);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    pool_refuse_doc,
    "refuse($self, make, /)\n--\n\n"
    "Take what no worker has taken, and give it an exception that make() returns; None: cancel "
    "it.");

static void
refuse(pool_object *po, task *t, PyObject *make)
{
    if (t->job != NULL) {
        atomic_fetch_sub(&po->pool->load, 1);
        subi_job_cancel(t->job, true);
        return;
    }
    if (!subi_task_change(t, TASK_WAITING, TASK_CANCELLED)) {
        return;  // that was cancelled
    }
    atomic_fetch_sub(&po->pool->load, 1);
    PyObject *future = subi_task_take_future(t);
    t->is_back = true;
    subi_pool_wake_waiter(t);
    if (future != NULL && make != Py_None) {
        subi_pool_set_exception(future, PyObject_CallNoArgs(make));
    }
    else if (future != NULL) {
        po->cancelled++;
        PyObject *done = PyObject_CallMethod(future, "_cancelled", NULL);
        if (done == NULL) {
            PyErr_WriteUnraisable(future);
        }
        Py_XDECREF(done);
    }
    Py_XDECREF(future);
}

// One of those that are to be done once more; its reference. NULL: there is none.
static task *
take_again(pool_object *po)
{
    task *t = po->again;
    if (t != NULL) {
        po->again = t->again;
    }
    return t;
}

// It is not done once more after all: it has failed.
static void
give_back(pool_object *po, task *t)
{
    if (subi_task_change(t, TASK_RUNNING, TASK_PERFORMED)) {
        atomic_fetch_sub(&po->pool->load, 1);
    }
    if (subi_pool_send_surely(po->pool->done, t) != SUBI_OK) {
        subi_task_drop(t);
    }
    subi_pool_call(po->pool);
}

static PyObject *
pool_refuse(PyObject *self, PyObject *make)
{
    pool_object *po = (pool_object *)self;
    task *t;
    atomic_fetch_add(&po->pool->refusals, 1);
    while (make != Py_None && (t = take_again(po)) != NULL) {
        give_back(po, t);
    }
    Py_XSETREF(po->refused, make != Py_None ? Py_NewRef(make) : NULL);
    while ((t = subi_pool_take(po->pool->tasks)) != NULL) {
        refuse(po, t, make);
        subi_task_drop(t);
    }
    Py_RETURN_NONE;
}

static PyObject *
pool_close(PyObject *self, PyObject *unused)
{
    subi_channel_close(pool_of(self)->tasks, SUBI_SEND, false);
    Py_RETURN_NONE;
}

static PyObject *
pool_end(PyObject *self, PyObject *unused)
{
    subi_channel_close(pool_of(self)->done, SUBI_SEND, false);
    subi_pool_call(pool_of(self));
    Py_RETURN_NONE;
}

// ---- working ----------------------------------------------------------------------------------

void
subi_pool_announce_here(native *n, void *object)
{
    pool_object *po = object;  // its method work() is being called
    PyEval_RestoreThread(n->outer);
    PyObject *done = PyObject_CallNoArgs(po->performed);
    if (done == NULL) {
        PyErr_WriteUnraisable(po->performed);
    }
    Py_XDECREF(done);
    PyEval_SaveThread();
}

PyDoc_STRVAR(
    pool_work_doc,
    "work($self, interp, most, gives_up, /)\n--\n\n"
    "Let an interpreter perform tasks, on the calling thread.\n\n"
    "Args:\n"
    "    interp: the Interpreter.\n"
    "    most: so many calls; 0: no limit.\n"
    "    gives_up: whether calls that fail since an extension module supports no interpreter of\n"
    "        kind 'own' are left for one that does not give up.\n\n"
    "Returns:\n"
    "    'closed': there will be no more tasks; 'used up': it has performed as many as it may;\n"
    "    'given up': it did not react to being interrupted; 'refused': it has left a call;\n"
    "    'spoilt': an import was interrupted, so its modules are not what they should be.\n\n"
    "Raises:\n    ExecutionFailed: the interpreter is being closed.");

static PyObject *
pool_work(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    pool_object *po = (pool_object *)self;
    PyObject *interp;
    unsigned long long most;
    int gives_up;
    if (state == NULL ||
        !PyArg_ParseTuple(args, "O!Kp:work", state->interpreter_type, &interp, &most, &gives_up)) {
        return NULL;
    }
    worker_order order = {.pool = po->pool, .owner = po, .most = most, .gives_up = gives_up};
    if (!gives_up) {
        order.again = take_again(po);
    }
    run r = {.worker = &order, .wanted = FAILURE_BRIEF};
    at_work here = {.thread = subi_thread_self(), .next = po->at_work};
    po->at_work = &here;
    subi_result began = subi_run(state, subi_interp_of(interp), &r);
    at_work **link = &po->at_work;
    while (*link != &here) {
        link = &(*link)->next;
    }
    *link = here.next;
    if (order.again != NULL) {
        order.again->again = po->again;
        po->again = order.again;
    }
    if (began == SUBI_INTERRUPTED || (began == SUBI_OK && r.outcome == RUN_SIGNALLED)) {
        return NULL;
    }
    if (began != SUBI_OK) {
        return subi_raise_interp(state, began, subi_interp_id(subi_interp_of(interp)));
    }
    if (r.outcome == RUN_RAISED) {
        subi_failure_raise(state, &r.failure);
    }
    bool raised = r.outcome == RUN_RAISED;
    subi_run_fini(&r);
    static const char *const ends[] = {"closed", "used up", "given up", "refused", "spoilt"};
    return raised ? NULL : PyUnicode_FromString(ends[order.end]);
}

// ---- attributes -------------------------------------------------------------------------------

static PyObject *
pool_load(PyObject *self, void *unused)
{
    return PyLong_FromSize_t(atomic_load(&pool_of(self)->load));
}

static PyObject *
pool_counts(PyObject *self, PyObject *unused)
{
    const pool_object *po = (pool_object *)self;
    return Py_BuildValue("{sKsKsKsKsKsKsnsn}", "submitted", po->submitted, "performed",
                         atomic_load(&po->pool->performed), "failed",
                         atomic_load(&po->pool->failed), "cancelled", po->cancelled, "timed_out",
                         po->timed_out, "given_up", po->given_up, "busy",
                         (Py_ssize_t)atomic_load(&po->pool->busy), "waiting",
                         (Py_ssize_t)subi_channel_count(po->pool->tasks));
}

static PyMethodDef pool_methods[] = {
    {"task", pool_task, METH_VARARGS, pool_task_doc},
    {"send", pool_send, METH_O, pool_send_doc},
    {"map", pool_map, METH_VARARGS, pool_map_doc},
    {"complete", pool_complete, METH_NOARGS, pool_complete_doc},
    {"refuse", pool_refuse, METH_O, pool_refuse_doc},
    {"close", pool_close, METH_NOARGS,
     "close($self, /)\n--\n\nTake no more tasks; workers end when they have performed those that "
     "there are."},
    {"end", pool_end, METH_NOARGS,
     "end($self, /)\n--\n\nThe last worker has ended: complete() returns."},
    {"work", pool_work, METH_VARARGS, pool_work_doc},
    {"counts", pool_counts, METH_NOARGS,
     "counts($self, /)\n--\n\nHow many tasks there were, and are, as a dict."},
    {NULL},
};

static PyGetSetDef pool_getset[] = {
    {"load", pool_load, NULL, "How many workers there is work for.", NULL},
    {NULL},
};

static PyType_Slot pool_slots[] = {
    {Py_tp_new, pool_new},           {Py_tp_dealloc, pool_dealloc},
    {Py_tp_traverse, pool_traverse}, {Py_tp_clear, pool_clear},
    {Py_tp_methods, pool_methods},   {Py_tp_getset, pool_getset},
    {Py_tp_doc, (void *)pool_doc},   {0, NULL},
};

static PyType_Spec pool_spec = {
    .name = "subinterpreters._subinterpreters.Pool",
    .basicsize = sizeof(pool_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = pool_slots,
};

int
subi_pool_type_init(module_state *state)
{
    return subi_type_add(state, &state->pool_type, &pool_spec) < 0 ||
                   subi_task_type_init(state) < 0 || subi_map_type_init(state) < 0
               ? -1
               : 0;
}
