// SPDX-License-Identifier: MIT
#include "renew.h"

#include <stdlib.h>

#include "birth.h"
#include "prepare.h"
#include "thread_state.h"

// ---- what rules a renewal out -----------------------------------------------------------------

// Modules that change what is not looked at.
static const char *const suspects[] = {"_ctypes", "_interpqueues", "_interpchannels", "_testcapi",
                                       "_testinternalcapi"};

// Extension modules of others may have changed the interpreter itself.
static bool
is_foreign_extension(const birth *b, PyObject *module)
{
    PyObject *file = PyDict_GetItemString(PyModule_GetDict(module), "__file__");  // borrowed
    if (file == NULL || !PyUnicode_Check(file) || PyModule_GetDef(module) == &subi_module_def) {
        return false;
    }
    PyObject *suffix = PyUnicode_FromString(".so");
    bool foreign = suffix == NULL ||
                   (PyUnicode_Tailmatch(file, suffix, 0, PY_SSIZE_T_MAX, 1) != 0 &&
                    (b->extension_folder == NULL ||
                     PyUnicode_Tailmatch(file, b->extension_folder, 0, PY_SSIZE_T_MAX, -1) != 1));
    Py_XDECREF(suffix);
    return foreign;
}

static bool
is_suspect(const birth *b, PyObject *module)
{
    PyObject *name = PyDict_GetItemString(PyModule_GetDict(module), "__name__");  // borrowed
    for (size_t k = 0; k < Py_ARRAY_LENGTH(suspects); k++) {
        if (name != NULL && PyUnicode_Check(name) &&
            PyUnicode_CompareWithASCIIString(name, suspects[k]) == 0) {
            return true;
        }
    }
    return is_foreign_extension(b, module);
}

static int
append_module(PyObject *o, void *found)
{
    return PyModule_Check(o) ? subi_append_pointer(Py_NewRef(o), found) : 1;
}

// Looks at all modules, whether sys.modules has them or not.
static bool
has_suspect_modules(const birth *b)
{
    subi_pointers found = {NULL};
    PyUnstable_GC_VisitObjects(append_module, &found);
    bool suspect = found.failed;
    for (size_t i = 0; i < found.count; i++) {
        PyObject *module = found.items[i];
        suspect = suspect || (!subi_known_has(&b->known, module) && is_suspect(b, module));
        Py_DECREF(module);
    }
    free(found.items);
    PyErr_Clear();
    return suspect;
}

// Whether a function without arguments returns something true, or raises.
static bool
tells_true(PyObject *function)
{
    PyObject *r = PyObject_CallNoArgs(function);
    bool is_true = r == NULL || PyObject_IsTrue(r) != 0;
    Py_XDECREF(r);
    PyErr_Clear();
    return is_true;
}

// ---- restoring --------------------------------------------------------------------------------

// All of these: -1 with an exception set, or none if it cannot be restored. What is taken away is
// kept until something is in its place: its finalizers may run any code.

static bool
is_same_dict(PyObject *dict, PyObject *copy)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0, pos_copy = 0;
    PyObject *key_copy, *value_copy;
    if (PyDict_GET_SIZE(dict) != PyDict_GET_SIZE(copy)) {
        return false;
    }
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (!PyDict_Next(copy, &pos_copy, &key_copy, &value_copy) || key != key_copy ||
            value != value_copy) {
            return false;
        }
    }
    return true;
}

static int
restore_dict(PyObject *dict, PyObject *copy)
{
    if (is_same_dict(dict, copy)) {
        return 0;
    }
    PyObject *old = PyDict_Copy(dict);
    if (old == NULL) {
        return -1;
    }
    PyDict_Clear(dict);
    int r = PyDict_Update(dict, copy);
    Py_DECREF(old);
    return r;
}

static bool
is_same_list(PyObject *list, PyObject *copy)
{
    Py_ssize_t size = PyList_GET_SIZE(list), k = 0;
    if (size != PyTuple_GET_SIZE(copy)) {
        return false;
    }
    while (k < size && PyList_GET_ITEM(list, k) == PyTuple_GET_ITEM(copy, k)) {
        k++;
    }
    return k == size;
}

static int
restore_set(PyObject *set, PyObject *copy)
{
    int same = PyObject_RichCompareBool(set, copy, Py_EQ);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    PyObject *old = PyFrozenSet_New(set);
    PyObject *iterator = old != NULL ? PyObject_GetIter(copy) : NULL;
    int r = iterator != NULL ? PySet_Clear(set) : -1;
    PyObject *item;
    while (r == 0 && (item = PyIter_Next(iterator)) != NULL) {
        r = PySet_Add(set, item);
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    Py_XDECREF(old);
    return r;
}

static int
restore_container(PyObject *container, PyObject *copy)
{
    if (PyDict_CheckExact(container)) {
        return restore_dict(container, copy);
    }
    if (PySet_CheckExact(container)) {
        return restore_set(container, copy);
    }
    return is_same_list(container, copy) ? 0 : PyList_SetSlice(container, 0, PY_SSIZE_T_MAX, copy);
}

// sys.modules is one of the containers: what was imported goes.
static int
restore_containers(const birth *b)
{
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(b->containers); i++) {
        r = restore_container(PyList_GET_ITEM(b->containers, i), PyList_GET_ITEM(b->contents, i));
    }
    return r;
}

