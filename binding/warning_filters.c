// SPDX-License-Identifier: MIT
#include "warning_filters.h"

#include <stddef.h>
#include <structmember.h>

// A filter: (action, message, category, module, line number). Its message and module are None, a str
// or a compiled pattern.
enum { ACTION, MESSAGE, CATEGORY, MODULE, LINE, FILTER_SIZE };

// ---- what is looked up later ------------------------------------------------------------------

// The part of a filter that stands for a pattern: its text and flags; or for a class: the name of its
// module and its qualified name.
typedef struct later {
    PyObject_HEAD
    PyObject *first, *second;
} later;

static void
later_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(((later *)self)->first);
    Py_XDECREF(((later *)self)->second);
    type->tp_free(self);
    Py_DECREF(type);
}

static bool
is_later(PyObject *obj)
{
    return Py_TYPE(obj)->tp_dealloc == later_dealloc;
}

// The class with that name in a module that has been imported. NULL, perhaps with an exception: there
// is none.
static PyObject *
find_class(PyObject *module_name, PyObject *qualname)
{
    PyObject *found = PyImport_GetModule(module_name);
    PyObject *dot = found != NULL ? PyUnicode_FromString(".") : NULL;
    PyObject *names = dot != NULL ? PyUnicode_Split(qualname, dot, -1) : NULL;
    if (names == NULL) {
        Py_CLEAR(found);
    }
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(names); i++) {
        Py_SETREF(found, PyObject_GetAttr(found, PyList_GET_ITEM(names, i)));
    }
    if (found != NULL && !PyType_Check(found)) {
        Py_CLEAR(found);
    }
    Py_XDECREF(names);
    Py_XDECREF(dot);
    return found;
}

// As long as the module has not been imported, no class inherits from one of it.
static PyObject *
category_subclasscheck(PyObject *self, PyObject *cls)
{
    PyObject *category = find_class(((later *)self)->first, ((later *)self)->second);
    int r = category != NULL ? PyObject_IsSubclass(cls, category) : 0;
    Py_XDECREF(category);
    if (r < 0) {
        return NULL;
    }
    PyErr_Clear();
    return PyBool_FromLong(r);
}

static PyObject *
category_repr(PyObject *self)
{
    return PyUnicode_FromFormat("<class '%U.%U', if imported>", ((later *)self)->first,
                                ((later *)self)->second);
}

// Module re caches what it has compiled.
static PyObject *
pattern_match(PyObject *self, PyObject *text)
{
    PyObject *re = PyImport_ImportModule("re");
    PyObject *pattern = NULL, *r = NULL;
    if (re != NULL) {
        pattern = PyObject_CallMethod(re, "compile", "OO", ((later *)self)->first,
                                      ((later *)self)->second);
    }
    if (pattern != NULL) {
        r = PyObject_CallMethod(pattern, "match", "O", text);
    }
    Py_XDECREF(pattern);
    Py_XDECREF(re);
    return r;
}

static PyObject *
pattern_repr(PyObject *self)
{
    return PyUnicode_FromFormat("re.compile(%R, %R)", ((later *)self)->first,
                                ((later *)self)->second);
}

static PyMethodDef category_methods[] = {
    {"__subclasscheck__", category_subclasscheck, METH_O, NULL},
    {NULL},
};

static PyMethodDef pattern_methods[] = {
    {"match", pattern_match, METH_O, NULL},
    {NULL},
};

static PyMemberDef pattern_members[] = {
    {"pattern", T_OBJECT, offsetof(later, first), READONLY, NULL},
    {"flags", T_OBJECT, offsetof(later, second), READONLY, NULL},
    {NULL},
};

static PyType_Slot category_slots[] = {
    {Py_tp_dealloc, later_dealloc},
    {Py_tp_repr, category_repr},
    {Py_tp_methods, category_methods},
    {0, NULL},
};

static PyType_Slot pattern_slots[] = {
    {Py_tp_dealloc, later_dealloc},
    {Py_tp_repr, pattern_repr},
    {Py_tp_methods, pattern_methods},
    {Py_tp_members, pattern_members},
    {0, NULL},
};

#define LATER_FLAGS                                                                                \
    (Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE)

static PyType_Spec category_spec = {
    .name = "subinterpreters.InheritedCategory",
    .basicsize = sizeof(later),
    .flags = LATER_FLAGS,
    .slots = category_slots,
};

static PyType_Spec pattern_spec = {
    .name = "subinterpreters.InheritedPattern",
    .basicsize = sizeof(later),
    .flags = LATER_FLAGS,
    .slots = pattern_slots,
};

// A type for each: they are few, and nobody has to keep it.
static PyObject *
new_later(PyType_Spec *spec, PyObject *first, PyObject *second)
{
    PyObject *type = PyType_FromSpec(spec);
    later *self = type != NULL ? PyObject_New(later, (PyTypeObject *)type) : NULL;
    Py_XDECREF(type);
    if (self != NULL) {
        self->first = Py_NewRef(first);
        self->second = Py_NewRef(second);
    }
    return (PyObject *)self;
}

