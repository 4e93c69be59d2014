// SPDX-License-Identifier: MIT
#include "renew.h"

#include <stdlib.h>

#include "remedies.h"
#include "thread_state.h"

extern char **environ;

// An object that was there at the birth, and a sum over what it referred to.
typedef struct noted {
    PyObject *object;  // a reference: its memory is not used for another one
    uint64_t referents;
} noted;

#define NOT_SUMMED UINT64_C(0)

typedef struct setting {
    const char *module;
    const char *get;
    const char *set;
} setting;

// What code can change without changing an object.
static const setting settings[] = {
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

#define MONITORING_TOOLS 6

struct birth {
    noted *objects;  // a hash table with open addressing; capacity is a power of two
    size_t capacity;
    uint64_t environment;
    PyObject *private;  // dict: a copy of what extension modules keep in the interpreter
    subi_traces traces;
    PyObject *containers;  // list: dicts, lists and sets that are restored
    PyObject *contents;    // list: a copy of each
    PyObject *main;        // dict: a copy of that of __main__
    PyObject *values;      // list: one for each setting
    PyObject *classes;     // list: those whose attributes are restored
    PyObject *attributes;  // list: a copy of the namespace of each
    PyObject *abstract;    // list: what the abstract classes know of their subclasses
    PyObject *helpers[Py_ARRAY_LENGTH(settings)][2];
    PyObject *collect, *unfreeze, *get_tool;  // functions, as they were
    PyObject *extension_folder;  // str: where the standard library's extension modules are; NULL
};

// ---- fingerprints -----------------------------------------------------------------------------

// The finalizer of splitmix64 (Steele, Lea, Flood 2014).
static uint64_t
mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t
mix_pointer(const void *p)
{
    return mix((uintptr_t)p);
}

static size_t
slot_of(const birth *b, const PyObject *o)
{
    return (((uintptr_t)o >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (b->capacity - 1);
}

// An abstract class makes its registry and its caches when they are first needed, and empties them
// again; so an empty set is worth as much as none.
static bool
is_empty_set(PyObject *o)
{
    return PySet_CheckExact(o) && PySet_GET_SIZE(o) == 0;
}

static int
add_ordered(PyObject *o, void *sum)
{
    if (!is_empty_set(o)) {
        *(uint64_t *)sum = (*(uint64_t *)sum ^ (uintptr_t)o) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return 0;
}

static int
add_unordered(PyObject *o, void *sum)
{
    *(uint64_t *)sum += mix_pointer(o);
    return 0;
}

// The order does not count: a dict that lost an entry and got it back is the same.
static uint64_t
sum_items(PyObject *dict)
{
    uint64_t sum = 0;
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &key, &value)) {
        uint64_t k = PyUnicode_CheckExact(key) ? (uint64_t)PyObject_Hash(key) : (uintptr_t)key;
        sum += mix(k * 3 + (uintptr_t)value);
    }
    return sum;
}

static uint64_t
sum_referents(PyObject *o)
{
    uint64_t sum = mix_pointer(Py_TYPE(o));
    if (PyDict_CheckExact(o)) {
        return sum + sum_items(o);
    }
    Py_TYPE(o)->tp_traverse(o, PyAnySet_Check(o) ? add_unordered : add_ordered, &sum);
    return sum;
}

// The interpreter's table of interned strings, which grows and shrinks with what is interned.
static bool
is_table_of_strings(PyObject *o)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    return PyDict_CheckExact(o) && PyDict_Next(o, &pos, &key, &value) && key == value;
}

// Whether there is no way to make o refer to something else. Most objects are of these types.
static bool
is_constant(PyObject *o)
{
    return PyTuple_CheckExact(o) || Py_IS_TYPE(o, &PyWrapperDescr_Type) ||
           Py_IS_TYPE(o, &PyMethodDescr_Type) || Py_IS_TYPE(o, &PyClassMethodDescr_Type) ||
           PyFrozenSet_CheckExact(o);
}

static noted *
find(const birth *b, const PyObject *o)
{
    size_t k = slot_of(b, o);
    while (b->objects[k].object != NULL && b->objects[k].object != o) {
        k = (k + 1) & (b->capacity - 1);
    }
    return &b->objects[k];
}

// ---- restoring --------------------------------------------------------------------------------

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

// -1 with an exception set.
static int
restore_container(PyObject *container, PyObject *copy)
{
    if (PyDict_CheckExact(container)) {
        if (is_same_dict(container, copy)) {
            return 0;
        }
        PyDict_Clear(container);
        return PyDict_Update(container, copy);
    }
    if (PyList_CheckExact(container)) {
        return is_same_list(container, copy) ? 0
                                             : PyList_SetSlice(container, 0, PY_SSIZE_T_MAX, copy);
    }
    int same = PyObject_RichCompareBool(container, copy, Py_EQ);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    PySet_Clear(container);
    PyObject *iterator = PyObject_GetIter(copy), *item;
    int r = iterator != NULL ? 0 : -1;
    while (r == 0 && (item = PyIter_Next(iterator)) != NULL) {
        r = PySet_Add(container, item);
        Py_DECREF(item);
    }
    Py_XDECREF(iterator);
    return r;
}

// dict is the namespace of cls and has changed. -1 with an exception set.
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
    return r;
}

