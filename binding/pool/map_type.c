// SPDX-License-Identifier: MIT
#include "map_type.h"

#include "blocking.h"
#include "codec/codec.h"
#include "job.h"

typedef struct map_object {
    PyObject_HEAD
    pool_object *pool;
    PyObject *source;  // an iterator over what is to be added when there is room; NULL: nothing
    PyObject *errors;  // why items could not be sent, by number; NULL: all could
    job *job;
    size_t consumed;
    size_t workers;  // at most
    int64_t deadline;
    bool over;
    bool busy;  // a thread takes the next result, or waits for it
} map_object;

static int
map_traverse(PyObject *self, visitproc visit, void *arg)
{
    map_object *m = (map_object *)self;
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(m->pool);
    Py_VISIT(m->source);
    Py_VISIT(m->errors);
    return 0;
}

static int
map_clear(PyObject *self)
{
    map_object *m = (map_object *)self;
    Py_CLEAR(m->pool);
    Py_CLEAR(m->source);
    Py_CLEAR(m->errors);
    return 0;
}

// What has not been begun will not be.
static void
end(map_object *m)
{
    m->over = true;
    if (m->job != NULL) {
        subi_job_cancel(m->job, false);
    }
    Py_CLEAR(m->source);
}

static void
map_dealloc(PyObject *self)
{
    map_object *m = (map_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    end(m);
    if (m->job != NULL) {
        subi_job_drop(m->job);
    }
    map_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

// ---- adding -----------------------------------------------------------------------------------

// An item that cannot be sent fails when it is its turn. -1 with an exception.
static int
keep_error(map_object *m)
{
    PyObject *exc = PyErr_GetRaisedException();
    PyObject *number = PyLong_FromSize_t(atomic_load(&m->job->count));
    if (m->errors == NULL) {
        m->errors = PyDict_New();
    }
    int r = m->errors != NULL && number != NULL ? PyDict_SetItem(m->errors, number, exc) : -1;
    Py_XDECREF(number);
    Py_DECREF(exc);
    return r;
}

// arguments is a tuple. -1 with an exception.
static int
add(module_state *state, map_object *m, PyObject *arguments)
{
    subi_message message = subi_message_none();  // which no tuple is
    if (subi_encode_keeping_arrays(state, arguments, &message) < 0) {
        if (!PyErr_ExceptionMatches(PyExc_Exception) || keep_error(m) < 0) {
            return -1;
        }
    }
    subi_job_add(m->job, &message);
    return 0;
}

// Sends for workers, as many as there are items for. *called: there were less. -1 with an exception.
static int
call_workers(module_state *state, map_object *m, bool *called)
{
    job *j = m->job;
    pool *p = m->pool->pool;
    size_t finished = atomic_load(&j->finished), count = atomic_load(&j->count);
    size_t wanted = count > finished ? count - finished : 0;  // some of them have a worker
    wanted = wanted < m->workers ? wanted : m->workers;
    while (atomic_load(&j->workers) < wanted) {
        task *t = subi_task_new();
        if (t == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        subi_job_hold(j);
        t->job = j;
        atomic_fetch_add(&j->workers, 1);
        atomic_fetch_add(&p->load, 1);
        subi_result r = subi_pool_send(p->tasks, t);
        if (r != SUBI_OK) {
            atomic_fetch_sub(&j->workers, 1);
            atomic_fetch_sub(&p->load, 1);
            subi_task_drop(t);
            subi_pool_raise(state, r);
            return -1;
        }
        *called = true;
    }
    return 0;
}

// 1: one more has been added, 0: there is none, -1 with an exception. Meanwhile the map may be closed.
static int
add_from_source(module_state *state, map_object *m)
{
    PyObject *source = Py_XNewRef(m->source);
    PyObject *arguments = source != NULL ? PyIter_Next(source) : NULL;
    Py_XDECREF(source);
    if (arguments == NULL) {
        Py_CLEAR(m->source);
        return PyErr_Occurred() ? -1 : 0;
    }
    int r = m->over ? 0 : add(state, m, arguments) < 0 ? -1 : 1;
    Py_DECREF(arguments);
    return r;
}

// When there is room for one more. -1 with an exception.
static int
add_next(module_state *state, map_object *m)
{
    bool called = false;
    int r = add_from_source(state, m);
    if (r <= 0 || m->over) {
        return r < 0 ? -1 : 0;
    }
    if (call_workers(state, m, &called) < 0) {
        return -1;
    }
    PyObject *done = called ? PyObject_CallNoArgs(m->pool->more) : Py_NewRef(Py_None);
    Py_XDECREF(done);
    return done != NULL ? 0 : -1;
}

static int
add_all(module_state *state, map_object *m, size_t capacity)
{
    int r = 1;
    for (size_t k = 0; r == 1 && k < capacity; k++) {
        r = add_from_source(state, m);
    }
    return r < 0 ? -1 : 0;
}

PyObject *
subi_map_new(module_state *state, pool_object *po, PyObject *args)
{
    PyObject *callable, *source, *timeout;
    Py_ssize_t capacity, chunk, workers;
    int tells_all;
    int64_t deadline;
    if (!PyArg_ParseTuple(args, "OOnnnOp:map", &callable, &source, &capacity, &chunk, &workers,
                          &timeout, &tells_all) ||
        subi_parse_timeout(timeout, &deadline) < 0) {
        return NULL;
    }
    if (!PyIter_Check(source) || capacity < 0 || chunk < 0 || workers < 1) {
        return PyErr_Format(PyExc_ValueError, "expected an iterator and numbers >= 0");
    }
    map_object *m = PyObject_GC_New(map_object, state->map_type);
    if (m == NULL) {
        return NULL;
    }
    m->pool = (pool_object *)Py_NewRef((PyObject *)po);
    m->source = Py_NewRef(source);
    m->errors = NULL;
    m->job = NULL;
    m->consumed = 0;
    m->workers = (size_t)workers;
    m->deadline = deadline;
    m->over = m->busy = false;
    PyObject_GC_Track((PyObject *)m);
    callee *c = subi_callees_find(state, &po->callees, callable);
    if (c != NULL && (m->job = subi_job_new(c, (size_t)capacity, (size_t)chunk)) == NULL) {
        PyErr_NoMemory();
    }
    if (m->job == NULL || add_all(state, m, (size_t)capacity) < 0) {
        Py_DECREF(m);
        return NULL;
    }
    atomic_store(&m->job->tells_all, tells_all != 0);
    m->job->refusals = atomic_load(&po->pool->refusals);
    return (PyObject *)m;
}

// ---- results ----------------------------------------------------------------------------------

static bool
is_ready(const map_object *m)
{
    int state = atomic_load(&subi_job_item(m->job, m->consumed)->state);
    return state == ITEM_SUCCEEDED || state == ITEM_FAILED;
}

// One of a map that has been cut short: NULL with an exception.
static PyObject *
raise_lost(map_object *m)
{
    if (m->pool->refused != NULL) {
        PyObject *exc = PyObject_CallNoArgs(m->pool->refused);
        if (exc != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
            Py_DECREF(exc);
        }
        return NULL;
    }
    PyObject *module = PyImport_ImportModule("concurrent.futures");
    PyObject *cls = module != NULL ? PyObject_GetAttrString(module, "CancelledError") : NULL;
    if (cls != NULL) {
        PyErr_SetNone(cls);
    }
    Py_XDECREF(cls);
    Py_XDECREF(module);
    return NULL;
}

// Waits for the next item, or another one that is done, if it wants to know. -1 with an exception.
static int
wait_once(module_state *state, map_object *m)
{
    job *j = m->job;
    subi_message told;
    if (subi_pool_may_wait(state, m->pool) < 0) {
        return -1;
    }
    atomic_store(&j->awaited, m->consumed);
    subi_result r = SUBI_OK;
    if (!is_ready(m) && !atomic_load(&j->lost)) {
        r = subi_blocking_recv(state, j->ready, &told, m->deadline);
    }
    atomic_store(&j->awaited, SIZE_MAX);
    if (r == SUBI_TIMEOUT || r == SUBI_EMPTY) {
        PyErr_SetString(PyExc_TimeoutError, "the results were not there in time");
    }
    else if (r != SUBI_OK && r != SUBI_INTERRUPTED) {
        raise_lost(m);
    }
    return r == SUBI_OK ? 0 : -1;
}

// Of an item that is done; NULL with an exception.
static PyObject *
outcome(module_state *state, map_object *m)
{
    item *it = subi_job_item(m->job, m->consumed);
    if (atomic_load(&it->state) == ITEM_SUCCEEDED) {
        PyObject *result = subi_decode(state, &it->message);
        subi_message_fini(&it->message);  // there may be a million more
        return result;
    }
    PyObject *number = m->errors != NULL ? PyLong_FromSize_t(m->consumed) : NULL;
    PyObject *exc = number != NULL ? PyDict_GetItemWithError(m->errors, number) : NULL;  // borrowed
    Py_XDECREF(number);
    if (exc != NULL) {
        PyErr_SetObject((PyObject *)Py_TYPE(exc), exc);
        return NULL;
    }
    return it->failure != NULL ? subi_failure_raise(state, it->failure) : PyErr_NoMemory();
}

static PyObject *
next_result(module_state *state, map_object *m)
{
    while (!is_ready(m)) {
        if (atomic_load(&m->job->lost)) {
            return raise_lost(m);
        }
        if (wait_once(state, m) < 0 || m->over) {
            return NULL;
        }
    }
    PyObject *result = outcome(state, m);
    if (result == NULL || m->over) {
        return result;
    }
    m->consumed++;
    if (add_next(state, m) < 0) {
        Py_CLEAR(result);
    }
    return result;
}

// One thread at a time, as with a generator. -1 with an exception.
static int
begin_taking(map_object *m)
{
    if (m->busy) {
        PyErr_SetString(PyExc_ValueError, "another thread takes the next result already");
        return -1;
    }
    m->busy = true;
    return 0;
}

static PyObject *
map_next(PyObject *self)
{
    map_object *m = (map_object *)self;
    module_state *state = get_state_of(self);
    if (state == NULL || m->over || begin_taking(m) < 0) {
        return NULL;
    }
    bool some = m->consumed < atomic_load(&m->job->count);
    PyObject *result = some ? next_result(state, m) : NULL;
    m->busy = false;
    if (result == NULL) {
        end(m);
    }
    return result;
}

static PyObject *
map_begin(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    bool called;
    if (state == NULL || call_workers(state, (map_object *)self, &called) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *
map_close(PyObject *self, PyObject *unused)
{
    end((map_object *)self);
    Py_RETURN_NONE;
}

static PyObject *
map_wait(PyObject *self, PyObject *unused)
{
    map_object *m = (map_object *)self;
    module_state *state = get_state_of(self);
    if (state == NULL || begin_taking(m) < 0) {
        return NULL;
    }
    bool some = !m->over && m->consumed < atomic_load(&m->job->count);
    int r = some && !is_ready(m) ? wait_once(state, m) : 0;
    m->busy = false;
    if (r < 0) {
        end(m);
        return NULL;
    }
    return PyBool_FromLong(!some || is_ready(m) || m->over || atomic_load(&m->job->lost));
}

static PyObject *
map_finished(PyObject *self, void *unused)
{
    return PyLong_FromSize_t(atomic_load(&((map_object *)self)->job->finished));
}

static PyMethodDef map_methods[] = {
    {"begin", map_begin, METH_NOARGS,
     "begin($self, /)\n--\n\nLet workers begin. This runs no other code.\n\n"
     "Raises:\n    RuntimeError: the pool is closed."},
    {"close", map_close, METH_NOARGS,
     "close($self, /)\n--\n\nBegin no more calls; there are no more results."},
    {"wait", map_wait, METH_NOARGS,
     "wait($self, /)\n--\n\nWait for the next result, or just until another call has ended.\n\n"
     "Returns:\n    Whether next() need not wait.\n\n"
     "Raises:\n    TimeoutError: the map's time is over."},
    {NULL},
};

static PyGetSetDef map_getset[] = {
    {"finished", map_finished, NULL, "How many calls have ended.", NULL},
    {NULL},
};

static PyType_Slot map_slots[] = {
    {Py_tp_dealloc, map_dealloc},
    {Py_tp_traverse, map_traverse},
    {Py_tp_clear, map_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, map_next},
    {Py_tp_methods, map_methods},
    {Py_tp_getset, map_getset},
    {Py_tp_doc, "The results of calls that the workers of a pool perform, in order."},
    {0, NULL},
};

static PyType_Spec map_spec = {
    .name = "subinterpreters._subinterpreters.Map",
    .basicsize = sizeof(map_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_DISALLOW_INSTANTIATION |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = map_slots,
};

int
subi_map_type_init(module_state *state)
{
    return subi_type_add(state, &state->map_type, &map_spec);
}
