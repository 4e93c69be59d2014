// SPDX-License-Identifier: MIT
#include "backend.h"

#include "thread_state.h"

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
create_from_config(native *n, const PyInterpreterConfig *config, const char **error)
{
    PyThreadState *tstate = NULL;
    PyStatus status = Py_NewInterpreterFromConfig(&tstate, config);
    if (PyStatus_Exception(status) || tstate == NULL) {
        *error = status.err_msg != NULL ? status.err_msg : "no reason given";
        return -1;
    }
    n->interp = PyThreadState_GetInterpreter(tstate);
    if (subi_thread_state_keep(n, tstate) < 0) {
        Py_EndInterpreter(tstate);
        *error = "out of memory";
        return -1;
    }
    PyEval_SaveThread();
    return 0;
}

static int
create_own(native *n, const char **error)
{
    return create_from_config(n, &own_config, error);
}

static int
create_shared(native *n, const char **error)
{
    return create_from_config(n, &shared_config, error);
}

static void
end_interpreter(native *n, PyThreadState *last)
{
    (void)n;
    Py_EndInterpreter(last);
}

// CPython 3.12 cannot make a thread state in an interpreter that has none left, and some of its
// modules do not go away.
#define RENEWABLE (PY_VERSION_HEX >= 0x030D0000)

static const backend backends[] = {
    {"own", SUBI_KIND_OWN, RENEWABLE, create_own, end_interpreter},
    {"shared", SUBI_KIND_SHARED, false, create_shared, end_interpreter},
};

const backend *
subi_backend_find(const char *name)
{
    if (name == NULL) {
        return &backends[0];
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(backends); i++) {
        if (strcmp(name, backends[i].name) == 0) {
            return &backends[i];
        }
    }
    PyErr_Format(PyExc_ValueError, "isolation must be 'own', 'shared' or None, got '%.100s'", name);
    return NULL;
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
    case SUBI_KIND_FOREIGN:
        return "foreign";
    }
    return "unknown";
}
