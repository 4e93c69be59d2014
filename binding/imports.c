// SPDX-License-Identifier: MIT
#include "imports.h"

// CPython's own rule, which its importer applies (Python/import.c, Objects/moduleobject.c): a module that is
// initialised in one phase, or does not say that it can have several GILs, cannot.
static bool
allows_own(const PyModuleDef *def)
{
#if PY_VERSION_HEX >= 0x030C0000
    for (const PyModuleDef_Slot *slot = def->m_slots; slot != NULL && slot->slot != 0; slot++) {
        if (slot->slot == Py_mod_multiple_interpreters) {
            return slot->value == Py_MOD_PER_INTERPRETER_GIL_SUPPORTED;
        }
    }
#else
    (void)def;
#endif
    return false;
}

// A file, and none of those that come with CPython.
static bool
is_third_party(PyObject *module)
{
    PyObject *file = PyModule_GetFilenameObject(module);
    const char *path = file != NULL ? PyUnicode_AsUTF8(file) : NULL;
    size_t size = path != NULL ? strlen(path) : 0;
    bool is =
        size > 3 && strcmp(path + size - 3, ".so") == 0 && strstr(path, "/lib-dynload/") == NULL;
    Py_XDECREF(file);
    PyErr_Clear();
    return is;
}

int
subi_imports_allow_own(void)
{
    PyObject *modules = PyDict_Values(PyImport_GetModuleDict());
    if (modules == NULL) {
        return -1;
    }
    bool allow = true;
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(modules) && allow; k++) {
        PyObject *module = PyList_GET_ITEM(modules, k);
        const PyModuleDef *def = PyModule_Check(module) ? PyModule_GetDef(module) : NULL;
        allow = def == NULL || allows_own(def) || !is_third_party(module);
    }
    Py_DECREF(modules);
    return allow;
}