// -1 with an exception set.
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

// sys.modules is one of the containers: what was imported goes. -1 with an exception set.
static int
restore_containers(const birth *b)
{
    int r = 0;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(b->containers); i++) {
        r = restore_container(PyList_GET_ITEM(b->containers, i), PyList_GET_ITEM(b->contents, i));
    }
    return r;
}

// ---- noting -----------------------------------------------------------------------------------

typedef struct pointers {
    PyObject **items;
    size_t count;
    size_t capacity;
    bool failed;
} pointers;

static int
append_pointer(PyObject *o, void *arg)
{
    pointers *p = arg;
    if (p->count == p->capacity) {
        size_t capacity = p->capacity > 0 ? 2 * p->capacity : 16384;
        PyObject **items = realloc(p->items, capacity * sizeof(*items));
        if (items == NULL) {
            p->failed = true;
            return 0;
        }
        p->items = items;
        p->capacity = capacity;
    }
    p->items[p->count++] = o;
    return 1;
}

static int
note_objects(birth *b)
{
    pointers all = {NULL};
    PyUnstable_GC_VisitObjects(append_pointer, &all);
    b->capacity = 1024;
    while (b->capacity * 3 < all.count * 4) {
        b->capacity *= 2;
    }
    b->objects = all.failed ? NULL : calloc(b->capacity, sizeof(*b->objects));
    for (size_t i = 0; b->objects != NULL && i < all.count; i++) {
        PyObject *o = all.items[i];
        bool skip = is_constant(o) || is_table_of_strings(o);
        *find(b, o) = (noted){Py_NewRef(o), skip ? NOT_SUMMED : sum_referents(o)};
    }
    free(all.items);
    return b->objects != NULL ? 0 : -1;
}

static PyObject *
import_attribute(const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *value = module != NULL ? PyObject_GetAttrString(module, name) : NULL;
    Py_XDECREF(module);
    return value;
}

static int
note_settings(birth *b)
{
    b->values = PyList_New(0);
    for (size_t i = 0; b->values != NULL && i < Py_ARRAY_LENGTH(settings); i++) {
        PyObject *get = b->helpers[i][0] = import_attribute(settings[i].module, settings[i].get);
        PyObject *set = b->helpers[i][1] = import_attribute(settings[i].module, settings[i].set);
        PyObject *value = get != NULL && set != NULL ? PyObject_CallNoArgs(get) : NULL;
        if (value == NULL || PyList_Append(b->values, value) < 0) {
            Py_CLEAR(b->values);
        }
        Py_XDECREF(value);
    }
    return b->values != NULL ? 0 : -1;
}

static int
note_functions(birth *b)
{
    PyObject *monitoring = PySys_GetObject("monitoring");  // borrowed
    b->collect = import_attribute("gc", "collect");
    b->unfreeze = import_attribute("gc", "unfreeze");
    b->get_tool = monitoring != NULL ? PyObject_GetAttrString(monitoring, "get_tool") : NULL;
    return b->collect != NULL && b->unfreeze != NULL && b->get_tool != NULL ? 0 : -1;
}

