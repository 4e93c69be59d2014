// SPDX-License-Identifier: MIT
#include "interrupted_imports.h"

#include "state.h"

// Whether obj.name is the calling thread's number.
static bool
is_mine(PyObject *obj, const char *name)
{
    PyObject *ident = PyObject_GetAttrString(obj, name);
    bool mine = ident != NULL && PyLong_Check(ident) &&
                PyLong_AsUnsignedLong(ident) == PyThread_get_thread_ident();
    Py_XDECREF(ident);
    PyErr_Clear();
    return mine;
}

// False: it raised, since there is nothing to release.
static bool
release(PyObject *lock, const char *method)
{
    PyObject *done = PyObject_CallMethod(lock, method, NULL);
    PyErr_Clear();
    Py_XDECREF(done);
    return done != NULL;
}

// The one inside a module's lock. On 3.11 it has no owner that could be known.
static void
release_inner(PyObject *module_lock)
{
    PyObject *lock = PyObject_GetAttrString(module_lock, "lock");
    PyObject *owned = NULL;
    while (lock != NULL && (owned = PyObject_CallMethod(lock, "_is_owned", NULL)) == Py_True &&
           release(lock, "release")) {
        Py_CLEAR(owned);
    }
    Py_XDECREF(owned);
    Py_XDECREF(lock);
    PyErr_Clear();
}

static void
release_module_lock(PyObject *lock)
{
    while (is_mine(lock, "owner")) {
        if (!release(lock, "release")) {  // it is not counted yet
            PyObject_SetAttrString(lock, "owner", Py_None);
            PyErr_Clear();
            break;
        }
    }
    release_inner(lock);
}

static void
release_module_locks(PyObject *importlib)
{
    PyObject *locks = PyObject_GetAttrString(importlib, "_module_locks");
    PyObject *references = locks != NULL && PyDict_Check(locks) ? PyDict_Values(locks) : NULL;
    for (Py_ssize_t i = 0; references != NULL && i < PyList_GET_SIZE(references); i++) {
        PyObject *lock = PyObject_CallNoArgs(PyList_GET_ITEM(references, i));  // a weak reference
        if (lock != NULL && lock != Py_None) {
            release_module_lock(lock);
        }
        Py_XDECREF(lock);
        PyErr_Clear();
    }
    Py_XDECREF(references);
    Py_XDECREF(locks);
}

// On 3.11 a thread is noted there while it waits for a module's lock.
static void
forget_wait(PyObject *importlib)
{
    PyObject *waits = PyObject_GetAttrString(importlib, "_blocking_on");
    PyObject *ident = PyLong_FromUnsignedLong(PyThread_get_thread_ident());
    if (waits != NULL && ident != NULL && PyDict_Check(waits)) {
        PyDict_DelItem(waits, ident);
    }
    Py_XDECREF(ident);
    Py_XDECREF(waits);
    PyErr_Clear();
}

// Not by importing it, for which a lock may be needed.
static PyObject *
imported(const char *name)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed
    return Py_XNewRef(PyDict_GetItemString(modules, name));
}

void
subi_interrupted_imports_unlock(void)
{
    PyObject *importlib = imported("_frozen_importlib"), *imp = imported("_imp");
    if (importlib != NULL) {
        release_module_locks(importlib);
        forget_wait(importlib);
    }
    while (imp != NULL && release(imp, "release_lock")) {
    }
    Py_XDECREF(imp);
    Py_XDECREF(importlib);
    PyErr_Clear();
}

// Whether it is a module of a package, and the package is not there. Ours need not be; see module.c.
static bool
is_part_without_whole(PyObject *modules, PyObject *name, PyObject *module)
{
    if (PyModule_Check(module) && PyModule_GetDef(module) == &subi_module_def) {
        return false;
    }
    Py_ssize_t length = PyUnicode_Check(name) ? PyUnicode_GET_LENGTH(name) : 0;
    Py_ssize_t dot = length > 0 ? PyUnicode_FindChar(name, '.', 0, length, -1) : -1;
    PyObject *package = dot > 0 ? PyUnicode_Substring(name, 0, dot) : NULL;
    bool missing = package != NULL && PyDict_Contains(modules, package) == 0;
    Py_XDECREF(package);
    PyErr_Clear();
    return missing;
}

bool
subi_interrupted_imports_left_parts(void)
{
    PyObject *modules = PyImport_GetModuleDict();  // borrowed
    PyObject *copy = PyDict_Check(modules) ? PyDict_Copy(modules) : NULL;
    PyObject *name, *module;
    Py_ssize_t position = 0;
    bool found = false;
    while (copy != NULL && !found && PyDict_Next(copy, &position, &name, &module)) {
        found = is_part_without_whole(modules, name, module);
    }
    Py_XDECREF(copy);
    PyErr_Clear();
    return found;
}
