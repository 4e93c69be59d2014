// SPDX-License-Identifier: MIT
#include "state_making.h"

#include <string.h>

#include "lifecycle.h"
#include "runtime.h"

// malloc'd; set once, by the main interpreter's thread, before there are others
static char *module_file;

static _Thread_local state_making making;  // how this thread makes the module

state_making
subi_state_making(void)
{
    return making;
}

const char *
subi_module_file(void)
{
    return module_file;
}

void
subi_state_note_file(PyObject *module)
{
    if (module_file != NULL) {
        return;
    }
    PyObject *file = PyObject_GetAttrString(module, "__file__");
    PyObject *bytes = file != NULL ? PyUnicode_EncodeFSDefault(file) : NULL;
    if (bytes != NULL) {
        module_file = strdup(PyBytes_AS_STRING(bytes));
    }
    Py_XDECREF(bytes);
    Py_XDECREF(file);
    PyErr_Clear();
}

// importlib's object for it, as its function spec_from_file_location would make it after a search of suffixes.
static PyObject *
make_spec(PyObject *importlib, PyObject *external, PyObject *path)
{
    PyObject *loader =
        PyObject_CallMethod(external, "ExtensionFileLoader", "sO", SUBI_MODULE_NAME, path);
    PyObject *spec = loader != NULL ? PyObject_CallMethod(importlib, "ModuleSpec", "sO",
                                                          SUBI_MODULE_NAME, loader)
                                    : NULL;
    if (spec != NULL && (PyObject_SetAttrString(spec, "origin", path) < 0 ||
                         PyObject_SetAttrString(spec, "has_location", Py_True) < 0)) {
        Py_CLEAR(spec);
    }
    Py_XDECREF(loader);
    return spec;
}

// What an import says of a module, but for what creating it has.
static int
set_attributes(PyObject *module, PyObject *spec, PyObject *path)
{
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    int result =
        loader != NULL && PyModule_AddObjectRef(module, "__loader__", loader) == 0 &&
                PyModule_AddStringConstant(module, "__package__", SUBI_PACKAGE_NAME) == 0 &&
                PyModule_AddObjectRef(module, "__spec__", spec) == 0 &&
                PyModule_AddObjectRef(module, "__file__", path) == 0
            ? 0
            : -1;
    Py_XDECREF(loader);
    return result;
}

// A new reference, of what sys.modules does not have yet. NULL with an exception; or without, if it has to be
// imported.
static PyObject *
make_module(state_making how)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed, as these are
    PyObject *importlib = PyDict_GetItemString(modules, "_frozen_importlib");
    PyObject *external = PyDict_GetItemString(modules, "_frozen_importlib_external");
    const char *file = subi_host_runtime()->module_file();
    if (importlib == NULL || external == NULL || file == NULL) {
        return NULL;
    }
    PyObject *path = PyUnicode_DecodeFSDefault(file);
    PyObject *spec = path != NULL ? make_spec(importlib, external, path) : NULL;
    PyObject *module = spec != NULL ? PyModule_FromDefAndSpec(&subi_module_def, spec) : NULL;
    int executed = -1;
    if (module != NULL && set_attributes(module, spec, path) == 0) {
        making = how;
        executed = PyModule_ExecDef(module, &subi_module_def);
        making = STATE_WHOLE;
    }
    if (executed < 0) {
        Py_CLEAR(module);
    }
    Py_XDECREF(spec);
    Py_XDECREF(path);
    return module;
}

// NULL: this is no interpreter of ours.
static native *
native_here(void)
{
    subi_interp *here = subi_interp_find(PyInterpreterState_Get());
    native *n = here != NULL && subi_lifecycle_is_ours(here) ? subi_interp_data(here) : NULL;
    if (here != NULL) {
        subi_interp_drop(here);
    }
    return n;
}

PyObject *
subi_state_make_ahead(void)
{
    PyObject *module = make_module(STATE_AHEAD);
    PyErr_Clear();
    return module;
}

// The import lock of the module is held. A new reference, which sys.modules has, too. NULL as make_module.
static PyObject *
add_module(native *n)
{
    PyObject *module = n->module;
    n->module = NULL;
    if (module != NULL && subi_state_settle(get_state(module)) < 0) {
        Py_CLEAR(module);
    }
    else if (module == NULL) {
        module = make_module(STATE_IN_PART);
    }
    if (module != NULL &&
        PyDict_SetItemString(PyImport_GetModuleDict(), SUBI_MODULE_NAME, module) < 0) {
        Py_CLEAR(module);
    }
    return module;
}

// Whether a thread of this interpreter is at it. No other comes to it while this does not give up the GIL.
static bool
is_being_imported(PyObject *importlib)
{
    PyObject *locks = PyObject_GetAttrString(importlib, "_module_locks");
    bool is = locks == NULL || !PyDict_Check(locks) ||
              PyDict_GetItemString(locks, SUBI_MODULE_NAME) != NULL;
    Py_XDECREF(locks);
    PyErr_Clear();
    return is;
}

// In an interpreter of ours, as an import would, but for the package: its library is loaded already, so there
// is no need to search for it and to visit the main interpreter, which takes longer than the rest. A new reference.
// NULL without an exception: it has to be imported; with one: an interruption.
static PyObject *
import_quickly(void)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed, as this is
    PyObject *importlib = PyDict_GetItemString(modules, "_frozen_importlib");
    PyObject *module = NULL;
    native *n = native_here();
    if (importlib == NULL || n == NULL) {
        return NULL;
    }
    if (n->module != NULL && !is_being_imported(importlib)) {
        module = add_module(n);  // this runs no other code
        PyErr_Clear();           // an import may say more
        return module;
    }
    PyObject *lock = PyObject_CallMethod(importlib, "_ModuleLockManager", "s", SUBI_MODULE_NAME);
    PyObject *locked = lock != NULL ? PyObject_CallMethod(lock, "__enter__", NULL) : NULL;
    PyObject *exc = NULL;
    if (locked != NULL) {
        module = Py_XNewRef(PyDict_GetItemString(modules, SUBI_MODULE_NAME));
        if (module == NULL) {
            module = add_module(n);
        }
        exc = PyErr_GetRaisedException();
        PyObject *released =
            PyObject_CallMethod(lock, "__exit__", "OOO", Py_None, Py_None, Py_None);
        Py_XDECREF(released);
    }
    Py_XDECREF(locked);
    Py_XDECREF(lock);
    if (exc != NULL) {
        PyErr_SetRaisedException(exc);
    }
    if (PyErr_Occurred()) {
        Py_CLEAR(module);
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear();  // an import may say more
        }
    }
    return module;
}

static bool
is_ready(PyObject *module)
{
    return PyModule_Check(module) && PyModule_GetDef(module) == &subi_module_def &&
           get_state(module)->ready;
}

module_state *
subi_state_here(void)
{
    PyObject *module = Py_XNewRef(PyDict_GetItemString(PyImport_GetModuleDict(), SUBI_MODULE_NAME));
    if (module == NULL) {
        module = import_quickly();
    }
    if (module == NULL && PyErr_Occurred()) {
        return NULL;
    }
    if (module == NULL || !is_ready(module)) {
        Py_XDECREF(module);
        module = PyImport_ImportModule(SUBI_MODULE_NAME);  // another thread may be at it
    }
    if (module == NULL) {
        return NULL;
    }
    module_state *state = is_ready(module) ? get_state(module) : NULL;
    if (state == NULL) {
        PyErr_SetString(PyExc_ImportError, "subinterpreters._subinterpreters was replaced");
    }
    Py_DECREF(module);  // sys.modules keeps it
    return state;
}
