// SPDX-License-Identifier: MIT
#include "prepare.h"

#include <time.h>

#include "inheritance.h"
#include "state_making.h"

// A folder that changes again within the resolution of its time of change would be taken for unchanged, so what is
// read right after a change is forgotten. File systems have 2 s at most.
#define SURELY_OTHER_TIME 3.0  // s

static double
seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// The finder of a folder; a new reference. NULL, perhaps with an exception: there is none, or it is of another kind.
static PyObject *
file_finder(PyObject *finder)
{
    PyObject *external =
        PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib_external");  // borrowed
    PyObject *type = external != NULL ? PyObject_GetAttrString(external, "FileFinder") : NULL;
    bool is = finder != NULL && Py_IS_TYPE(finder, (PyTypeObject *)type);
    Py_XDECREF(type);
    return is ? Py_NewRef(finder) : NULL;
}

// When the folder was changed that it has read; -1: it has read none.
static double
time_of_change(PyObject *finder)
{
    PyObject *changed = PyObject_GetAttrString(finder, "_path_mtime");
    double when = changed != NULL ? PyFloat_AsDouble(changed) : -1;
    Py_XDECREF(changed);
    return when;
}

// Borrowed; NULL: there is none.
static PyObject *
first_folder(void)
{
    PyObject *path = PySys_GetObject("path");  // borrowed
    return path != NULL && PyList_Check(path) && PyList_GET_SIZE(path) > 0
               ? PyList_GET_ITEM(path, 0)
               : NULL;
}

// Whether an import has looked into it.
static bool
has_read_first_folder(void)
{
    PyObject *folder = first_folder(), *finders = PySys_GetObject("path_importer_cache");
    PyObject *cached =
        folder != NULL && PyUnicode_Check(folder) && finders != NULL && PyDict_Check(finders)
            ? PyDict_GetItemWithError(finders, folder)  // borrowed
            : NULL;
    PyObject *finder = file_finder(cached);
    bool has = finder != NULL && time_of_change(finder) >= 0;
    Py_XDECREF(finder);
    return has;
}

life_needs
subi_needs_of_life(void)
{
    PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), SUBI_MODULE_NAME);
    life_needs needs = {.module = module != NULL, .folder = has_read_first_folder()};
    PyErr_Clear();
    return needs;
}

// As an import does that does not find what it searches for.
static void
read_folder(PyObject *finder)
{
    PyObject *found = PyObject_CallMethod(finder, "find_spec", "s", "_");
    if (found != NULL && seconds_now() - time_of_change(finder) < SURELY_OTHER_TIME) {
        Py_XDECREF(PyObject_CallMethod(finder, "invalidate_caches", NULL));
    }
    Py_XDECREF(found);
}

static void
read_first_folder(void)
{
    PyObject *folder = first_folder();
    PyObject *external =
        PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib_external");  // borrowed
    PyObject *all = external != NULL ? PyObject_GetAttrString(external, "PathFinder") : NULL;
    PyObject *any = all != NULL && folder != NULL
                        ? PyObject_CallMethod(all, "_path_importer_cache", "O", folder)
                        : NULL;
    PyObject *finder = file_finder(any);
    if (finder != NULL) {
        read_folder(finder);
    }
    Py_XDECREF(finder);
    Py_XDECREF(any);
    Py_XDECREF(all);
}

void
subi_prepare(native *n, life_needs needs)
{
    n->module = needs.module ? subi_state_make_ahead() : NULL;
    n->prepared =
        n->inheritance.tag != SUBI_TAG_NONE && subi_inheritance_apply(&n->inheritance) == 0;
    if (n->prepared && needs.folder) {
        read_first_folder();
    }
    PyErr_Clear();
}
