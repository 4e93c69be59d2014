// SPDX-License-Identifier: MIT
#include "module.h"

#include "parts.h"

// All the module has of its own: a reference to the binding's module, whose state it uses.
typedef struct legacy_state {
    PyObject *binding;
} legacy_state;

module_state *
subi_legacy_state(PyObject *module)
{
    return get_state(((legacy_state *)PyModule_GetState(module))->binding);
}

static int
legacy_traverse(PyObject *module, visitproc visit, void *arg)
{
    Py_VISIT(((legacy_state *)PyModule_GetState(module))->binding);
    return 0;
}

static int
legacy_clear(PyObject *module)
{
    Py_CLEAR(((legacy_state *)PyModule_GetState(module))->binding);
    return 0;
}

static void
legacy_free(void *module)
{
    legacy_clear(module);
}

static PyModuleDef_Slot legacy_slots[] = {
    SUBI_OWN_GIL_SLOT,
    {0, NULL},
};

PyDoc_STRVAR(legacy_doc,
             "This module provides primitive operations to manage Python interpreters.\n"
             "The 'interpreters' module provides a more convenient interface.");

static PyModuleDef legacy_module_def = {
    PyModuleDef_HEAD_INIT,          .m_name = "_xxsubinterpreters", .m_doc = legacy_doc,
    .m_size = sizeof(legacy_state), .m_slots = legacy_slots,        .m_traverse = legacy_traverse,
    .m_clear = legacy_clear,        .m_free = legacy_free,
};

static int
add_names(PyObject *module, module_state *state)
{
    const struct {
        const char *name;
        PyObject *value;
    } names[] = {
        {"InterpreterID", (PyObject *)state->interpreter_id_type},
        {"ChannelID", (PyObject *)state->channel_id_type},
        {"RunFailedError", state->LegacyRunFailedError},
        {"ChannelError", state->LegacyChannelError},
        {"ChannelNotFoundError", state->LegacyChannelNotFoundError},
        {"ChannelClosedError", state->LegacyChannelClosedError},
        {"ChannelEmptyError", state->LegacyChannelEmptyError},
        {"ChannelNotEmptyError", state->LegacyChannelNotEmptyError},
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (PyModule_AddObjectRef(module, names[i].name, names[i].value) < 0) {
            return -1;
        }
    }
    return 0;
}

PyObject *
subi_legacy_module(PyObject *binding, PyObject *spec)
{
    PyObject *module = PyModule_FromDefAndSpec(&legacy_module_def, spec);
    if (module == NULL) {
        return NULL;
    }
    if (PyModule_ExecDef(module, &legacy_module_def) == 0) {  // allocates the state
        ((legacy_state *)PyModule_GetState(module))->binding = Py_NewRef(binding);
        if (PyModule_AddFunctions(module, subi_legacy_interp_functions) == 0 &&
            PyModule_AddFunctions(module, subi_legacy_channel_functions) == 0 &&
            add_names(module, get_state(binding)) == 0) {
            return module;
        }
    }
    Py_DECREF(module);
    return NULL;
}
