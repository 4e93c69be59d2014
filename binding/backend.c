// SPDX-License-Identifier: MIT
#include "backend.h"

#include "creation.h"
#include "errors.h"
#include "isolation.h"
#include "lifecycle.h"
#include "private/private.h"
#include "runtime.h"
#include "thread_state.h"

#if SUBI_HAS_PEP_684

static const PyInterpreterConfig own_config = {
    .use_main_obmalloc = 0,
    .allow_fork = 0,
    .allow_exec = 0,
    .allow_threads = 1,
    .allow_daemon_threads = 0,
    .check_multi_interp_extensions = 1,
    .gil = PyInterpreterConfig_OWN_GIL,
};

static const PyInterpreterConfig shared_config = {
    .use_main_obmalloc = 1,
    .allow_fork = 0,
    .allow_exec = 0,
    .allow_threads = 1,
    .allow_daemon_threads = 0,  // one that is left at the end would abort the process
    .check_multi_interp_extensions = 0,
    .gil = PyInterpreterConfig_SHARED_GIL,
};

static int
create_from_config(native *n, creation *c, const PyInterpreterConfig *config)
{
    PyThreadState *tstate = NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&tstate, config);
    if (PyStatus_Exception(status) || tstate == NULL) {
        PyOS_snprintf(c->error, sizeof(c->error), "%s",
                      status.err_msg != NULL ? status.err_msg : "no reason given");
        return -1;
    }
    n->runtime = &subi_runtime;
    n->interp = PyThreadState_GetInterpreter(tstate);
    if (subi_thread_state_keep(n, tstate) < 0) {
        Py_EndInterpreter(tstate);
        strcpy(c->error, "out of memory");
        return -1;
    }
    PyEval_SaveThread();
    return 0;
}

// CPython copies the configuration of the interpreter that the calling thread is attached to.
static int
create_from_template(native *n, creation *c, native *template)
{
    if (subi_thread_state_attach(template) == NULL) {
        strcpy(c->error, "out of memory");
        return -1;
    }
    int r = create_from_config(n, c, &own_config);
    if (PyThreadState_GetUnchecked() != NULL) {
        PyEval_SaveThread();  // it failed
    }
    subi_thread_state_drop_mine(template);
    return r;
}

// Where there is no template yet, or others have it, the interpreter gets more than it needs.
static int
create_own(native *n, creation *c)
{
    native *template = c->make == SUBI_MAKE_PLAIN ? subi_reserve_take(SUBI_MAKE_TEMPLATE) : NULL;
    if (template == NULL) {
        if (c->make == SUBI_MAKE_PLAIN) {
            subi_reserve_want(SUBI_MAKE_TEMPLATE, 1);
            n->make = SUBI_MAKE_FULL;
        }
        return create_from_config(n, c, &own_config);
    }
    int r = create_from_template(n, c, template);
    if (!subi_reserve_give_back(template)) {
        subi_lifecycle_end_spare_here(template);
    }
    subi_reserve_done();
    return r;
}

static int
create_shared(native *n, creation *c)
{
    return create_from_config(n, c, &shared_config);
}

#else

#define create_own    NULL
#define create_shared NULL

#endif

// CPython 3.12 cannot make a thread state in an interpreter that has none left, and some of its
// modules do not go away.
#define RENEWABLE (PY_VERSION_HEX >= 0x030D0000)

// CPython before 3.14 has races in making and ending interpreters at the same time (static types,
// interned strings, _datetime: python/cpython 112140, 105699, 136421): there it is one at a time.
// From then on it is as many as there are processors: more would take no less time, and all of
// them would hold memory meanwhile.
#define ALONE (PY_VERSION_HEX < 0x030E0000)

static const backend backends[] = {
    {"own", SUBI_KIND_OWN, RENEWABLE, ALONE, NULL, create_own, NULL},
    {"shared", SUBI_KIND_SHARED, false, ALONE, NULL, create_shared, NULL},
    {"private", SUBI_KIND_PRIVATE, false, false, subi_private_prepare, subi_private_create,
     subi_private_discard},
};

const backend *
subi_backend_find(module_state *state, const char *name)
{
    if (name != NULL && strcmp(name, "auto") == 0) {
        name = subi_isolation_choose(state);
        if (name == NULL) {
            return NULL;
        }
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(backends); i++) {
        const backend *b = &backends[i];
        if (name != NULL ? strcmp(name, b->name) != 0 : b->create == NULL) {
            continue;
        }
        if (b->create != NULL) {
            return b;
        }
        PyErr_Format(subi_error(state, InterpreterError),
                     "isolation='%s' needs CPython 3.12 or newer (PEP 684), and this is %s: use "
                     "isolation='private'",
                     name, PY_VERSION);
        return NULL;
    }
    PyErr_Format(PyExc_ValueError,
                 "isolation must be 'own', 'private', 'shared', 'auto' or None, got '%.100s'",
                 name);
    return NULL;
}

const backend *
subi_backend_of(subi_kind kind)
{
    size_t i = 0;
    while (backends[i].kind != kind) {
        i++;
    }
    return &backends[i];
}

const char *
subi_kind_name(subi_kind kind)
{
    switch (kind) {
    case SUBI_KIND_MAIN:
        return "main";
    case SUBI_KIND_OWN:
        return "own";
    case SUBI_KIND_SHARED:
        return "shared";
    case SUBI_KIND_PRIVATE:
        return "private";
    case SUBI_KIND_FOREIGN:
        return "foreign";
    }
    return "unknown";
}
