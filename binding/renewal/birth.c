// SPDX-License-Identifier: MIT
#include "birth.h"

#include <stdlib.h>

extern char **environ;

static bool
is_same_attribute(const birth_probe *p)
{
    PyObject *now = PyObject_GetAttrString(p->object, p->name);
    int same = now != NULL ? PyObject_RichCompareBool(now, p->value, Py_EQ) : 0;
    Py_XDECREF(now);
    PyErr_Clear();
    return same == 1;
}

static uint64_t
sum_unread(const birth *b)
{
    uint64_t sum = 1;
    for (int k = 0; k < BIRTH_HELD_STREAMS; k++) {
        const PyObject *o = b->unread[k];
        sum = subi_sum_bytes(sum, o + 1, (size_t)Py_TYPE(o)->tp_basicsize - sizeof(PyObject));
    }
    return sum;
}

bool
subi_birth_is_restored(const birth *b)
{
    for (const birth_probe *p = b->probes; p->object != NULL; p++) {
        if (!is_same_attribute(p)) {
            return false;
        }
    }
    if (sum_unread(b) != b->unread_sum) {
        return false;
    }
    return subi_known_unchanged(&b->known);
}

// ---- noting -----------------------------------------------------------------------------------

// All of these: -1 with an exception set, or none for want of memory.

static PyObject *
import_attribute(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *value = module != NULL ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return value;
}

// What code can change without changing an object.
static const struct {
    const char *module, *get, *set;
} settings[] = {
    {"sys", "getrecursionlimit", "setrecursionlimit"},
    {"sys", "getswitchinterval", "setswitchinterval"},
    {"sys", "get_int_max_str_digits", "set_int_max_str_digits"},
    {"sys", "getdlopenflags", "setdlopenflags"},
    {"gc", "get_threshold", "set_threshold"},
    {"gc", "get_debug", "set_debug"},
    {"_thread", "stack_size", "stack_size"},
#if PY_VERSION_HEX >= 0x030F0000
    {"sys", "get_lazy_imports", "set_lazy_imports"},
    {"sys", "get_lazy_imports_filter", "set_lazy_imports_filter"},
#endif
};

static_assert(Py_ARRAY_LENGTH(settings) < BIRTH_SETTINGS_MAX, "the last one is empty");

static int
note_settings(birth *b)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < Py_ARRAY_LENGTH(settings); i++) {
        birth_setting *s = &b->settings[i];
        s->get = import_attribute(settings[i].module, settings[i].get);
        s->set = import_attribute(settings[i].module, settings[i].set);
        s->value = s->get != NULL && s->set != NULL ? PyObject_CallNoArgs(s->get) : NULL;
        r = s->value != NULL ? 0 : -1;
    }
    return r;
}

static int
note_functions(birth *b)
{
    b->collect = import_attribute("gc", "collect");
    b->unfreeze = import_attribute("gc", "unfreeze");
    b->import_lock_held = import_attribute("_imp", "lock_held");
    b->atexit_count = import_attribute("atexit", "_ncallbacks");
    return b->collect != NULL && b->unfreeze != NULL && b->import_lock_held != NULL &&
                   b->atexit_count != NULL
               ? 0
               : -1;
}

static int
note_attributes(birth *b, size_t *next, PyObject *object, const char *const *names)
{
    for (; *names != NULL; names++) {
        birth_probe *p = &b->probes[*next];
        assert(*next + 1 < BIRTH_PROBES_MAX);
        p->value = PyObject_GetAttrString(object, *names);
        if (p->value == NULL) {
            return -1;
        }
        p->name = *names;
        p->object = Py_NewRef(object);
        *next += 1;
    }
    return 0;
}

