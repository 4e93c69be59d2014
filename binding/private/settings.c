// SPDX-License-Identifier: MIT
#define Py_BUILD_CORE_MODULE
#include "settings.h"

#include <stdlib.h>
#include <wchar.h>

#include "internal/pycore_pystate.h"

static const char *const text_names[TEXT_COUNT] = {
    "executable",       "_base_executable", "base_prefix",
    "base_exec_prefix", "platlibdir",       "pycache_prefix",
};

static const char *const flag_names[FLAG_COUNT] = {
    "optimize",
    "dont_write_bytecode",
    "no_user_site",
    "no_site",
    "ignore_environment",
    "verbose",
    "bytes_warning",
    "isolated",
    "dev_mode",
    "utf8_mode",
    "warn_default_encoding",
    "safe_path",
    "int_max_str_digits",
};

// A malloc'd copy of a str; NULL, with no exception, for what is none.
static wchar_t *
copy_text(PyObject *obj)
{
    if (obj == NULL || !PyUnicode_Check(obj)) {
        return NULL;
    }
    wchar_t *text = PyUnicode_AsWideCharString(obj, NULL);
    wchar_t *copy = text != NULL ? wcsdup(text) : NULL;
    PyMem_Free(text);
    PyErr_Clear();  // null characters inside
    return copy;
}

static int
add_text(text_list *l, PyObject *obj)
{
    wchar_t *text = copy_text(obj);
    wchar_t **moved = text != NULL ? realloc(l->items, (l->count + 1) * sizeof(*moved)) : NULL;
    if (moved == NULL) {
        free(text);
        return text == NULL ? 0 : (PyErr_NoMemory(), -1);
    }
    l->items = moved;
    l->items[l->count++] = text;
    return 0;
}

// The strings in a list of sys.
static int
read_list(text_list *l, const char *name)
{
    PyObject *list = PySys_GetObject(name);  // borrowed
    PyObject *tuple = list != NULL && PyList_Check(list) ? PyList_AsTuple(list) : PyTuple_New(0);
    int r = tuple != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyTuple_GET_SIZE(tuple); i++) {
        r = add_text(l, PyTuple_GET_ITEM(tuple, i));
    }
    Py_XDECREF(tuple);
    return r;
}

// sys._xoptions: {"name": True or "value"}
static int
read_xoptions(text_list *l)
{
    PyObject *options = PySys_GetXOptions();  // borrowed
    PyObject *items = options != NULL ? PyDict_Items(options) : NULL;
    int r = items != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(items); i++) {
        PyObject *name = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 0);
        PyObject *value = PyTuple_GET_ITEM(PyList_GET_ITEM(items, i), 1);
        PyObject *text =
            value == Py_True ? PyObject_Str(name) : PyUnicode_FromFormat("%S=%S", name, value);
        r = text != NULL ? add_text(l, text) : -1;
        Py_XDECREF(text);
    }
    Py_XDECREF(items);
    return r;
}

// 0 for what there is not.
static int
read_flag(const char *name)
{
    PyObject *flags = PySys_GetObject("flags");  // borrowed
    PyObject *value = flags != NULL ? PyObject_GetAttrString(flags, name) : NULL;
    long n = value != NULL ? PyLong_AsLong(value) : 0;
    Py_XDECREF(value);
    PyErr_Clear();
    return (int)n;
}

int
subi_settings_init(settings *s)
{
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        s->texts[i] = copy_text(PySys_GetObject(text_names[i]));
    }
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        s->flags[i] = flag_names[i] != NULL ? read_flag(flag_names[i]) : 0;
    }
    s->flags[FLAG_UNBUFFERED] = !_Py_GetConfig()->buffered_stdio;
    return read_list(&s->argv, "argv") < 0 || read_list(&s->orig_argv, "orig_argv") < 0 ||
                   read_list(&s->warnoptions, "warnoptions") < 0 || read_xoptions(&s->xoptions) < 0
               ? -1
               : 0;
}

static void
free_list(text_list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        free(l->items[i]);
    }
    free(l->items);
}

void
subi_settings_fini(settings *s)
{
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        free(s->texts[i]);
    }
    free_list(&s->argv);
    free_list(&s->orig_argv);
    free_list(&s->warnoptions);
    free_list(&s->xoptions);
}
