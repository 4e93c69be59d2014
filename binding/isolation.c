// SPDX-License-Identifier: MIT
#include "isolation.h"

#include "errors.h"
#include "private/private.h"

#if SUBI_HAS_PEP_684

// What CPython asks when a module is imported. One made from slots alone, as from 3.15 on, does not tell.
static bool
supports_own(PyObject *module)
{
    const PyModuleDef *def = PyModule_GetDef(module);
    const PyModuleDef_Slot *slot = def != NULL ? def->m_slots : NULL;
    for (; slot != NULL && slot->slot != 0; slot++) {
        if (slot->slot == Py_mod_multiple_interpreters) {
            return slot->value == Py_MOD_PER_INTERPRETER_GIL_SUPPORTED;
        }
    }
    return false;
}

// Whether it comes from a file that is not the standard library's.
static bool
is_foreign_extension(PyObject *module)
{
    PyObject *file = PyDict_GetItemString(PyModule_GetDict(module), "__file__");  // borrowed
    const char *path = file != NULL && PyUnicode_Check(file) ? PyUnicode_AsUTF8(file) : NULL;
    const char *suffix = path != NULL ? strrchr(path, '.') : NULL;
    PyErr_Clear();
    return suffix != NULL && strcmp(suffix, ".so") == 0 && strstr(path, "/lib-dynload/") == NULL;
}

// -1 with an exception set.
static int
all_support_own(void)
{
    PyObject *modules = PyMapping_Values(PyImport_GetModuleDict());
    int all = modules != NULL ? 1 : -1;
    for (Py_ssize_t i = 0; all == 1 && i < PyList_GET_SIZE(modules); i++) {
        PyObject *module = PyList_GET_ITEM(modules, i);
        if (PyModule_Check(module) && is_foreign_extension(module) && !supports_own(module)) {
            all = 0;
        }
    }
    Py_XDECREF(modules);
    return all;
}

const char *
subi_isolation_choose(module_state *state)
{
    int own = all_support_own();
    if (own == 0 && subi_private_prepare(state) < 0) {
        if (!subi_error_matches(state, InterpreterError)) {
            return NULL;
        }
        PyErr_Clear();  // there is no libpython
        own = 1;
    }
    return own < 0 ? NULL : own == 1 ? "own" : "private";
}

#else

const char *
subi_isolation_choose(module_state *state)
{
    (void)state;
    return "private";
}

#endif