// Streams have more state than what they refer to.
static int
note_streams(birth *b)
{
    static const char *const output[] = {
        "closed", "line_buffering", "write_through", "_CHUNK_SIZE", "encoding", "errors", NULL};
    static const char *const below[] = {"closed", NULL};
    PyObject *in = PySys_GetObject("stdin");  // borrowed
    b->unread[0] = Py_XNewRef(in);
    b->unread[1] = in != NULL ? PyObject_GetAttrString(in, "buffer") : NULL;
    if (b->unread[1] == NULL) {
        return -1;
    }
    b->unread_sum = sum_unread(b);
    size_t next = 0;
    int r = 0;
    for (const char *const *name = (const char *const[]){"stdout", "stderr", NULL};
         r == 0 && *name != NULL; name++) {
        PyObject *text = PySys_GetObject(*name);  // borrowed; None: its file is closed
        PyObject *buffer = text != NULL ? PyObject_GetAttrString(text, "buffer") : NULL;
        r = buffer == NULL || note_attributes(b, &next, text, output) < 0 ||
                    note_attributes(b, &next, buffer, below) < 0
                ? -1
                : 0;
        Py_XDECREF(buffer);
    }
    return r;
}

// The entry of sys.path with the standard library's extension modules.
static int
note_extension_folder(birth *b)
{
    PyObject *path = PySys_GetObject("path");  // borrowed
    PyObject *name = PyUnicode_FromString("/lib-dynload");
    for (Py_ssize_t i = 0;
         name != NULL && path != NULL && PyList_Check(path) && i < PyList_GET_SIZE(path); i++) {
        PyObject *entry = PyList_GET_ITEM(path, i);
        if (PyUnicode_Check(entry) && PyUnicode_Tailmatch(entry, name, 0, PY_SSIZE_T_MAX, 1) == 1) {
            b->extension_folder = PyUnicode_FromFormat("%U/", entry);
            break;
        }
    }
    Py_XDECREF(name);
    return PyErr_Occurred() ? -1 : 0;
}

// Takes __main__ out of sys.modules: every life gets its own.
static int
note_main(birth *b, PyObject *sys_modules)
{
    PyObject *main = PyDict_GetItemString(sys_modules, "__main__");  // borrowed
    if (main == NULL || !PyModule_Check(main)) {
        return -1;
    }
    b->main = PyDict_Copy(PyModule_GetDict(main));
    return b->main != NULL ? PyDict_DelItemString(sys_modules, "__main__") : -1;
}

static int
note_container(birth *b, PyObject *container)
{
    PyObject *copy = NULL;
    if (PyDict_CheckExact(container)) {
        copy = PyDict_Copy(container);
    }
    else if (PyList_CheckExact(container)) {
        copy = PyList_AsTuple(container);
    }
    else if (PySet_CheckExact(container)) {
        copy = PyFrozenSet_New(container);
    }
    else {
        return 0;
    }
    int r = copy != NULL ? PyList_Append(b->containers, container) : -1;
    if (r == 0) {
        r = PyList_Append(b->contents, copy);
    }
    Py_XDECREF(copy);
    return r;
}

// A module's namespace, and the containers in it: caches, hooks, filters.
static int
note_namespace(birth *b, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    int r = note_container(b, dict);
    while (r == 0 && PyDict_Next(dict, &pos, &key, &value)) {
        r = note_container(b, value);
    }
    return r;
}

static int
note_modules(birth *b, PyObject *sys_modules)
{
    PyObject *key, *module;
    Py_ssize_t pos = 0;
    PyObject *hidden = subi_traces_hidden_dict();  // borrowed
    int r = hidden != NULL ? note_container(b, hidden) : 0;
    while (r == 0 && PyDict_Next(sys_modules, &pos, &key, &module)) {
        r = PyModule_Check(module) ? note_namespace(b, PyModule_GetDict(module)) : 0;
    }
    return r;
}

static int
append_class(PyObject *o, void *found)
{
    bool changeable =
        PyType_Check(o) && !PyType_HasFeature((PyTypeObject *)o, Py_TPFLAGS_IMMUTABLETYPE);
    return changeable ? subi_append_pointer(o, found) : 1;
}

