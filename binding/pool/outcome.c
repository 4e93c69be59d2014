// SPDX-License-Identifier: MIT
#include "outcome.h"

#include "codec/codec.h"
#include "deadlines.h"

// A callback may raise what set_result() does not catch, such as SystemExit.
static void
tell_future(PyObject *future, const char *method, PyObject *obj)
{
    PyObject *done = PyObject_CallMethod(future, method, "(O)", obj);
    if (done == NULL) {
        PyErr_WriteUnraisable(future);
    }
    Py_XDECREF(done);
}

void
subi_pool_set_exception(PyObject *future, PyObject *exc)
{
    if (exc == NULL) {
        exc = PyErr_GetRaisedException();
    }
    tell_future(future, "set_exception", exc);
    Py_DECREF(exc);
}

void
subi_pool_wake_waiter(task *t)
{
    if (t->waiter != NULL && t->waiter != subi_thread_self()) {
        subi_thread_interrupt(t->waiter);
    }
}

// TimeoutError, with the exception that is set as its cause.
static void
raise_timed_out(const task *t)
{
    PyObject *cause = PyErr_GetRaisedException();
    char text[80];
    PyOS_snprintf(text, sizeof(text), "not done after %.6g seconds: the code was interrupted",
                  (double)t->timeout / 1e9);
    PyErr_SetString(PyExc_TimeoutError, text);
    PyObject *exc = PyErr_GetRaisedException();
    PyException_SetCause(exc, cause);
    PyErr_SetRaisedException(exc);
}

// Whether nobody but its submitter knows of it. Its lock is held.
static bool
is_quiet(PyObject *future, PyObject *condition)
{
    const struct {
        PyObject *object;
        const char *name;
    } lists[] = {
        {future, "_done_callbacks"},
        {future, "_waiters"},     // of wait() and as_completed()
        {condition, "_waiters"},  // other threads in result()
    };
    bool quiet = true;
    for (size_t k = 0; quiet && k < Py_ARRAY_LENGTH(lists); k++) {
        PyObject *list = PyObject_GetAttrString(lists[k].object, lists[k].name);
        quiet = list != NULL && PyObject_Size(list) == 0;
        Py_XDECREF(list);
    }
    return quiet;
}

static bool
set_quietly(PyObject *future, PyObject *condition, PyObject *result)
{
    PyObject *state = PyUnicode_InternFromString("FINISHED");
    bool set = state != NULL && is_quiet(future, condition) &&
               PyObject_SetAttrString(future, "_result", result) == 0 &&
               PyObject_SetAttrString(future, "_state", state) == 0;
    Py_XDECREF(state);
    return set;
}

// As future.set_result(result), whose lock is one of C code, too.
static bool
settle(PyObject *future, PyObject *result)
{
    PyObject *condition = PyObject_GetAttrString(future, "_condition");
    PyObject *lock = condition != NULL ? PyObject_GetAttrString(condition, "_lock") : NULL;
    // this thread may have it, and be in the middle of something, when it comes here out of a finalizer
    PyObject *owned = lock != NULL ? PyObject_CallMethod(lock, "_is_owned", NULL) : NULL;
    PyObject *acquired =
        owned == Py_False ? PyObject_CallMethod(lock, "acquire", "O", Py_False) : NULL;
    Py_XDECREF(owned);
    bool settled = false;
    if (acquired == Py_True) {
        settled = set_quietly(future, condition, result);
        Py_XDECREF(PyObject_CallMethod(lock, "release", NULL));
    }
    Py_XDECREF(acquired);
    Py_XDECREF(lock);
    Py_XDECREF(condition);
    PyErr_Clear();
    return settled;
}

bool
subi_pool_settle(task *t)
{
    if (t->future != NULL) {
        PyObject *result = t->succeeded ? subi_decode_data(&t->result) : NULL;
        bool settled = result != NULL && settle(t->future, result);
        Py_XDECREF(result);
        if (!settled) {
            return false;
        }
    }
    subi_message_fini(&t->result);
    t->result = subi_message_none();
    t->is_back = true;
    subi_deadlines_forget(t);
    subi_pool_wake_waiter(t);
    Py_XDECREF(subi_task_take_future(t));
    return true;
}

void
subi_pool_complete(module_state *state, pool_object *po, task *t)
{
    t->is_back = true;
    subi_deadlines_forget(t);
    PyObject *future = subi_task_take_future(t);
    subi_pool_wake_waiter(t);
    if (future == NULL) {
        return;
    }
    PyObject *result = NULL;
    po->telling++;
    if (t->succeeded) {
        result = subi_decode(state, &t->result);
        subi_message_fini(&t->result);
        t->result = subi_message_none();
    }
    else {
        subi_failure_raise(state, &t->failure);
        if (t->timed_out) {
            raise_timed_out(t);
        }
    }
    if (result != NULL) {
        tell_future(future, "set_result", result);
        Py_DECREF(result);
    }
    else {
        subi_pool_set_exception(future, NULL);
    }
    po->telling--;
    Py_DECREF(future);
}