// The entry of sys.path with the standard library's extension modules.
static int
note_extension_folder(birth *b)
{
    static const char name[] = "lib-dynload";
    PyObject *path = PySys_GetObject("path");  // borrowed
    for (Py_ssize_t i = 0; path != NULL && PyList_Check(path) && i < PyList_GET_SIZE(path); i++) {
        PyObject *entry = PyList_GET_ITEM(path, i);
        Py_ssize_t size;
        const char *text = PyUnicode_Check(entry) ? PyUnicode_AsUTF8AndSize(entry, &size) : NULL;
        if (text != NULL && (size_t)size >= sizeof(name) &&
            strcmp(text + size - (sizeof(name) - 1), name) == 0) {
            b->extension_folder = Py_NewRef(entry);
            return 0;
        }
    }
    return 0;
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

// -1 with an exception set.
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
    b->containers = PyList_New(0);
    b->contents = PyList_New(0);
    if (b->containers == NULL || b->contents == NULL) {
        return -1;
    }
    PyObject *hidden = subi_remedies_hidden_dict();  // borrowed
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
    return changeable ? append_pointer(o, found) : 1;
}

// -1 with an exception set, or none for want of memory.
static int
note_classes(birth *b)
{
    pointers found = {NULL};
    b->classes = PyList_New(0);
    b->attributes = PyList_New(0);
    PyUnstable_GC_VisitObjects(append_class, &found);
    int r = found.failed || b->classes == NULL || b->attributes == NULL ? -1 : 0;
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
    pointers found;
    PyTypeObject *type;
} abstract_classes;

static int
append_abstract_class(PyObject *o, void *arg)
{
    abstract_classes *a = arg;
    return Py_IS_TYPE(o, a->type) ? append_pointer(o, &a->found) : 1;
}

static int
append_set(PyObject *o, void *list)
{
    return PySet_CheckExact(o) ? PyList_Append(list, o) : 0;
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

// -1 with an exception set, or none for want of memory.
static int
note_abstract_classes(birth *b)
{
    abstract_classes a = {.type = type_of_abstract_data()};
    PyObject *sets = PyList_New(0);
    b->abstract = PyList_New(0);
    if (a.type == NULL || sets == NULL || b->abstract == NULL) {
        Py_XDECREF(sets);
        return -1;
    }
    PyUnstable_GC_VisitObjects(append_abstract_class, &a);
    int r = a.found.failed ? -1 : 0;
    for (size_t i = 0; i < a.found.count && r == 0; i++) {
        PyObject *data = a.found.items[i];
        r = PyList_Append(b->abstract, data);
        if (r == 0) {
            r = Py_TYPE(data)->tp_traverse(data, append_set, sets);
        }
    }
    free(a.found.items);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(sets) && r == 0; i++) {
        r = note_container(b, PyList_GET_ITEM(sets, i));
    }
    Py_DECREF(sets);
    return r;
}

static uint64_t
sum_environment(void)
{
    uint64_t sum = 1;
    for (char **entry = environ; entry != NULL && *entry != NULL; entry++) {
        for (const char *c = *entry; *c != 0; c++) {
            sum = (sum ^ (unsigned char)*c) * UINT64_C(0x100000001b3);  // as FNV-1a
        }
        sum = mix(sum);
    }
    return sum;
}

// The interpreter remembers the codecs that were looked up; unregistering a search function makes
// it forget. That it has been registered leaves no trace.
static int
clear_codec_cache(const birth *b)
{
    int r = PyCodec_Register(b->collect);
    return r < 0 ? -1 : PyCodec_Unregister(b->collect);
}

static int
note(birth *b)
{
    PyObject *sys_modules = PyImport_GetModuleDict();                          // borrowed
    PyObject *private = PyInterpreterState_GetDict(PyInterpreterState_Get());  // borrowed
    b->private = private != NULL ? PyDict_Copy(private) : NULL;
    b->environment = sum_environment();
    b->traces = subi_remedies_note_traces();
    if (b->private == NULL || note_main(b, sys_modules) < 0 || note_modules(b, sys_modules) < 0 ||
        note_settings(b) < 0 || note_functions(b) < 0 || note_extension_folder(b) < 0 ||
        note_classes(b) < 0 || note_abstract_classes(b) < 0 || clear_codec_cache(b) < 0 ||
        restore_containers(b) < 0) {
        return -1;
    }
    return note_objects(b);
}

