// SPDX-License-Identifier: MIT
#include "function.h"

#include <marshal.h>

// ---- what can be imported -----------------------------------------------------------------------

// The attribute that a dotted name leads to; NULL with an exception.
static PyObject *
find(PyObject *module, PyObject *qualname)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(qualname), begin = 0;
    PyObject *found = Py_NewRef(module);
    while (found != NULL && begin <= length) {
        Py_ssize_t end = PyUnicode_FindChar(qualname, '.', begin, length, 1);
        end = end < 0 ? length : end;
        PyObject *name = PyUnicode_Substring(qualname, begin, end);
        Py_XSETREF(found, name != NULL ? PyObject_GetAttr(found, name) : NULL);
        Py_XDECREF(name);
        begin = end + 1;
    }
    return found;
}

// An exact str, or NULL with no exception.
static PyObject *
text_attribute(PyObject *obj, const char *name)
{
    PyObject *text = PyObject_GetAttrString(obj, name);
    if (text != NULL && !PyUnicode_CheckExact(text)) {
        Py_CLEAR(text);
    }
    PyErr_Clear();
    return text;
}

// What pickle would find by its name. Methods of classes and such are left to it.
static bool
may_be_imported(PyObject *obj)
{
    return PyFunction_Check(obj) || Py_IS_TYPE(obj, &PyType_Type) ||
           (Py_IS_TYPE(obj, &PyCFunction_Type) &&
            (PyCFunction_GET_SELF(obj) == NULL || PyModule_Check(PyCFunction_GET_SELF(obj))));
}

// Whether the module has obj under that name. Each interpreter has a __main__ of its own.
static bool
is_found(PyObject *obj, PyObject *module_name, PyObject *qualname)
{
    if (PyUnicode_CompareWithASCIIString(module_name, "__main__") == 0) {
        return false;
    }
    PyObject *module = PyImport_GetModule(module_name);
    PyObject *found = module != NULL ? find(module, qualname) : NULL;
    bool is_it = found == obj;
    PyErr_Clear();
    Py_XDECREF(found);
    Py_XDECREF(module);
    return is_it;
}

static PyObject *
describe_import(PyObject *obj)
{
    PyObject *module = text_attribute(obj, "__module__");
    PyObject *qualname = module != NULL ? text_attribute(obj, "__qualname__") : NULL;
    PyObject *description = NULL;
    if (qualname != NULL && is_found(obj, module, qualname)) {
        description = PyTuple_Pack(2, module, qualname);
    }
    Py_XDECREF(module);
    Py_XDECREF(qualname);
    return description;
}

// ---- what is made of its code -------------------------------------------------------------------

static bool
is_plain(PyObject *value)
{
    return value == Py_None || PyBool_Check(value) || PyLong_CheckExact(value) ||
           PyFloat_CheckExact(value) || PyComplex_CheckExact(value) ||
           PyUnicode_CheckExact(value) || PyBytes_CheckExact(value);
}

static bool
are_plain_defaults(PyObject *defaults)
{
    Py_ssize_t n = defaults != NULL ? PyTuple_GET_SIZE(defaults) : 0;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!is_plain(PyTuple_GET_ITEM(defaults, i))) {
            return false;
        }
    }
    return true;
}

static bool
are_plain_keyword_defaults(PyObject *defaults)
{
    PyObject *name, *value;
    Py_ssize_t position = 0;
    while (defaults != NULL && PyDict_Next(defaults, &position, &name, &value)) {
        if (!PyUnicode_CheckExact(name) || !is_plain(value)) {
            return false;
        }
    }
    return true;
}

// 1: no name that the code uses, or code in it, is a variable of `globals`. The names of attributes are
// among them, so 0 may be wrong, and 1 is not. -1: an exception.
static int
needs_no_globals(PyObject *code, PyObject *globals)
{
    PyObject *names = PyObject_GetAttrString(code, "co_names");
    PyObject *constants = PyObject_GetAttrString(code, "co_consts");
    int answer = names != NULL && constants != NULL ? 1 : -1;
    for (Py_ssize_t i = 0; answer == 1 && i < PyTuple_GET_SIZE(names); i++) {
        int has = PyDict_Contains(globals, PyTuple_GET_ITEM(names, i));
        answer = has < 0 ? -1 : !has;
    }
    for (Py_ssize_t i = 0; answer == 1 && i < PyTuple_GET_SIZE(constants); i++) {
        PyObject *constant = PyTuple_GET_ITEM(constants, i);
        answer = PyCode_Check(constant) ? needs_no_globals(constant, globals) : 1;
    }
    Py_XDECREF(names);
    Py_XDECREF(constants);
    return answer;
}

static bool
has_attributes(PyObject *function)
{
    PyObject *attributes = ((PyFunctionObject *)function)->func_dict;
    return attributes != NULL && PyDict_GET_SIZE(attributes) > 0;
}

static PyObject *
marshalled(PyObject *code)
{
    return PyMarshal_WriteObjectToString(code, Py_MARSHAL_VERSION);
}

static PyObject *
describe_code_of(PyObject *function)
{
    PyFunctionObject *f = (PyFunctionObject *)function;
    PyObject *code = marshalled(PyFunction_GET_CODE(function));
    PyObject *description = NULL;
    if (code != NULL) {
        PyObject *defaults = f->func_defaults != NULL ? f->func_defaults : Py_None;
        PyObject *keyword_defaults = f->func_kwdefaults != NULL ? f->func_kwdefaults : Py_None;
        description =
            PyTuple_Pack(5, code, f->func_name, f->func_qualname, defaults, keyword_defaults);
    }
    Py_XDECREF(code);
    return description;
}