static int
note_classes(birth *b)
{
    subi_pointers found = {NULL};
    PyUnstable_GC_VisitObjects(append_class, &found);
    int r = found.failed ? -1 : 0;
    for (size_t i = 0; i < found.count && r == 0; i++) {
        PyObject *dict = PyType_GetDict((PyTypeObject *)found.items[i]);
        PyObject *copy = dict != NULL ? PyDict_Copy(dict) : NULL;
        r = copy != NULL ? PyList_Append(b->attributes, copy) : -1;
        if (r == 0) {
            r = PyList_Append(b->classes, found.items[i]);
        }
        Py_XDECREF(dict);
        Py_XDECREF(copy);
    }
    free(found.items);
    return r;
}

// An abstract class has a registry and caches of its subclasses, three sets. They are made when they
// are first needed, and only the collector's functions lead to them.
typedef struct abstract_classes {
    subi_pointers found;
    PyTypeObject *type;
} abstract_classes;

static int
append_abstract_class(PyObject *o, void *arg)
{
    abstract_classes *a = arg;
    return Py_IS_TYPE(o, a->type) ? subi_append_pointer(o, &a->found) : 1;
}

static int
append_set(PyObject *o, void *list)
{
    return PySet_CheckExact(o) ? PyList_Append(list, o) : 0;
}

PyObject *
subi_birth_abstract_sets(const birth *b)
{
    PyObject *sets = PyList_New(0);
    int r = sets != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(b->abstract); i++) {
        PyObject *data = PyList_GET_ITEM(b->abstract, i);
        r = Py_TYPE(data)->tp_traverse(data, append_set, sets);
    }
    if (r < 0) {
        Py_CLEAR(sets);
    }
    return sets;
}

// The type of what abstract classes keep has no name that could be imported.
static PyTypeObject *
type_of_abstract_data(void)
{
    PyObject *sequence = import_attribute("_collections_abc", "Sequence");
    PyObject *data = sequence != NULL ? PyObject_GetAttrString(sequence, "_abc_impl") : NULL;
    PyTypeObject *type = data != NULL ? Py_TYPE(data) : NULL;  // sequence keeps it
    Py_XDECREF(sequence);
    Py_XDECREF(data);
    return type;
}

// Without site there is none.
static bool
are_abstract_classes(void)
{
    return PyDict_GetItemString(PyImport_GetModuleDict(), "_collections_abc") != NULL;
}

static int
note_abstract_classes(birth *b)
{
    if (!are_abstract_classes()) {
        return 0;
    }
    abstract_classes a = {.type = type_of_abstract_data()};
    if (a.type == NULL) {
        return -1;
    }
    PyUnstable_GC_VisitObjects(append_abstract_class, &a);
    int r = a.found.failed ? -1 : 0;
    for (size_t i = 0; i < a.found.count && r == 0; i++) {
        r = PyList_Append(b->abstract, a.found.items[i]);
    }
    free(a.found.items);
    PyObject *sets = r == 0 ? subi_birth_abstract_sets(b) : NULL;
    for (Py_ssize_t i = 0; sets != NULL && i < PyList_GET_SIZE(sets) && r == 0; i++) {
        r = note_container(b, PyList_GET_ITEM(sets, i));
    }
    Py_XDECREF(sets);
    return sets != NULL ? r : -1;
}

int
subi_birth_clear_codecs(const birth *b)
{
    // Unregistering a search function does it. That it has been registered leaves no trace.
    int r = PyCodec_Register(b->collect);
    return r < 0 ? -1 : PyCodec_Unregister(b->collect);
}

uint64_t
subi_birth_sum_environment(void)
{
    uint64_t sum = 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        sum = subi_sum_bytes(sum, *entry, strlen(*entry) + 1);
    }
    return sum;
}

// Takes out of sys.modules what was imported here.
static int
forget_helpers(const birth *b, PyObject *sys_modules)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(b->containers); i++) {
        if (PyList_GET_ITEM(b->containers, i) == sys_modules) {
            PyDict_Clear(sys_modules);
            return PyDict_Update(sys_modules, PyList_GET_ITEM(b->contents, i));
        }
    }
    return -1;
}

