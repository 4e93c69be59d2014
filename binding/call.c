// SPDX-License-Identifier: MIT
#include "call.h"

#include "blocking.h"
#include "codec/codec.h"
#include "codec/function.h"
#include "errors.h"
#include "interp_type.h"
#include "interrupt.h"
#include "lifecycle.h"
#include "run.h"

#define AIO   "subinterpreters._aio"
#define CALLS "subinterpreters._calls"

// What the call has returned, or None. Frees what r has.
static PyObject *
perform(PyObject *self, run *r)
{
    module_state *state = get_state_of(self);
    subi_interp *i = subi_interp_of(self);
    if (state == NULL) {
        return NULL;
    }
    subi_result began = subi_run(state, i, r);
    if (began == SUBI_INTERRUPTED) {
        return NULL;
    }
    if (began != SUBI_OK) {
        return subi_raise_interp(state, began, subi_interp_id(i));
    }
    PyObject *result = NULL;
    if (r->outcome == RUN_SUCCEEDED) {
        result = subi_decode(state, &r->result);
    }
    else if (r->outcome == RUN_RAISED) {
        subi_failure_raise(state, &r->failure);
    }
    subi_run_fini(r);
    return result;
}

// Calls a function of a module with self, args and kwds. After a fork that has no use: the interpreter's
// thread is the parent's.
static PyObject *
call_helper(const char *in, const char *name, PyObject *self, PyObject *args, PyObject *kwds)
{
    subi_interp *i = subi_interp_of(self);
    if (subi_interp_stale(i)) {
        module_state *state = get_state_of(self);
        return state != NULL ? subi_raise_interp(state, SUBI_FORKED, subi_interp_id(i)) : NULL;
    }
    PyObject *module = PyImport_ImportModule(in);
    PyObject *function = module != NULL ? PyObject_GetAttrString(module, name) : NULL;
    PyObject *head = PyTuple_Pack(1, self);
    PyObject *all = head != NULL ? PySequence_Concat(head, args) : NULL;
    PyObject *result = function != NULL && all != NULL ? PyObject_Call(function, all, kwds) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(function);
    Py_XDECREF(head);
    Py_XDECREF(all);
    return result;
}

// ---- exec -------------------------------------------------------------------------------------

const char subi_exec_doc[] = PyDoc_STR(
    "exec($self, code, /, *, timeout=None)\n--\n\n"
    "Run code in the interpreter's __main__ module and wait for its end.\n\n"
    "Args:\n"
    "    code: source code as a str, a code object, or a function without parameters that\n"
    "        is no closure: of this its code is run, and its global names are those of the\n"
    "        interpreter's __main__.\n"
    "    timeout: seconds after which the code is interrupted, as by interrupt(). None is\n"
    "        for ever, and the code then runs on the calling thread.\n\n"
    "Raises:\n"
    "    ExecutionFailed: the code raised an exception; see its attribute `excinfo`.\n"
    "    TimeoutError: the time is over.\n"
    "    InterpreterError: the interpreter is running already.\n"
    "    InterpreterClosedError: it is closed.\n"
    "    TypeError, ValueError: an argument is not as above, or code has a null character.");

static PyObject *
exec_text(PyObject *self, PyObject *code)
{
    Py_ssize_t size;
    const char *script = PyUnicode_AsUTF8AndSize(code, &size);
    if (script == NULL) {
        return NULL;
    }
    if (strlen(script) != (size_t)size) {
        PyErr_SetString(PyExc_ValueError, "source code string cannot contain null bytes");
        return NULL;
    }
    run r = {.script = script, .wanted = FAILURE_WITH_TRACEBACK};
    return perform(self, &r);
}

static PyObject *
exec_object(PyObject *self, PyObject *code)
{
    subi_message m;
    PyObject *description = subi_script_describe(code);
    int encoded = description != NULL ? subi_encode(get_state_of(self), description, &m) : -1;
    Py_XDECREF(description);
    if (encoded < 0) {
        return NULL;
    }
    run r = {.code = &m, .wanted = FAILURE_WITH_TRACEBACK};
    PyObject *result = perform(self, &r);
    subi_message_fini(&m);
    return result;
}