birth *
subi_birth_new(void)
{
    birth *b = calloc(1, sizeof(*b));
    if (b != NULL && (note(b) < 0 || subi_birth_install_main(b) < 0)) {
        PyErr_Clear();
        if (b->main != NULL) {
            subi_birth_install_main(b);
        }
        subi_birth_free(b);
        b = NULL;
    }
    PyErr_Clear();
    return b;
}

void
subi_birth_free(birth *b)
{
    if (b == NULL) {
        return;
    }
    for (size_t i = 0; b->objects != NULL && i < b->capacity; i++) {
        Py_XDECREF(b->objects[i].object);
    }
    free(b->objects);
    Py_XDECREF(b->containers);
    Py_XDECREF(b->contents);
    Py_XDECREF(b->private);
    Py_XDECREF(b->main);
    Py_XDECREF(b->values);
    Py_XDECREF(b->classes);
    Py_XDECREF(b->attributes);
    Py_XDECREF(b->abstract);
    for (size_t i = 0; i < Py_ARRAY_LENGTH(settings); i++) {
        Py_XDECREF(b->helpers[i][0]);
        Py_XDECREF(b->helpers[i][1]);
    }
    Py_XDECREF(b->collect);
    Py_XDECREF(b->unfreeze);
    Py_XDECREF(b->get_tool);
    Py_XDECREF(b->extension_folder);
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
subi_birth_fits_environment(const birth *b)
{
    return b->environment == sum_environment();
}

// ---- what rules a renewal out -----------------------------------------------------------------

// Whether a module may have changed what is not looked at: extension modules of others may have
// changed the interpreter itself, and ctypes may have changed anything.
static bool
is_suspect(const birth *b, PyObject *name, PyObject *module)
{
    if (!PyModule_Check(module)) {
        return false;  // an object in sys.modules is found out by itself
    }
    PyObject *file = PyDict_GetItemString(PyModule_GetDict(module), "__file__");  // borrowed
    PyErr_Clear();
    Py_ssize_t size = 0;
    const char *text =
        file != NULL && PyUnicode_Check(file) ? PyUnicode_AsUTF8AndSize(file, &size) : NULL;
    if (text == NULL || size < 3 || strcmp(text + size - 3, ".so") != 0) {
        PyErr_Clear();
        return false;
    }
    PyModuleDef *def = PyModule_GetDef(module);
    if (def == &subi_module_def) {
        return false;
    }
    if (!PyUnicode_Check(name) || PyUnicode_CompareWithASCIIString(name, "_ctypes") == 0 ||
        b->extension_folder == NULL) {
        return true;
    }
    return PyUnicode_Tailmatch(file, b->extension_folder, 0, PY_SSIZE_T_MAX, -1) != 1;
}

static bool
has_suspect_modules(const birth *b)
{
    PyObject *items = PyDict_Items(PyImport_GetModuleDict());
    bool suspect = items == NULL;
    for (Py_ssize_t i = 0; !suspect && i < PyList_GET_SIZE(items); i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        suspect = is_suspect(b, PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1));
    }
    Py_XDECREF(items);
    PyErr_Clear();
    return suspect;
}

static bool
has_monitoring_tools(const birth *b)
{
    bool any = false;
    for (int id = 0; id < MONITORING_TOOLS && !any; id++) {
        PyObject *tool = PyObject_CallFunction(b->get_tool, "i", id);
        any = tool != Py_None;
        Py_XDECREF(tool);
    }
    PyErr_Clear();
    return any;
}

// ---- taking away ------------------------------------------------------------------------------

// What is in the buffers of sys.stdout and sys.stderr, whatever they are now.
static void
flush_streams(void)
{
    static const char *const names[] = {"stderr", "stdout"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        PyObject *file = PySys_GetObject(names[i]);  // borrowed
        if (file == NULL || file == Py_None) {
            continue;
        }
        Py_INCREF(file);
        PyObject *closed = PyObject_GetAttrString(file, "closed");
        PyObject *r = NULL;
        if (closed == NULL || PyObject_IsTrue(closed) != 1) {
            PyErr_Clear();
            r = PyObject_CallMethod(file, "flush", NULL);
            if (r == NULL) {
                PyErr_WriteUnraisable(file);
            }
        }
        Py_XDECREF(r);
        Py_XDECREF(closed);
        Py_DECREF(file);
    }
    PyErr_Clear();
}

