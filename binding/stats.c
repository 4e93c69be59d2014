// SPDX-License-Identifier: MIT
#include "stats.h"

#include "backend.h"
#include "errors.h"
#include "interp_type.h"
#include "interrupt.h"
#include "lifecycle.h"
#include "private/heap.h"

#define THREADS_WAIT 0.1  // seconds for the interpreter's GIL

const char subi_stats_doc[] = PyDoc_STR(
    "stats($self, /)\n--\n\n"
    "What can be said of the interpreter now. What is not known is None; it may have changed\n"
    "when this returns.\n\n"
    "Returns:\n"
    "    A new dict with these items:\n"
    "    state: 'idle', 'running' (exec() or call(), not threads alone), 'closing' or 'closed'.\n"
    "    name, isolation: the attributes.\n"
    "    threads: how many threads are in it: that of the run, and those that it started. None\n"
    "        if code in C does not give the interpreter's GIL up for a tenth of a second.\n"
    "    runs: how many there were since create(), with the one in progress: of exec(), call(),\n"
    "        prepare_main() and what was submitted.\n"
    "    tasks: how many calls were submitted in the caller's interpreter and are not done.\n"
    "    cpu_seconds: processor time that these runs have used, on whatever threads, with the one in\n"
    "        progress. Runs of less than 50 microseconds count as they took. Threads that the\n"
    "        code started are not counted.\n"
    "    bytes: memory that Python has taken for it from the system, used or not, without its\n"
    "        code and what libraries in C allocate. Only private ones know; of others it is None,\n"
    "        since CPython does not count it for each.\n"
    "    All but the first three are None for interpreters that create() has not made, and all\n"
    "    but these and tasks for closed ones.\n\n"
    "Raises:\n    InterpreterError: in the child of a fork, for one of the parent.");

static const char *
state_name(subi_state state)
{
    switch (state) {
    case SUBI_STATE_IDLE:
        return "idle";
    case SUBI_STATE_RUNNING:
        return "running";
    case SUBI_STATE_CLOSING:
        return "closing";
    default:
        return "closed";
    }
}

// Steals value. -1 with an exception, also if value is NULL.
static int
add(PyObject *stats, const char *key, PyObject *value)
{
    int r = value != NULL ? PyDict_SetItemString(stats, key, value) : -1;
    Py_XDECREF(value);
    return r;
}

static PyObject *
threads(subi_interp *i)
{
    size_t count = 0;
    subi_result r;
    Py_BEGIN_ALLOW_THREADS
    r = subi_count_threads(i, subi_deadline(THREADS_WAIT), &count);
    Py_END_ALLOW_THREADS
    if (r == SUBI_NOMEM) {
        return PyErr_NoMemory();
    }
    return r == SUBI_OK ? PyLong_FromSize_t(count) : Py_NewRef(Py_None);
}

// See _calls.py.
static PyObject *
tasks(PyObject *self)
{
    PyObject *worker = PyObject_GetAttrString(self, "_worker");
    PyObject *count = NULL;
    if (worker == Py_None) {
        count = PyLong_FromLong(0);
    }
    else if (worker != NULL) {
        count = PyObject_GetAttrString(worker, "tasks");
    }
    Py_XDECREF(worker);
    return count;
}

// What the interpreter's record does not know. -1 with an exception.
static int
add_native(PyObject *stats, subi_interp *i)
{
    uint64_t runs = 0;
    size_t bytes = 0;
    bool pinned = subi_interp_pin(i);
    native *n = pinned ? subi_interp_data(i) : NULL;
    bool counts = n != NULL, counts_bytes = n != NULL && n->heap != NULL;
    if (counts) {
        runs = atomic_load(&n->runs);
    }
    if (counts_bytes) {
        bytes = subi_heap_size(n->heap);
    }
    if (pinned) {
        subi_interp_unpin(i);
    }
    PyObject *seconds =
        counts ? PyFloat_FromDouble((double)subi_usage(i) / 1e9) : Py_NewRef(Py_None);
    if (add(stats, "runs", counts ? PyLong_FromUnsignedLongLong(runs) : Py_NewRef(Py_None)) < 0) {
        Py_XDECREF(seconds);
        return -1;
    }
    if (add(stats, "cpu_seconds", seconds) < 0) {
        return -1;
    }
    return add(stats, "bytes", counts_bytes ? PyLong_FromSize_t(bytes) : Py_NewRef(Py_None));
}

static int
fill(PyObject *stats, PyObject *self, subi_interp *i)
{
    bool ours = subi_lifecycle_is_ours(i);
    if (add(stats, "state", PyUnicode_FromString(state_name(subi_interp_state(i)))) < 0 ||
        add(stats, "name", PyObject_GetAttrString(self, "name")) < 0 ||
        add(stats, "isolation", PyObject_GetAttrString(self, "isolation")) < 0 ||
        add(stats, "threads", ours ? threads(i) : Py_NewRef(Py_None)) < 0 ||
        add(stats, "tasks", ours ? tasks(self) : Py_NewRef(Py_None)) < 0) {
        return -1;
    }
    return add_native(stats, i);
}

PyObject *
subi_interpreter_stats(PyObject *self, PyObject *unused)
{
    module_state *state = get_state_of(self);
    subi_interp *i = subi_interp_of(self);
    if (state == NULL) {
        return NULL;
    }
    if (subi_interp_stale(i)) {
        return subi_raise_interp(state, SUBI_FORKED, subi_interp_id(i));
    }
    PyObject *stats = PyDict_New();
    if (stats != NULL && fill(stats, self, i) < 0) {
        Py_CLEAR(stats);
    }
    return stats;
}
