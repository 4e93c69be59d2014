// SPDX-License-Identifier: MIT
#include "prepare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "inheritance.h"
#include "state_making.h"

// A folder that changes again within the resolution of its time of change would be taken for unchanged, so what is
// read right after a change does not count. File systems have 2 s at most.
#define SURELY_OTHER_TIME 3.0  // s

static bool
is_long_ago(double when)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - when >= SURELY_OTHER_TIME;
}

static bool
is_file_finder(PyObject *finder)
{
    PyObject *external =
        PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib_external");  // borrowed
    PyObject *type = external != NULL ? PyObject_GetAttrString(external, "FileFinder") : NULL;
    bool is = type != NULL && Py_IS_TYPE(finder, (PyTypeObject *)type);
    Py_XDECREF(type);
    PyErr_Clear();
    return is;
}

// When the folder was changed that it has read; -1: it has read none.
static double
time_of_change(PyObject *finder)
{
    PyObject *changed = PyObject_GetAttrString(finder, "_path_mtime");
    double when = changed != NULL ? PyFloat_AsDouble(changed) : -1;
    Py_XDECREF(changed);
    PyErr_Clear();
    return when;
}

// Whether the working directory does not matter.
static bool
is_absolute(PyObject *folder)
{
    return PyUnicode_CheckExact(folder) && PyUnicode_GET_LENGTH(folder) > 0 &&
           PyUnicode_READ_CHAR(folder, 0) == '/';
}

// The collector must not know of what is noted: no object of the life may be left but these.
static void
note_folders(life_needs *needs, PyObject *finders)
{
    PyObject *folder, *finder;
    Py_ssize_t pos = 0;
    while (needs->count < LIFE_FOLDERS_MAX && PyDict_Next(finders, &pos, &folder, &finder)) {
        if (is_absolute(folder) && is_file_finder(finder) && time_of_change(finder) >= 0) {
            needs->folders[needs->count++] = Py_NewRef(folder);
        }
    }
}

life_needs
subi_needs_of_life(void)
{
    PyObject *module = PyDict_GetItemString(PyImport_GetModuleDict(), SUBI_MODULE_NAME);
    PyObject *finders = PySys_GetObject("path_importer_cache");  // borrowed
    PyObject *copy = finders != NULL && PyDict_CheckExact(finders) ? PyDict_Copy(finders) : NULL;
    life_needs needs = {.module = module != NULL};
    if (copy != NULL) {
        note_folders(&needs, copy);
    }
    Py_XDECREF(copy);
    PyErr_Clear();
    return needs;
}

void
subi_life_needs_fini(life_needs *needs)
{
    while (needs->count > 0) {
        Py_DECREF(needs->folders[--needs->count]);
    }
}

// Whether it is there, can be read, and was not changed just now.
static bool
is_at_rest(PyObject *folder)
{
    struct stat s;
    PyObject *name = PyUnicode_EncodeFSDefault(folder);
    bool there = name != NULL && stat(PyBytes_AS_STRING(name), &s) == 0 && S_ISDIR(s.st_mode) &&
                 faccessat(AT_FDCWD, PyBytes_AS_STRING(name), R_OK | X_OK, AT_EACCESS) == 0;
    Py_XDECREF(name);
    PyErr_Clear();
    return there && is_long_ago((double)s.st_mtim.tv_sec + (double)s.st_mtim.tv_nsec / 1e9);
}

// As an import does that does not find there what it searches for; but that there is no finder is not remembered.
static void
read_folder(PyObject *folder)
{
    PyObject *external =
        PyDict_GetItemString(PyImport_GetModuleDict(), "_frozen_importlib_external");  // borrowed
    PyObject *all = external != NULL ? PyObject_GetAttrString(external, "PathFinder") : NULL;
    PyObject *finder =
        all != NULL ? PyObject_CallMethod(all, "_path_importer_cache", "O", folder) : NULL;
    PyObject *found = finder != NULL && is_file_finder(finder)
                          ? PyObject_CallMethod(finder, "find_spec", "s", "_")
                          : NULL;
    if (found == NULL || !is_long_ago(time_of_change(finder))) {
        PyErr_Clear();
        PyObject *finders = PySys_GetObject("path_importer_cache");  // borrowed
        if (finders != NULL && PyDict_Check(finders)) {
            PyDict_DelItem(finders, folder);
        }
    }
    Py_XDECREF(found);
    Py_XDECREF(finder);
    Py_XDECREF(all);
    PyErr_Clear();
}

void
subi_prepare(native *n, const life_needs *needs)
{
    n->module = needs->module ? subi_state_make_ahead() : NULL;
    n->prepared =
        n->inheritance.tag != SUBI_TAG_NONE && subi_inheritance_apply(&n->inheritance) == 0;
    PyErr_Clear();
    for (size_t k = 0; k < needs->count; k++) {
        if (is_at_rest(needs->folders[k])) {
            read_folder(needs->folders[k]);
        }
    }
}