PyObject *
subi_interpreter_exec(PyObject *self, PyObject *args, PyObject *kwds)
{
    static char *keywords[] = {"", "timeout", NULL};
    PyObject *code, *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwds, "O|$O:exec", keywords, &code, &timeout)) {
        return NULL;
    }
    if (timeout != Py_None) {
        return call_helper(CALLS, "exec_in_time", self, args, kwds);
    }
    return PyUnicode_Check(code) ? exec_text(self, code) : exec_object(self, code);
}

// ---- call -------------------------------------------------------------------------------------

const char subi_call_doc[] = PyDoc_STR(

    "call($self, callable, /, *args, **kwargs)\n--\n\n"
    "Call something in the interpreter and return what it returns.\n\n"
    "Functions and classes of modules are found there by their names. Other functions are sent\n"
    "as their code, if they refer to nothing else; else, and if they are closures or defined in\n"
    "__main__, with what they refer to, which needs cloudpickle.\n\n"
    "Args:\n"
    "    callable, args, kwargs: what SendChannel.send() can send.\n"
    "    timeout: of the kwargs this is for call() itself, unless callable has a parameter of\n"
    "        that name: seconds after which it is interrupted, as by interrupt().\n\n"
    "Returns:\n    A copy of what callable has returned.\n\n"
    "Raises:\n"
    "    The exception that callable has raised, of the same type, if it can be sent; it is an\n"
    "        ExecutionFailed as well, unless its type does not allow that, and has one with the\n"
    "        traceback as its cause. Otherwise just ExecutionFailed.\n"
    "    NotShareableError: an argument, or what callable returned, cannot be sent.\n"
    "    TimeoutError: the time is over.\n"
    "    InterpreterError: the interpreter is running already.\n"
    "    InterpreterClosedError: it is closed.");

// What is called is args[first]. For `begin`, see run.h.
static PyObject *
call_now(PyObject *self, PyObject *args, Py_ssize_t first, PyObject *kwds, PyObject *begin,
         int64_t deadline)
{
    Py_ssize_t count = PyTuple_GET_SIZE(args);
    PyObject *rest = PyTuple_GetSlice(args, first + 1, count);
    PyObject *named = kwds != NULL ? Py_NewRef(kwds) : PyDict_New();
    PyObject *parts = NULL;
    if (rest != NULL && named != NULL) {
        parts = PyTuple_Pack(3, PyTuple_GET_ITEM(args, first), rest, named);
    }
    Py_XDECREF(rest);
    Py_XDECREF(named);
    subi_message m;
    int encoded = parts != NULL ? subi_encode(get_state_of(self), parts, &m) : -1;
    Py_XDECREF(parts);
    if (encoded < 0) {
        return NULL;
    }
    run r = {.call = &m, .wanted = FAILURE_WITH_EXCEPTION, .deadline = deadline, .begin = begin};
    PyObject *result = perform(self, &r);
    subi_message_fini(&m);
    return result;
}

static PyObject *
call_at_once(PyObject *self, PyObject *args, PyObject *kwds)
{
    if (PyTuple_GET_SIZE(args) == 0) {
        PyErr_SetString(PyExc_TypeError, "there is nothing to call");
        return NULL;
    }
    return call_now(self, args, 0, kwds, NULL, SUBI_TRY);
}

PyObject *
subi_interpreter_call(PyObject *self, PyObject *args, PyObject *kwds)
{
    PyObject *timeout = kwds != NULL ? PyDict_GetItemString(kwds, "timeout") : NULL;  // borrowed
    if (timeout != NULL) {
        return call_helper(CALLS, "call_in_time", self, args, kwds);
    }
    return call_at_once(self, args, kwds);
}

const char subi_call_now_doc[] = PyDoc_STR("_call_now($self, callable, /, *args, **kwargs)\n--\n\n"
                                           "As call(), but all kwargs are for callable.");

PyObject *
subi_interpreter_call_now(PyObject *self, PyObject *args, PyObject *kwds)
{
    return call_at_once(self, args, kwds);
}

const char subi_call_waiting_doc[] = PyDoc_STR(
    "_call($self, begin, callable, /, *args, **kwargs)\n--\n\n"
    "As _call_now(), but waits while another thread runs something in it. begin is called\n"
    "with the number of the run before it begins, and prevents it if it raises; or None.");

