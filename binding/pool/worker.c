// SPDX-License-Identifier: MIT
#include "worker.h"

#include "blocking.h"
#include "channel_type.h"
#include "lifecycle.h"
#include "task.h"

// Nobody interrupts the wait for a task: what comes then is late for the one before.
static subi_result
next_task(module_state *state, subi_channel *tasks, task **t)
{
    subi_message m;
    subi_result r;
    while ((r = subi_blocking_recv(state, tasks, &m, SUBI_FOREVER)) == SUBI_INTERRUPTED &&
           !PyErr_ExceptionMatches(PyExc_SystemExit)) {
        PyErr_Clear();
    }
    if (r == SUBI_OK) {
        *t = subi_task_of(&m);
    }
    return r;
}

// Its outcome goes back; when nobody waits for it any more, it goes away.
static void
hand_back(subi_channel *done, task *t)
{
    subi_message m = subi_message_integer((int64_t)(intptr_t)t);
    if (subi_channel_send(done, SUBI_NOBODY, &m, SUBI_TRY) != SUBI_OK) {
        subi_task_drop(t);
    }
}

PyDoc_STRVAR(serve_doc,
             "_serve(tasks, done, most, /)\n--\n\n"
             "Perform tasks: on the thread of a run, in the interpreter of a worker.\n\n"
             "Args:\n"
             "    tasks: the receiving end of the channel that they come from.\n"
             "    done: the sending end of the one that they go back through.\n"
             "    most: how many, at most; 0: no limit.\n\n"
             "Returns:\n    Whether that was the limit.");

static PyObject *
serve(PyObject *module, PyObject *args)
{
    module_state *state = get_state(module);
    PyObject *tasks, *done;
    Py_ssize_t most;
    if (!PyArg_ParseTuple(args, "O!O!n:_serve", state->recv_channel_type, &tasks,
                          state->send_channel_type, &done, &most)) {
        return NULL;
    }
    native *n = subi_run_of_thread(state->self, PyThreadState_Get());
    if (n == NULL) {
        PyErr_SetString(state->InterpreterError, "this is no run of the current interpreter");
        return NULL;
    }
    for (Py_ssize_t count = 0; most == 0 || count < most;) {
        task *t;
        subi_result r = next_task(state, subi_channel_of(tasks), &t);
        if (r != SUBI_OK) {
            return r == SUBI_INTERRUPTED ? NULL : Py_NewRef(Py_False);
        }
        if (!subi_task_claim(t)) {
            subi_task_drop(t);  // whoever cancelled it has told its future
            continue;
        }
        subi_run_task(state->self, &t->run);
        hand_back(subi_channel_of(done), t);
        count++;
    }
    Py_RETURN_TRUE;
}

PyMethodDef subi_worker_functions[] = {
    {"_serve", serve, METH_VARARGS, serve_doc},
    {NULL},
};
