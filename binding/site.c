// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "site.h"

#include "internal/pycore_interp.h"

#define META_PATH                                                                                  \
    3  // entries that CPython has made: for built-in and for frozen modules, and for sys.path
#define PATH_HOOKS 2  // for archives and for folders

static bool
is_imported(const char *module)
{
    return PyDict_GetItemString(PyImport_GetModuleDict(), module) != NULL;
}

static bool
has_size(const char *list_of_sys, Py_ssize_t size)
{
    PyObject *list = PySys_GetObject(list_of_sys);  // borrowed
    return list != NULL && PyList_Check(list) && PyList_GET_SIZE(list) == size;
}

bool
subi_site_is_plain(void)
{
    PyObject *flags = PySys_GetObject("flags");  // borrowed
    PyObject *no_site = flags != NULL ? PyObject_GetAttrString(flags, "no_site") : NULL;
    bool has_run = no_site != NULL && PyObject_IsTrue(no_site) == 0;
    Py_XDECREF(no_site);
    PyErr_Clear();
    return has_run && has_size("meta_path", META_PATH) && has_size("path_hooks", PATH_HOOKS) &&
           !is_imported("sitecustomize") && !is_imported("usercustomize");
}

// The place in sys.flags that says whether there is no site.
static Py_ssize_t
place_of_no_site(PyObject *flags)
{
    PyObject *names = PyObject_GetAttrString((PyObject *)Py_TYPE(flags), "__match_args__");
    Py_ssize_t place = -1;
    if (names != NULL && PyTuple_Check(names)) {
        PyObject *name = PyUnicode_FromString("no_site");
        place = name != NULL ? PySequence_Index(names, name) : -1;
        Py_XDECREF(name);
    }
    Py_XDECREF(names);
    return place;
}

// sys.flags has just been made, and nobody has looked at it: so it may still be changed.
static int
set_flag(void)
{
    PyObject *flags = PySys_GetObject("flags");  // borrowed
    Py_ssize_t place = flags != NULL ? place_of_no_site(flags) : -1;
    PyObject *zero = place >= 0 ? PyLong_FromLong(0) : NULL;
    if (zero == NULL) {
        return -1;
    }
    PyObject *one = PyStructSequence_GetItem(flags, place);  // the tuple's reference, now ours
    PyStructSequence_SetItem(flags, place, zero);
    Py_DECREF(one);
    return 0;
}

// Built-in names that programs use, though they are not meant to.
static const char add_names[] =
    "import builtins, _sitebuiltins\n"
    "builtins.exit = _sitebuiltins.Quitter('exit', 'Ctrl-D (i.e. EOF)')\n"
    "builtins.quit = _sitebuiltins.Quitter('quit', 'Ctrl-D (i.e. EOF)')\n"
    "builtins.help = _sitebuiltins._Helper()\n";

int
subi_site_stand_in(void)
{
    PyObject *names = PyDict_New();
    PyObject *done = names != NULL && set_flag() == 0
                         ? PyRun_StringFlags(add_names, Py_file_input, names, names, NULL)
                         : NULL;
    Py_XDECREF(done);
    Py_XDECREF(names);
    return done != NULL ? 0 : -1;
}

void
subi_site_set(PyInterpreterState *interp, bool runs)
{
    interp->config.site_import = runs;
}