PyObject *
subi_interpreter_call_waiting(PyObject *self, PyObject *args, PyObject *kwds)
{
    if (PyTuple_GET_SIZE(args) < 2) {
        PyErr_SetString(PyExc_TypeError, "there is nothing to call");
        return NULL;
    }
    PyObject *begin = PyTuple_GET_ITEM(args, 0);
    return call_now(self, args, 1, kwds, begin != Py_None ? begin : NULL, SUBI_FOREVER);
}

const char subi_call_in_thread_doc[] =
    PyDoc_STR("call_in_thread($self, callable, /, *args, **kwargs)\n--\n\n"
              "Call something in the interpreter on a new thread. What it returns is dropped; an\n"
              "exception is reported by threading.excepthook. See submit() for both.\n\n"
              "Args:\n    callable, args, kwargs: as for call(), `timeout` as well.\n\n"
              "Returns:\n    The threading.Thread, which has been started.\n\n"
              "Raises:\n    RuntimeError: there can be no more threads.");

PyObject *
subi_interpreter_call_in_thread(PyObject *self, PyObject *args, PyObject *kwds)
{
    return call_helper(CALLS, "call_in_thread", self, args, kwds);
}

const char subi_submit_doc[] = PyDoc_STR(
    "submit($self, callable, /, *args, **kwargs)\n--\n\n"
    "Call something in the interpreter on a thread that stays with it, after what was\n"
    "submitted before. close() waits for all of it.\n\n"
    "Args:\n"
    "    callable, args, kwargs: what SendChannel.send() can send; all kwargs, `timeout`\n"
    "        as well, are for callable. They are sent when their turn comes.\n\n"
    "Returns:\n"
    "    A concurrent.futures.Future. It gets what call() would return or raise.\n\n"
    "Raises:\n    InterpreterClosedError: the interpreter is being closed.");

PyObject *
subi_interpreter_submit(PyObject *self, PyObject *args, PyObject *kwds)
{
    return call_helper(CALLS, "submit", self, args, kwds);
}

const char subi_call_async_doc[] = PyDoc_STR(
    "call_async($self, callable, /, *args, **kwargs)\n--\n\n"
    "As submit(), for asyncio: a coroutine, which waits without blocking the event loop.\n\n"
    "One that is cancelled while what was submitted before it is not done does not call callable\n"
    "any more. If callable runs already, it is interrupted, as by interrupt(), and the coroutine\n"
    "waits for its end, a second at most; code that does not react goes on.\n\n"
    "Args:\n    callable, args, kwargs: as for submit().\n\n"
    "Returns:\n    A copy of what callable has returned.\n\n"
    "Raises:\n    What call() raises.");

PyObject *
subi_interpreter_call_async(PyObject *self, PyObject *args, PyObject *kwds)
{
    return call_helper(AIO, "call_async", self, args, kwds);
}

// ---- interrupt --------------------------------------------------------------------------------

const char subi_interrupt_doc[] = PyDoc_STR(
    "interrupt($self, exc=..., /)\n--\n\n"
    "Make the code that runs in the interpreter raise an exception.\n\n"
    "It is raised at the next bytecode, or out of a wait on a channel. What runs in C meanwhile,\n"
    "and other waits such as time.sleep(), are not interrupted. Code may catch it.\n\n"
    "Args:\n"
    "    exc: a class of exceptions that the interpreter can import. If it is not given, that is\n"
    "        KeyboardInterrupt.\n\n"
    "Returns:\n    Whether code was running. It may have ended before it was interrupted.\n\n"
    "Raises:\n"
    "    InterpreterError: it was not made by create().\n"
    "    InterpreterClosedError: it is closed.\n"
    "    TypeError: exc is no class of exceptions.\n"
    "    NotShareableError: exc cannot be sent.");

static PyObject *
interrupt_now(PyObject *self, module_state *state, PyObject *exc)
{
    subi_interp *i = subi_interp_of(self);
    interruption what = subi_interruption(i, INTERRUPT_CLASS);
    if (subi_encode(state, exc, &what.exception) < 0) {
        return NULL;
    }
    subi_result r;
    Py_BEGIN_ALLOW_THREADS
    r = subi_interrupt(i, what, SUBI_TRY);
    Py_END_ALLOW_THREADS
    return r == SUBI_NOMEM ? PyErr_NoMemory() : Py_NewRef(Py_True);
}

