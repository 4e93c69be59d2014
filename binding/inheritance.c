// SPDX-License-Identifier: MIT
#include "inheritance.h"

#include "codec/codec.h"
#include "warning_filters.h"

// Items of the message.
enum { SYS_PATH, SYS_ARGV, WARNING_FILTERS, INHERITANCE_SIZE };

// An exact str for an entry of a list of sys. NULL without an exception: the entry is left out.
typedef PyObject *(*text_of)(PyObject *entry);

static PyObject *
text_of_path(PyObject *entry)
{
    return PyUnicode_CheckExact(entry) ? Py_NewRef(entry) : NULL;
}

// The positions of arguments count, so what is no str becomes one: a path, or what str() says.
static PyObject *
text_of_argument(PyObject *entry)
{
    PyObject *text = NULL, *path = NULL;
    if (PyUnicode_Check(entry)) {
        return PyUnicode_FromObject(entry);
    }
    path = PyOS_FSPath(entry);
    PyErr_Clear();
    if (path != NULL && PyBytes_Check(path)) {
        text = PyUnicode_DecodeFSDefaultAndSize(PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path));
    }
    else {
        PyObject *str = PyObject_Str(path != NULL ? path : entry);
        text = str != NULL ? PyUnicode_FromObject(str) : NULL;
        Py_XDECREF(str);
    }
    Py_XDECREF(path);
    if (text == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
    }
    return text;
}

// The texts of a list of sys, as a tuple; None when it is no list. NULL with an exception set.
static PyObject *
texts_of_list(const char *name, text_of text)
{
    PyObject *list = PySys_GetObject(name);  // borrowed
    if (list == NULL || !PyList_Check(list)) {
        return Py_NewRef(Py_None);
    }
    PyObject *kept = PyList_New(0);
    PyObject *entries = PyList_AsTuple(list);  // str() of one may change the list
    int r = kept != NULL && entries != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyTuple_GET_SIZE(entries); i++) {
        PyObject *entry = text(PyTuple_GET_ITEM(entries, i));
        r = entry != NULL ? PyList_Append(kept, entry) : PyErr_Occurred() ? -1 : 0;
        Py_XDECREF(entry);
    }
    PyObject *tuple = r == 0 ? PyList_AsTuple(kept) : NULL;
    Py_XDECREF(entries);
    Py_XDECREF(kept);
    return tuple;
}

int
subi_inheritance_pack(module_state *state, subi_message *m, bool *is_whole)
{
    PyObject *path = texts_of_list("path", text_of_path);
    PyObject *argv = path != NULL ? texts_of_list("argv", text_of_argument) : NULL;
    PyObject *filters = argv != NULL ? subi_warning_filters_describe() : NULL;
    PyObject *items = filters != NULL ? PyTuple_Pack(INHERITANCE_SIZE, path, argv, filters) : NULL;
    int r = items != NULL ? subi_encode(state, items, m) : -1;
    *is_whole = path != Py_None && argv != Py_None && filters != Py_None;
    Py_XDECREF(items);
    Py_XDECREF(filters);
    Py_XDECREF(argv);
    Py_XDECREF(path);
    return r;
}

static int
set_list(const char *name, PyObject *texts)
{
    if (texts == Py_None) {
        return 0;
    }
    PyObject *list = PySequence_List(texts);
    int r = list != NULL ? PySys_SetObject(name, list) : -1;
    Py_XDECREF(list);
    return r;
}

int
subi_inheritance_apply(const subi_message *m)
{
    PyObject *items = subi_decode(NULL, m);  // str, int and None need no state
    if (items == NULL) {
        return -1;
    }
    int r = set_list("path", PyTuple_GET_ITEM(items, SYS_PATH));
    if (r == 0) {
        r = set_list("argv", PyTuple_GET_ITEM(items, SYS_ARGV));
    }
    if (r == 0) {
        r = subi_warning_filters_set(PyTuple_GET_ITEM(items, WARNING_FILTERS));
    }
    Py_DECREF(items);
    return r;
}

// What consists of str, int, None and tuples is bytes, and nothing else.
static bool
is_plain(const subi_message *m)
{
    return m->tag == SUBI_TAG_BLOCK && subi_block_segment_count(m->u.block) == 0;
}

bool
subi_inheritance_equal(const subi_message *a, const subi_message *b)
{
    if (!is_plain(a) || !is_plain(b)) {
        return false;
    }
    size_t size = subi_block_size(a->u.block);
    return size <= CODEC_COMPARABLE && size == subi_block_size(b->u.block) &&
           memcmp(subi_block_bytes(a->u.block), subi_block_bytes(b->u.block), size) == 0;
}

subi_message
subi_inheritance_share(const subi_message *m)
{
    if (!is_plain(m)) {
        return subi_message_none();
    }
    subi_block_hold(m->u.block);
    return *m;
}
