// SPDX-License-Identifier: MIT
#include "spares.h"

#include <stdlib.h>

#include "creation.h"
#include "errors.h"
#include "exit.h"
#include "lifecycle.h"
#include "renewal/birth.h"
#include "runtime.h"
#include "thread_state.h"
#include "tracing.h"

// ---- making them in advance ---------------------------------------------------------------------

// One that cannot be renewed could not be reset either, if the process's environment had changed meanwhile.
static void
make_one(subi_make make)
{
    creation *c = calloc(1, sizeof(*c));
    native *n = NULL;
    // its os.environ is made before it is noted
    uint64_t environment = subi_birth_sum_environment();
    if (c != NULL) {
        c->backend = subi_backend_of(SUBI_KIND_OWN);
        c->make = make;
        subi_workshop_enter(false);
        n = subi_creation_make(c);
        subi_workshop_leave(false);
    }
    free(c);
    if (n == NULL || (n->birth == NULL && make != SUBI_MAKE_TEMPLATE)) {
        subi_reserve_making_failed();
    }
    else {
        bool fits = n->birth == NULL || n->birth->environment == environment;
        subi_thread_state_drop_mine(n);
        if (fits && subi_reserve_put_made(n, n->make)) {
            return;
        }
    }
    if (n != NULL) {
        subi_lifecycle_end_spare_here(n);
    }
}

static void
make_all(void *unused)
{
    subi_make make;
    while (subi_reserve_next(&make)) {
        if (subi_tracing_forbids(SUBI_KIND_OWN)) {
            subi_reserve_end_making();
            break;
        }
        make_one(make);
    }
}

void
subi_advance(void)
{
    if (subi_backend_of(SUBI_KIND_OWN)->renewable && subi_reserve_begin_making() &&
        PyThread_start_new_thread(make_all, NULL) == PYTHREAD_INVALID_THREAD_ID) {
        subi_reserve_end_making();
    }
}

// ---- functions ----------------------------------------------------------------------------------

PyDoc_STRVAR(
    set_reserve_limit_doc,
    "set_reserve_limit(limit, /)\n--\n\n"
    "Set how many interpreters the process keeps ready for create(): closed ones that can be used\n"
    "again, and some that are made in advance, in the background.\n\n"
    "A closed interpreter of kind 'own' is reset to the state it was made in. Only when every\n"
    "object that the collector knows is proved to be as it was, and no other is left, create()\n"
    "may return it as a new one. When create() has found none a few times, one more is made in\n"
    "advance; see also warm_reserve(). At first the limit is two for each processor, at least four.\n\n"
    "Args:\n"
    "    limit: an int, 0 to 256. 0 turns it off. Those that are kept and too many are ended.\n\n"
    "Raises:\n"
    "    TypeError, ValueError: limit is not as above.");

// 0 to SUBI_RESERVE_MAX. -1 with an exception.
static int
parse_number(const char *argument, PyObject *arg, size_t *parsed)
{
    PyObject *number = PyNumber_Index(arg);
    if (number == NULL) {
        return -1;
    }
    int overflow;
    long n = PyLong_AsLongAndOverflow(number, &overflow);
    bool fits = overflow == 0 && n >= 0 && (size_t)n <= SUBI_RESERVE_MAX;
    PyObject *text = !fits ? subi_int_text(number) : NULL;
    Py_DECREF(number);
    if (text != NULL) {
        PyErr_Format(PyExc_ValueError, "%s must be 0 to %zu, got %U", argument, SUBI_RESERVE_MAX,
                     text);
        Py_DECREF(text);
    }
    *parsed = (size_t)n;
    return fits ? 0 : -1;
}

static PyObject *
set_reserve_limit(PyObject *module, PyObject *arg)
{
    size_t limit;
    if (parse_number("limit", arg, &limit) < 0) {
        return NULL;
    }
    subi_reserve_set_limit(limit);
    subi_lifecycle_trim_reserve(false);
    Py_RETURN_NONE;
}

static PyObject *
get_reserve_limit(PyObject *module, PyObject *unused)
{
    return PyLong_FromSize_t(subi_reserve_limit());
}

PyDoc_STRVAR(
    warm_reserve_doc,
    "warm_reserve(count, /)\n--\n\n"
    "Have interpreters of kind 'own' made in advance, in the background: create() then takes\n"
    "microseconds. Before CPython 3.13, where there is no reserve, nothing happens.\n\n"
    "Args:\n"
    "    count: an int, 0 to 256: so many are kept ready from now on, if the limit of the reserve\n"
    "        allows it. One that is taken is made anew. It never gets less but with\n"
    "        set_reserve_limit().\n\n"
    "Raises:\n"
    "    TypeError, ValueError: count is not as above.");

static PyObject *
warm_reserve(PyObject *module, PyObject *arg)
{
    size_t count;
    if (parse_number("count", arg, &count) < 0 || subi_exit_arm(get_state(module)) < 0) {
        return NULL;
    }
    subi_reserve_want(SUBI_MAKE_FULL, count);
    Py_BEGIN_ALLOW_THREADS
    subi_host_runtime()->advance();
    Py_END_ALLOW_THREADS
    Py_RETURN_NONE;
}

static PyObject *
get_reserve_count(PyObject *module, PyObject *unused)
{
    return PyLong_FromSize_t(subi_reserve_count());
}

PyMethodDef subi_spares_functions[] = {
    {"set_reserve_limit", set_reserve_limit, METH_O, set_reserve_limit_doc},
    {"get_reserve_limit", get_reserve_limit, METH_NOARGS,
     "get_reserve_limit()\n--\n\n"
     "How many interpreters the process keeps ready at most: an int, see set_reserve_limit()."},
    {"warm_reserve", warm_reserve, METH_O, warm_reserve_doc},
    {"get_reserve_count", get_reserve_count, METH_NOARGS,
     "get_reserve_count()\n--\n\nHow many interpreters are ready for create() to use: an int."},
    {NULL},
};