// ---- describing -------------------------------------------------------------------------------

// The list that counts now; code may have replaced the one that module _warnings has. A new
// reference; NULL: there is none, perhaps with an exception.
static PyObject *
current_filters(void)
{
    PyObject *name = PyUnicode_FromString("warnings");
    PyObject *module = name != NULL ? PyImport_GetModule(name) : NULL;
    PyObject *filters = NULL;
    Py_XDECREF(name);
    if (module != NULL) {
        // from 3.14 on a context may have its own; in older versions this is not there
        filters = PyObject_CallMethod(module, "_get_filters", NULL);
        if (filters == NULL) {
            PyErr_Clear();
            filters = PyObject_GetAttrString(module, "filters");
        }
        Py_DECREF(module);
    }
    else if (!PyErr_Occurred() && (module = PyImport_ImportModule("_warnings")) != NULL) {
        filters = PyObject_GetAttrString(module, "filters");
        Py_DECREF(module);
    }
    if (filters != NULL && !PyList_Check(filters)) {
        Py_CLEAR(filters);
    }
    return filters;
}

// None, a str, or the tuple (text, flags). NULL, perhaps with an exception: it is something else.
static PyObject *
describe_pattern(PyObject *pattern)
{
    if (pattern == Py_None || PyUnicode_CheckExact(pattern)) {
        return Py_NewRef(pattern);
    }
    PyObject *text = PyObject_GetAttrString(pattern, "pattern");
    PyObject *flags = text != NULL ? PyObject_GetAttrString(pattern, "flags") : NULL;
    PyObject *described = NULL;
    if (flags != NULL && PyUnicode_CheckExact(text) && PyLong_CheckExact(flags)) {
        described = PyTuple_Pack(2, text, flags);
    }
    Py_XDECREF(text);
    Py_XDECREF(flags);
    return described;
}

static bool
is_in_main(PyObject *module_name)
{
    return PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0;
}

// Of one of CPython's own, which nearly all are: to ask for its attributes takes ten times as long.
static PyObject *
describe_builtin(PyTypeObject *category)
{
    PyObject *module = PyUnicode_InternFromString("builtins");
    PyObject *name = module != NULL ? PyUnicode_InternFromString(category->tp_name) : NULL;
    PyObject *described = name != NULL ? PyTuple_Pack(2, module, name) : NULL;
    Py_XDECREF(module);
    Py_XDECREF(name);
    return described;
}

// (module, qualified name) of a class that another interpreter can find. NULL as above.
static PyObject *
describe_category(PyObject *category)
{
    if (is_later(category)) {
        return PyTuple_Pack(2, ((later *)category)->first, ((later *)category)->second);
    }
    if (!PyType_Check(category)) {
        return NULL;
    }
    PyTypeObject *type = (PyTypeObject *)category;
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE) && strchr(type->tp_name, '.') == NULL) {
        return describe_builtin(type);
    }
    PyObject *module = PyObject_GetAttrString(category, "__module__");
    PyObject *name = module != NULL ? PyObject_GetAttrString(category, "__qualname__") : NULL;
    PyObject *described = NULL;
    if (name != NULL && PyUnicode_CheckExact(module) && PyUnicode_CheckExact(name) &&
        !is_in_main(module) && PyUnicode_FindChar(name, '<', 0, PY_SSIZE_T_MAX, 1) == -1) {
        described = PyTuple_Pack(2, module, name);
    }
    Py_XDECREF(module);
    Py_XDECREF(name);
    return described;
}

// NULL as above.
static PyObject *
describe_filter(PyObject *filter)
{
    if (!PyTuple_Check(filter) || PyTuple_GET_SIZE(filter) != FILTER_SIZE ||
        !PyUnicode_CheckExact(PyTuple_GET_ITEM(filter, ACTION)) ||
        !PyLong_CheckExact(PyTuple_GET_ITEM(filter, LINE))) {
        return NULL;
    }
    PyObject *described = NULL;
    PyObject *message = describe_pattern(PyTuple_GET_ITEM(filter, MESSAGE));
    PyObject *category =
        message != NULL ? describe_category(PyTuple_GET_ITEM(filter, CATEGORY)) : NULL;
    PyObject *module = category != NULL ? describe_pattern(PyTuple_GET_ITEM(filter, MODULE)) : NULL;
    if (module != NULL) {
        described = PyTuple_Pack(FILTER_SIZE, PyTuple_GET_ITEM(filter, ACTION), message, category,
                                 module, PyTuple_GET_ITEM(filter, LINE));
    }
    Py_XDECREF(message);
    Py_XDECREF(category);
    Py_XDECREF(module);
    return described;
}

// Whether the exception that is set, if one is, says no more than that something has another form.
static bool
is_harmless(void)
{
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_Exception) &&
        !PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_Clear();
    }
    return !PyErr_Occurred();
}