// -1 with an exception set.
static int
empty_new_sets(const birth *b)
{
    PyObject *sets = PyList_New(0);
    int r = sets != NULL ? 0 : -1;
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(b->abstract); i++) {
        PyObject *data = PyList_GET_ITEM(b->abstract, i);
        r = Py_TYPE(data)->tp_traverse(data, append_set, sets);
    }
    for (Py_ssize_t i = 0; r == 0 && i < PyList_GET_SIZE(sets); i++) {
        PyObject *set = PyList_GET_ITEM(sets, i);
        if (find(b, set)->object == NULL) {
            PySet_Clear(set);
        }
    }
    Py_XDECREF(sets);
    return r;
}

static int
restore_setting(PyObject *const helpers[2], PyObject *value)
{
    PyObject *now = PyObject_CallNoArgs(helpers[0]);
    int same = now != NULL ? PyObject_RichCompareBool(now, value, Py_EQ) : -1;
    Py_XDECREF(now);
    if (same != 0) {
        return same < 0 ? -1 : 0;
    }
    PyObject *r = PyTuple_CheckExact(value) ? PyObject_CallObject(helpers[1], value)
                                            : PyObject_CallOneArg(helpers[1], value);
    Py_XDECREF(r);
    return r != NULL ? 0 : -1;
}

static int
restore_settings(const birth *b)
{
    PyGC_Enable();
    for (size_t i = 0; i < Py_ARRAY_LENGTH(settings); i++) {
        if (restore_setting(b->helpers[i], PyList_GET_ITEM(b->values, (Py_ssize_t)i)) < 0) {
            return -1;
        }
    }
    PyObject *r = PyObject_CallNoArgs(b->unfreeze);
    Py_XDECREF(r);
    return r != NULL ? 0 : -1;
}

// After the collection: until then a module that is going may look for itself there. -1: out of
// memory.
static int
restore_private(const birth *b)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());  // borrowed
    return dict != NULL ? restore_container(dict, b->private) : -1;
}

static int
collect_garbage(const birth *b)
{
    PyObject *r = PyObject_CallNoArgs(b->collect);
    Py_XDECREF(r);
    return r != NULL ? 0 : -1;
}

// ---- the proof --------------------------------------------------------------------------------

typedef struct proof {
    const birth *b;
    bool same;
} proof;

static int
check_object(PyObject *o, void *arg)
{
    proof *p = arg;
    const noted *known = find(p->b, o);
    if (known->object == NULL) {
        p->same = is_empty_set(o);
    }
    else {
        p->same = known->referents == NOT_SUMMED || known->referents == sum_referents(o);
    }
    return p->same;
}

static bool
is_as_born(const birth *b)
{
    proof p = {.b = b, .same = true};
    PyUnstable_GC_VisitObjects(check_object, &p);
    return p.same;
}

// Takes away what the life added, as far as that is known. False: it cannot be taken away, or an
// exception is set.
static bool
restore(const birth *b)
{
    // a setting may have changed sys.flags, so the containers come later
    return restore_settings(b) == 0 && subi_remedies_remove_traces(&b->traces) &&
           clear_codec_cache(b) == 0 && restore_containers(b) == 0 && restore_classes(b) == 0;
}

static bool
restore_and_prove(const birth *b)
{
    // once more after the collection, whose finalizers may have changed something again
    if (!restore(b) || collect_garbage(b) < 0 || restore_private(b) < 0 || !restore(b) ||
        empty_new_sets(b) < 0 || has_monitoring_tools(b) || !is_as_born(b)) {
        PyErr_Clear();
        return false;
    }
    return true;
}

bool
subi_renew(native *n)
{
    birth *b = n->birth;
    if (has_suspect_modules(b)) {
        return false;
    }
    flush_streams();
    // a context or a trace function may be left in the thread state, which is not needed any more
    if (!restore_and_prove(b) && (subi_thread_state_exchange(n) < 0 || !restore_and_prove(b))) {
        return false;
    }
    PyThreadState *last = PyThreadState_Get();
    subi_thread_state_forget(n);
    PyThreadState_Clear(last);
    PyThreadState_DeleteCurrent();
    return true;
}