PyObject *
subi_interpreter_interrupt(PyObject *self, PyObject *args)
{
    module_state *state = get_state_of(self);
    subi_interp *i = subi_interp_of(self);
    PyObject *exc = PyExc_KeyboardInterrupt;
    if (state == NULL || !PyArg_ParseTuple(args, "|O:interrupt", &exc)) {
        return NULL;
    }
    if (!PyExceptionClass_Check(exc)) {
        bool is_class = PyType_Check(exc);
        return PyErr_Format(PyExc_TypeError, "exc must be a class of exceptions, got %s%.100s",
                            is_class ? "class " : "",
                            is_class ? ((PyTypeObject *)exc)->tp_name : Py_TYPE(exc)->tp_name);
    }
    if (subi_interp_stale(i)) {
        return subi_raise_interp(state, SUBI_FORKED, subi_interp_id(i));
    }
    if (!subi_lifecycle_is_ours(i)) {
        return PyErr_Format(subi_error(state, InterpreterError),
                            "interpreter %lld was not made by create()",
                            (long long)subi_interp_id(i));
    }
    switch (subi_interp_state(i)) {
    case SUBI_STATE_RUNNING:
        return interrupt_now(self, state, exc);
    case SUBI_STATE_IDLE:
        Py_RETURN_FALSE;
    default:
        return subi_raise_interp(state, SUBI_CLOSED, subi_interp_id(i));
    }
}

const char subi_interrupt_run_doc[] =
    PyDoc_STR("_interrupt_run($self, number, /)\n--\n\n"
              "As interrupt(), but only the run of that number, see _call(); or nothing.");

PyObject *
subi_interpreter_interrupt_run(PyObject *self, PyObject *number)
{
    interruption what = {.kind = INTERRUPT_KEYBOARD, .exception = subi_message_none()};
    what.run = PyLong_AsUnsignedLongLong(number);
    if (PyErr_Occurred()) {
        return NULL;
    }
    subi_result r;
    Py_BEGIN_ALLOW_THREADS
    r = subi_interrupt(subi_interp_of(self), what, SUBI_TRY);
    Py_END_ALLOW_THREADS
    return r == SUBI_NOMEM ? PyErr_NoMemory() : Py_NewRef(Py_None);
}

// ---- prepare_main -----------------------------------------------------------------------------

const char subi_prepare_main_doc[] =
    PyDoc_STR("prepare_main($self, ns=None, /, **kwargs)\n--\n\n"
              "Bind names in the interpreter's __main__ module.\n\n"
              "Args:\n"
              "    ns: a dict of names and values, or what dict() makes one of.\n"
              "    kwargs: more of them, which win over ns.\n\n"
              "Raises:\n"
              "    NotShareableError: a value cannot be sent (see SendChannel.send).\n"
              "    InterpreterError: the interpreter is running.\n"
              "    InterpreterClosedError: it is closed.\n"
              "    TypeError, ValueError: ns makes no dict, or a name in it is no str.");

static PyObject *
merged_names(PyObject *ns, PyObject *kwds)
{
    if (ns != Py_None && !PyMapping_Check(ns) && Py_TYPE(ns)->tp_iter == NULL) {
        return PyErr_Format(PyExc_TypeError, "ns must be a dict or None, got %.100s",
                            Py_TYPE(ns)->tp_name);
    }
    PyObject *args = ns != Py_None ? PyTuple_Pack(1, ns) : PyTuple_New(0);
    PyObject *names = args != NULL ? PyObject_Call((PyObject *)&PyDict_Type, args, kwds) : NULL;
    Py_XDECREF(args);
    return names;
}

PyObject *
subi_interpreter_prepare_main(PyObject *self, PyObject *args, PyObject *kwds)
{
    PyObject *ns = Py_None;
    subi_message m;
    if (!PyArg_ParseTuple(args, "|O:prepare_main", &ns)) {
        return NULL;
    }
    PyObject *names = merged_names(ns, kwds);
    if (names == NULL) {
        return NULL;
    }
    int packed = subi_run_pack(get_state_of(self), names, NULL, &m);
    Py_DECREF(names);
    if (packed < 0) {
        return NULL;
    }
    run r = {.shared = &m, .wanted = FAILURE_WITH_TRACEBACK};
    PyObject *result = perform(self, &r);
    subi_message_fini(&m);
    return result;
}