// Each attribute is set or deleted as by `cls.name = value`, which changes slots, too.
static int
restore_attributes(PyObject *cls, PyObject *dict, PyObject *copy)
{
    PyObject *now = PyDict_Copy(dict);
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    int r = now != NULL ? 0 : -1;
    while (r == 0 && PyDict_Next(now, &pos, &key, &value)) {
        int kept = PyDict_Contains(copy, key);
        r = kept == 0 ? PyType_Type.tp_setattro(cls, key, NULL) : kept < 0 ? -1 : 0;
    }
    pos = 0;
    while (r == 0 && PyDict_Next(copy, &pos, &key, &value)) {
        if (PyDict_GetItemWithError(now, key) != value) {
            r = PyErr_Occurred() ? -1 : PyType_Type.tp_setattro(cls, key, value);
        }
    }
    Py_XDECREF(now);
    return r == 0 && is_same_dict(dict, copy) ? 0 : -1;  // the order counts
}

static int
restore_classes(const birth *b)
{
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(b->classes); i++) {
        PyObject *cls = PyList_GET_ITEM(b->classes, i);
        PyObject *copy = PyList_GET_ITEM(b->attributes, i);
        PyObject *dict = PyType_GetDict((PyTypeObject *)cls);
        if (!is_same_dict(dict, copy)) {
            r = restore_attributes(cls, dict, copy);
        }
        Py_DECREF(dict);
    }
    return r;
}

// Registries and caches that abstract classes have made: they count as not made when empty.
static int
empty_new_sets(const birth *b)
{
    PyObject *sets = subi_birth_abstract_sets(b);
    int r = sets != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(sets); i++) {
        PyObject *set = PyList_GET_ITEM(sets, i);
        r = subi_known_has(&b->known, set) ? 0 : PySet_Clear(set);
    }
    Py_XDECREF(sets);
    return r;
}

static int
restore_setting(const birth_setting *s)
{
    PyObject *now = PyObject_CallNoArgs(s->get);
    int same = now != NULL ? PyObject_RichCompareBool(now, s->value, Py_EQ) : -1;
    Py_XDECREF(now);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    PyObject *r = PyTuple_CheckExact(s->value) ? PyObject_CallObject(s->set, s->value)
                                               : PyObject_CallOneArg(s->set, s->value);
    Py_XDECREF(r);
    return r != NULL ? 0 : -1;
}

static int
restore_settings(const birth *b)
{
    int r = 0;
    PyGC_Enable();
    for (const birth_setting *s = b->settings; r == 0 && s->get != NULL; s++) {
        r = restore_setting(s);
    }
    PyObject *none = r == 0 ? PyObject_CallNoArgs(b->unfreeze) : NULL;
    Py_XDECREF(none);
    return none != NULL ? 0 : -1;
}

// After the collection: until then a module that is going may look for itself there.
static int
restore_private(const birth *b)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());  // borrowed
    return dict != NULL ? restore_dict(dict, b->private) : -1;
}

// What is in the buffers of sys.stdout and sys.stderr, whatever they are now.
static void
flush_streams(void)
{
    for (const char *const *name = (const char *const[]){"stderr", "stdout", NULL}; *name != NULL;
         name++) {
        PyObject *file = Py_XNewRef(PySys_GetObject(*name));
        PyObject *closed =
            file != NULL && file != Py_None ? PyObject_GetAttrString(file, "closed") : NULL;
        if (closed != NULL && PyObject_IsTrue(closed) == 0) {
            PyObject *r = PyObject_CallMethod(file, "flush", NULL);
            if (r == NULL) {
                PyErr_WriteUnraisable(file);
            }
            Py_XDECREF(r);
        }
        Py_XDECREF(closed);
        Py_XDECREF(file);
        PyErr_Clear();
    }
}

static int
collect_garbage(const birth *b)
{
    PyObject *r = PyObject_CallNoArgs(b->collect);
    Py_XDECREF(r);
    return r != NULL ? 0 : -1;
}

static bool
restore(const birth *b)
{
    // a setting may have changed sys.flags, so the containers come later
    return restore_settings(b) == 0 && subi_traces_remove(&b->traces) &&
           subi_birth_clear_codecs(b) == 0 && restore_containers(b) == 0 && restore_classes(b) == 0;
}

static bool
restore_and_prove(const birth *b)
{
    // once more after the collection, whose finalizers may have changed something again
    bool restored = restore(b) && collect_garbage(b) == 0 && restore_private(b) == 0 &&
                    restore(b) && empty_new_sets(b) == 0 && !tells_true(b->import_lock_held) &&
                    !subi_birth_has_atexit_functions(b) && subi_birth_is_restored(b);
    PyErr_Clear();
    return restored;
}

static bool
is_only_thread_state(const native *n)
{
    PyThreadState *t = PyInterpreterState_ThreadHead(n->interp);
    return t == PyThreadState_Get() && PyThreadState_Next(t) == NULL;
}

// What cannot be undone is not; false.
static bool
make_as_new(native *n)
{
    birth *b = n->birth;
    if (has_suspect_modules(b)) {
        return false;
    }
    flush_streams();
    // a context or a trace function may be left in the thread state, which is not needed any more
    return (restore_and_prove(b) || (subi_thread_state_exchange(n) == 0 && restore_and_prove(b))) &&
           is_only_thread_state(n);
}

bool
subi_renew(native *n)
{
    life_needs needs = subi_needs_of_life();
    Py_CLEAR(n->module);
    bool is_new = make_as_new(n);
    if (is_new) {
        subi_prepare(n, &needs);
    }
    subi_life_needs_fini(&needs);
    if (is_new) {
        PyThreadState *last = PyThreadState_Get();
        subi_thread_state_forget(n);
        PyThreadState_Clear(last);
        PyThreadState_DeleteCurrent();
    }
    return is_new;
}
