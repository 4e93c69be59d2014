// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "traces.h"

#include "internal/pycore_interp.h"
#include "internal/pycore_runtime.h"
#include "known.h"

// Tools that code can use; the two above them belong to sys.settrace and sys.setprofile.
#define USER_TOOLS 6

#define FORK_HOOK_LISTS(interp)                                                                    \
    {&(interp)->before_forkers, &(interp)->after_forkers_parent, &(interp)->after_forkers_child}

static Py_ssize_t
size_of(PyObject *list)
{
    return list != NULL ? PyList_GET_SIZE(list) : 0;
}

static uint64_t
sum_monitoring(PyInterpreterState *here)
{
    uint64_t sum = subi_sum_bytes(1, &here->monitors, sizeof(here->monitors));
    sum = subi_sum_bytes(sum, here->monitoring_callables,
                         USER_TOOLS * sizeof(here->monitoring_callables[0]));
    sum = subi_sum_bytes(sum, here->monitoring_tool_names,
                         USER_TOOLS * sizeof(here->monitoring_tool_names[0]));
#if PY_VERSION_HEX >= 0x030E0000
    sum = subi_sum_bytes(sum, here->monitoring_tool_versions,
                         USER_TOOLS * sizeof(here->monitoring_tool_versions[0]));
#endif
    return sum;
}

subi_traces
subi_traces_note(void)
{
    PyInterpreterState *here = PyInterpreterState_Get();
    PyObject **lists[SUBI_FORK_MOMENTS] = FORK_HOOK_LISTS(here);
    subi_traces traces = {
        .syntax_trees = here->ast.AST_type != NULL,
        .audit_hooks = size_of(here->audit_hooks),
        .override_frozen = here->imports.override_frozen_modules,
        .override_check = here->imports.override_multi_interp_extensions_check,
        .monitoring = sum_monitoring(here),
    };
    for (int k = 0; k < SUBI_FORK_MOMENTS; k++) {
        traces.fork_hooks[k] = size_of(*lists[k]);
    }
    return traces;
}

// Python code adds to the classes, which keeps its modules alive.
static void
forget_syntax_trees(PyInterpreterState *here)
{
    PyObject **end = (PyObject **)(&here->ast + 1);
    for (PyObject **type = &here->ast.AST_type; type != end; type++) {
        Py_CLEAR(*type);
    }
    here->ast.once = (_PyOnceFlag){0};
}

bool
subi_traces_remove(const subi_traces *earlier)
{
    PyInterpreterState *here = PyInterpreterState_Get();
    PyObject **lists[SUBI_FORK_MOMENTS] = FORK_HOOK_LISTS(here);
    for (int k = 0; k < SUBI_FORK_MOMENTS; k++) {
        if (earlier->fork_hooks[k] == 0) {
            Py_CLEAR(*lists[k]);
        }
        else if (PyList_SetSlice(*lists[k], earlier->fork_hooks[k], PY_SSIZE_T_MAX, NULL) < 0) {
            PyErr_Clear();
        }
    }
    if (!earlier->syntax_trees) {
        forget_syntax_trees(here);
    }
    here->imports.override_frozen_modules = earlier->override_frozen;
    here->imports.override_multi_interp_extensions_check = earlier->override_check;
    here->unicode.ucnhash_capi = NULL;  // points into module unicodedata, which goes
    PyEval_SetTrace(NULL, NULL);        // both: of a thread that has gone with them set, too
    PyEval_SetProfile(NULL, NULL);
    return size_of(here->audit_hooks) == earlier->audit_hooks &&
           sum_monitoring(here) == earlier->monitoring;
}

int
subi_traces_inherited(void)
{
    return PyInterpreterState_Main()->config.int_max_str_digits;
}

PyObject *
subi_traces_hidden_dict(void)
{
#if PY_VERSION_HEX >= 0x030F0000
    return PyInterpreterState_Get()->imports.lazy_pending_submodules;
#else
    return NULL;
#endif
}