static int
note(birth *b)
{
    PyObject *sys_modules = PyImport_GetModuleDict();                          // borrowed
    PyObject *private = PyInterpreterState_GetDict(PyInterpreterState_Get());  // borrowed
    b->environment = subi_birth_sum_environment();
    b->inherited = subi_traces_inherited();
    b->traces = subi_traces_note();
    b->private = private != NULL ? PyDict_Copy(private) : NULL;
    b->containers = PyList_New(0);
    b->contents = PyList_New(0);
    b->classes = PyList_New(0);
    b->attributes = PyList_New(0);
    b->abstract = PyList_New(0);
    if (b->private == NULL || b->containers == NULL || b->contents == NULL || b->classes == NULL ||
        b->attributes == NULL || b->abstract == NULL || note_main(b, sys_modules) < 0 ||
        note_modules(b, sys_modules) < 0 || note_settings(b) < 0 || note_functions(b) < 0 ||
        note_streams(b) < 0 || note_extension_folder(b) < 0 || note_classes(b) < 0 ||
        note_abstract_classes(b) < 0 || subi_birth_clear_codecs(b) < 0 ||
        forget_helpers(b, sys_modules) < 0) {
        return -1;
    }
    PyObject *in_python = import_attribute("_frozen_importlib", "ModuleSpec");
    int r = in_python != NULL && PyType_Check(in_python)
                ? subi_known_init(&b->known, (PyTypeObject *)in_python)
                : -1;
    Py_XDECREF(in_python);
    return r;
}

birth *
subi_birth_new(void)
{
    birth *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return NULL;
    }
    bool noted = note(b) == 0;
    PyErr_Clear();
    if (!noted && b->contents != NULL) {
        forget_helpers(b, PyImport_GetModuleDict());  // it may have failed before it came to that
        PyErr_Clear();
    }
    if (b->main != NULL && subi_birth_install_main(b) < 0) {
        noted = false;
    }
    if (!noted) {
        subi_birth_free(b);
        return NULL;
    }
    return b;
}

void
subi_birth_free(birth *b)
{
    if (b == NULL) {
        return;
    }
    subi_known_fini(&b->known);
    for (birth_setting *s = b->settings; s != b->settings + BIRTH_SETTINGS_MAX; s++) {
        Py_XDECREF(s->get);
        Py_XDECREF(s->set);
        Py_XDECREF(s->value);
    }
    for (birth_probe *p = b->probes; p != b->probes + BIRTH_PROBES_MAX; p++) {
        Py_XDECREF(p->object);
        Py_XDECREF(p->value);
    }
    PyObject *others[] = {
        b->containers,   b->contents,         b->classes,  b->attributes,
        b->abstract,     b->private,          b->main,     b->unread[0],
        b->unread[1],    b->collect,          b->unfreeze, b->import_lock_held,
        b->atexit_count, b->extension_folder,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(others); i++) {
        Py_XDECREF(others[i]);
    }
    free(b);
}

int
subi_birth_install_main(const birth *b)
{
    PyObject *main = PyModule_New("__main__");
    int r = main != NULL ? PyDict_Update(PyModule_GetDict(main), b->main) : -1;
    if (r == 0 && PyDict_GetItemString(b->main, "__annotations__") != NULL) {
        PyObject *annotations = PyDict_New();  // not the one of the life before
        r = annotations != NULL ? PyObject_SetAttrString(main, "__annotations__", annotations) : -1;
        Py_XDECREF(annotations);
    }
    if (r == 0) {
        r = PyDict_SetItemString(PyImport_GetModuleDict(), "__main__", main);
    }
    Py_XDECREF(main);
    PyErr_Clear();
    return r;
}

bool
subi_birth_has_atexit_functions(const birth *b)
{
    PyObject *count = PyObject_CallNoArgs(b->atexit_count);
    bool any = count == NULL || PyObject_IsTrue(count) != 0;
    Py_XDECREF(count);
    PyErr_Clear();
    return any;
}

bool
subi_birth_fits_process(const birth *b)
{
    return b->environment == subi_birth_sum_environment() &&
           b->inherited == subi_traces_inherited();
}