static PyObject *
describe_by_value(PyObject *function)
{
    if (PyFunction_GET_CLOSURE(function) != NULL || has_attributes(function) ||
        !are_plain_defaults(PyFunction_GET_DEFAULTS(function)) ||
        !are_plain_keyword_defaults(PyFunction_GET_KW_DEFAULTS(function)) ||
        needs_no_globals(PyFunction_GET_CODE(function), PyFunction_GET_GLOBALS(function)) != 1) {
        return NULL;
    }
    return describe_code_of(function);
}

static PyObject *
describe_code(PyObject *code)
{
    PyObject *bytes = marshalled(code);
    PyObject *description = bytes != NULL ? PyTuple_Pack(1, bytes) : NULL;
    Py_XDECREF(bytes);
    return description;
}

PyObject *
subi_function_describe(PyObject *obj)
{
    PyObject *description = may_be_imported(obj) ? describe_import(obj) : NULL;
    if (description == NULL && !PyErr_Occurred() && PyFunction_Check(obj)) {
        description = describe_by_value(obj);
    }
    if (description == NULL && !PyErr_Occurred() && PyCode_Check(obj)) {
        description = describe_code(obj);
    }
    return description;
}

// ---- scripts ----------------------------------------------------------------------------------

PyObject *
subi_script_describe(PyObject *obj)
{
    if (PyCode_Check(obj)) {
        return describe_code(obj);
    }
    if (!PyFunction_Check(obj)) {
        return PyErr_Format(PyExc_TypeError,
                            "code must be str, a code object or a function, got %.100s",
                            Py_TYPE(obj)->tp_name);
    }
    const PyCodeObject *code = (PyCodeObject *)PyFunction_GET_CODE(obj);
    if (code->co_argcount + code->co_kwonlyargcount > 0 ||
        (code->co_flags & (CO_VARARGS | CO_VARKEYWORDS)) != 0) {
        PyErr_Format(PyExc_TypeError, "%U() has parameters: use call() to pass arguments",
                     ((PyFunctionObject *)obj)->func_qualname);
        return NULL;
    }
    if (PyFunction_GET_CLOSURE(obj) != NULL) {
        PyErr_Format(PyExc_TypeError, "%U() is a closure: use call()",
                     ((PyFunctionObject *)obj)->func_qualname);
        return NULL;
    }
    return describe_code_of(obj);
}

// ---- making them ------------------------------------------------------------------------------

static PyObject *
raise_malformed(void)
{
    PyErr_SetString(PyExc_SystemError, "malformed function from another interpreter");
    return NULL;
}

static PyObject *
import(PyObject *module_name, PyObject *qualname)
{
    if (!PyUnicode_CheckExact(module_name) || !PyUnicode_CheckExact(qualname)) {
        return raise_malformed();
    }
    PyObject *module = PyImport_GetModule(module_name);
    if (module == NULL && !PyErr_Occurred()) {
        PyObject *imported = PyImport_Import(module_name);  // the package, of a module in one
        if (imported != NULL) {
            module = PyImport_GetModule(module_name);
            Py_DECREF(imported);
        }
        if (module == NULL && !PyErr_Occurred()) {
            PyErr_Format(PyExc_ImportError, "module %R is not there after its import", module_name);
        }
    }
    PyObject *found = module != NULL ? find(module, qualname) : NULL;
    Py_XDECREF(module);
    return found;
}

static PyObject *
unmarshalled(PyObject *bytes)
{
    if (!PyBytes_CheckExact(bytes)) {
        return raise_malformed();
    }
    PyObject *code =
        PyMarshal_ReadObjectFromString(PyBytes_AS_STRING(bytes), PyBytes_GET_SIZE(bytes));
    if (code != NULL && !PyCode_Check(code)) {
        Py_DECREF(code);
        return raise_malformed();
    }
    return code;
}

static bool
are_parts(PyObject *const *parts)
{
    return PyUnicode_CheckExact(parts[1]) && PyUnicode_CheckExact(parts[2]) &&
           (parts[3] == Py_None || PyTuple_CheckExact(parts[3])) &&
           (parts[4] == Py_None || PyDict_CheckExact(parts[4]));
}

static PyObject *
make_function(PyObject *const *parts)
{
    if (!are_parts(parts)) {
        return raise_malformed();
    }
    PyObject *main = PyImport_AddModule("__main__");  // borrowed
    PyObject *code = main != NULL ? unmarshalled(parts[0]) : NULL;
    PyObject *function = code != NULL ? PyFunction_New(code, PyModule_GetDict(main)) : NULL;
    Py_XDECREF(code);
    if (function != NULL && (PyObject_SetAttrString(function, "__name__", parts[1]) < 0 ||
                             PyObject_SetAttrString(function, "__qualname__", parts[2]) < 0 ||
                             PyFunction_SetDefaults(function, parts[3]) < 0 ||
                             PyFunction_SetKwDefaults(function, parts[4]) < 0)) {
        Py_CLEAR(function);
    }
    return function;
}

// A tuple that refers to itself might have gaps yet.
static bool
is_complete_tuple(PyObject *obj)
{
    bool complete = PyTuple_CheckExact(obj);
    for (Py_ssize_t i = 0; complete && i < PyTuple_GET_SIZE(obj); i++) {
        complete = PyTuple_GET_ITEM(obj, i) != NULL;
    }
    return complete;
}

PyObject *
subi_function_make(PyObject *description)
{
    PyObject *const *parts =
        is_complete_tuple(description) ? ((PyTupleObject *)description)->ob_item : NULL;
    switch (parts != NULL ? PyTuple_GET_SIZE(description) : 0) {
    case 1:
        return unmarshalled(parts[0]);
    case 2:
        return import(parts[0], parts[1]);
    case 5:
        return make_function(parts);
    default:
        return raise_malformed();
    }
}