PyObject *
subi_warning_filters_describe(void)
{
    PyObject *filters = current_filters();
    PyObject *snapshot = filters != NULL ? PyList_AsTuple(filters)
                         : is_harmless() ? PyTuple_New(0)
                                         : NULL;
    PyObject *kept = snapshot != NULL ? PyList_New(0) : NULL;
    int r = kept != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyTuple_GET_SIZE(snapshot); i++) {
        PyObject *described = describe_filter(PyTuple_GET_ITEM(snapshot, i));
        r = described != NULL ? PyList_Append(kept, described) : is_harmless() ? 0 : -1;
        Py_XDECREF(described);
    }
    PyObject *description = r == 0 ? PyList_AsTuple(kept) : NULL;
    Py_XDECREF(kept);
    Py_XDECREF(snapshot);
    Py_XDECREF(filters);
    return description;
}

// ---- setting ----------------------------------------------------------------------------------

static PyObject *
make_pattern(PyObject *described)
{
    return PyTuple_Check(described) ? new_later(&pattern_spec, PyTuple_GET_ITEM(described, 0),
                                                PyTuple_GET_ITEM(described, 1))
                                    : Py_NewRef(described);
}

static PyObject *
make_category(PyObject *described)
{
    PyObject *module = PyTuple_GET_ITEM(described, 0), *name = PyTuple_GET_ITEM(described, 1);
    PyObject *category = find_class(module, name);
    if (category == NULL && is_harmless()) {
        category = new_later(&category_spec, module, name);
    }
    return category;
}

static PyObject *
make_filter(PyObject *described)
{
    PyObject *filter = NULL;
    PyObject *message = make_pattern(PyTuple_GET_ITEM(described, MESSAGE));
    PyObject *category =
        message != NULL ? make_category(PyTuple_GET_ITEM(described, CATEGORY)) : NULL;
    PyObject *module = category != NULL ? make_pattern(PyTuple_GET_ITEM(described, MODULE)) : NULL;
    if (module != NULL) {
        filter = PyTuple_Pack(FILTER_SIZE, PyTuple_GET_ITEM(described, ACTION), message, category,
                              module, PyTuple_GET_ITEM(described, LINE));
    }
    Py_XDECREF(message);
    Py_XDECREF(category);
    Py_XDECREF(module);
    return filter;
}

static int
are_current(PyObject *description)
{
    PyObject *now = subi_warning_filters_describe();
    int same = now != NULL ? PyObject_RichCompareBool(now, description, Py_EQ) : -1;
    Py_XDECREF(now);
    return same;
}

// Module warnings puts the options of the command line before other filters when it is imported.
static int
process_options(void)
{
    PyObject *options = PySys_GetObject("warnoptions");  // borrowed
    if (options == NULL || !PyList_Check(options) || PyList_GET_SIZE(options) == 0) {
        return 0;
    }
    PyObject *module = PyImport_ImportModule("warnings");
    Py_XDECREF(module);
    return module != NULL ? 0 : -1;
}

// What has been decided about a warning before counts no more.
static int
tell_that_filters_changed(void)
{
    PyObject *module = PyImport_ImportModule("_warnings");
    PyObject *done = NULL;
#if PY_VERSION_HEX < 0x030E0000
    done = module != NULL ? PyObject_CallMethod(module, "_filters_mutated", NULL) : NULL;
#else
    PyObject *locked = module != NULL ? PyObject_CallMethod(module, "_acquire_lock", NULL) : NULL;
    if (locked != NULL) {
        done = PyObject_CallMethod(module, "_filters_mutated_lock_held", NULL);
        Py_SETREF(locked, PyObject_CallMethod(module, "_release_lock", NULL));
    }
    Py_XDECREF(locked);
#endif
    Py_XDECREF(done);
    Py_XDECREF(module);
    return done != NULL ? 0 : -1;
}

static int
replace(PyObject *description)
{
    PyObject *filters = current_filters();
    PyObject *made = PyTuple_New(PyTuple_GET_SIZE(description));
    int r = filters != NULL && made != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyTuple_GET_SIZE(description); i++) {
        PyObject *filter = make_filter(PyTuple_GET_ITEM(description, i));
        PyTuple_SET_ITEM(made, i, filter);
        r = filter != NULL ? 0 : -1;
    }
    if (r == 0) {
        r = PyList_SetSlice(filters, 0, PY_SSIZE_T_MAX, made);
    }
    Py_XDECREF(made);
    Py_XDECREF(filters);
    return r == 0 ? tell_that_filters_changed() : -1;
}

int
subi_warning_filters_set(PyObject *description)
{
    int same = are_current(description);
    if (same == 0) {
        same = process_options() == 0 ? are_current(description) : -1;
    }
    return same == 0 ? replace(description) : same < 0 ? -1 : 0;
}
