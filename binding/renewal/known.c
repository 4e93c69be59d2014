// SPDX-License-Identifier: MIT
#include "known.h"

#include <stdlib.h>

// ---- sums -------------------------------------------------------------------------------------

// The finalizer of splitmix64 (Steele, Lea, Flood 2014).
static uint64_t
mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static uint64_t
step(uint64_t sum, uint64_t x)
{
    return (sum ^ x) * UINT64_C(0x9e3779b97f4a7c15);
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
        *(uint64_t *)sum = step(*(uint64_t *)sum, (uintptr_t)o);
    }
    return 0;
}

static int
add_unordered(PyObject *o, void *sum)
{
    *(uint64_t *)sum += mix((uintptr_t)o);
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

uint64_t
subi_sum_bytes(uint64_t sum, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;
    for (; size >= sizeof(uint64_t); b += sizeof(uint64_t), size -= sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, b, sizeof(word));
        sum = step(sum, word);
    }
    for (; size > 0; size--) {
        sum = step(sum, *b++);
    }
    return sum;
}

// What a class made by Python code has besides its namespace: names, flags and slots.
static uint64_t
sum_class(const PyHeapTypeObject *cls)
{
    PyTypeObject t = cls->ht_type;
    memset(&t, 0, sizeof(t.ob_base));
    t.tp_flags &= ~(unsigned long)Py_TPFLAGS_VALID_VERSION_TAG;
    t.tp_cache = NULL;
    t.tp_subclasses = NULL;
    t.tp_weaklist = NULL;
    t.tp_version_tag = 0;
    t.tp_watched = 0;
    t.tp_versions_used = 0;
    uint64_t sum = subi_sum_bytes(1, &t, offsetof(PyTypeObject, tp_watched));
    const char *slots = (const char *)&cls->as_async;
    return subi_sum_bytes(sum, slots, (size_t)((const char *)(&cls->ht_qualname + 1) - slots));
}

static uint64_t
sum_referents(PyObject *o)
{
    uint64_t sum = mix((uintptr_t)Py_TYPE(o));
    if (PyDict_CheckExact(o)) {
        return sum + sum_items(o);
    }
    Py_TYPE(o)->tp_traverse(o, PyAnySet_Check(o) ? add_unordered : add_ordered, &sum);
    if (PyType_Check(o) && PyType_HasFeature((PyTypeObject *)o, Py_TPFLAGS_HEAPTYPE)) {
        sum += sum_class((PyHeapTypeObject *)o);
    }
    return sum;
}

#define NOT_SUMMED UINT64_C(0)

// Whether there is no way to make o refer to something else. Most objects are of these types.
static bool
is_constant(PyObject *o)
{
    return PyTuple_CheckExact(o) || Py_IS_TYPE(o, &PyWrapperDescr_Type) ||
           Py_IS_TYPE(o, &PyMethodDescr_Type) || Py_IS_TYPE(o, &PyClassMethodDescr_Type) ||
           PyFrozenSet_CheckExact(o);
}

// The interpreter's table of interned strings, which grows and shrinks with what is interned.
static bool
is_table_of_strings(PyObject *o)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    return PyDict_CheckExact(o) && PyDict_Next(o, &pos, &key, &value) && key == value;
}

// ---- the objects ------------------------------------------------------------------------------

int
subi_append_pointer(PyObject *o, void *arg)
{
    subi_pointers *p = arg;
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

static subi_noted *
find(const subi_known *k, const PyObject *o)
{
    size_t i = (((uintptr_t)o >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (k->capacity - 1);
    while (k->objects[i].object != NULL && k->objects[i].object != o) {
        i = (i + 1) & (k->capacity - 1);
    }
    return &k->objects[i];
}

bool
subi_known_has(const subi_known *k, const PyObject *o)
{
    return find(k, o)->object != NULL;
}

// ---- objects that show all they are -----------------------------------------------------------

// Types in C whose instances change only in what they refer to.
static bool
is_open_type(PyTypeObject *t)
{
    PyTypeObject *const types[] = {
        &PyBaseObject_Type,  &PyDict_Type,        &PyList_Type,         &PyTuple_Type,
        &PySet_Type,         &PyFrozenSet_Type,   &PyModule_Type,       &PyFunction_Type,
        &PyMethod_Type,      &PyCFunction_Type,   &PyCell_Type,         &PyProperty_Type,
        &PySlice_Type,       &PyClassMethod_Type, &PyStaticMethod_Type, &PyWrapperDescr_Type,
        &PyMethodDescr_Type, &PyMemberDescr_Type, &PyGetSetDescr_Type,  &PyClassMethodDescr_Type,
        &PyContextVar_Type,  &PyDictProxy_Type,
    };
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        if (t == types[i]) {
            return true;
        }
    }
    static const char *const names[] = {"weakref.ReferenceType", "types.SimpleNamespace",
                                        "types.GenericAlias", "lazy_import", "_abc._abc_data",
                                        // of the standard streams, which birth.c looks at
                                        "_io.TextIOWrapper", "_io.BufferedReader",
                                        "_io.BufferedWriter", "_io.FileIO"};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(names); i++) {
        if (strcmp(t->tp_name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

// One in C that has no destructor of its own has the same as those of a `class` statement, such as
// _random.Random; but it has been made from a specification, with a name that it keeps.
static bool
is_made_in_python(const subi_known *k, PyTypeObject *t)
{
    return PyType_HasFeature(t, Py_TPFLAGS_HEAPTYPE) && t->tp_dealloc == k->dealloc_in_python &&
           ((PyHeapTypeObject *)t)->_ht_tpname == NULL;
}

// A random generator, an iterator or a lock has more to it than what it refers to. Instances of
// classes in Python have what their base in C has; classes themselves are summed with their slots.
static bool
is_open(const subi_known *k, PyObject *o)
{
    PyTypeObject *t = Py_TYPE(o);
    while (is_made_in_python(k, t) && t->tp_base != NULL) {
        t = t->tp_base;
    }
    return PyType_Check(o) || is_open_type(t);
}

// Of what the collector does not know: numbers, text and the like.
static bool
is_open_atom(PyObject *o)
{
    return PyTuple_Check(o) || PyType_Check(o) ||
           !(PyByteArray_Check(o) || PyType_HasFeature(Py_TYPE(o), Py_TPFLAGS_HEAPTYPE));
}

// ---- noting -----------------------------------------------------------------------------------

typedef struct closure {
    subi_known *known;
    subi_pointers objects;  // of which each is in known, with a reference
} closure;

static bool
is_full(const closure *c)
{
    return c->objects.count >= c->known->capacity / 4 * 3;
}

// The memory of what is referred to must not be used for another object: the sums are of addresses.
// Before 3.14 the collector does not know dicts without containers, which can change like others.
static int
hold_referent(PyObject *o, void *arg)
{
    closure *c = arg;
    if (_Py_IsImmortal(o) || subi_known_has(c->known, o)) {
        return 0;
    }
    // those in containers that the collector does not know either may come to be changed
    if (PyDict_CheckExact(o) || PyTuple_CheckExact(o) || PyList_CheckExact(o) ||
        PySet_CheckExact(o)) {
        if (is_full(c) || !subi_append_pointer(o, &c->objects)) {
            return -1;
        }
        find(c->known, o)->object = Py_NewRef(o);
        return 0;
    }
    if (!is_open_atom(o) || !subi_append_pointer(o, &c->known->atoms)) {
        return -1;
    }
    Py_INCREF(o);
    return 0;
}

static int
make_table(closure *c)
{
    subi_known *k = c->known;
    k->capacity = 1024;
    while (k->capacity < c->objects.count * 2) {
        k->capacity *= 2;
    }
    k->objects = c->objects.failed ? NULL : calloc(k->capacity, sizeof(*k->objects));
    for (size_t i = 0; k->objects != NULL && i < c->objects.count; i++) {
        find(k, c->objects.items[i])->object = Py_NewRef(c->objects.items[i]);
    }
    return k->objects != NULL ? 0 : -1;
}

int
subi_known_init(subi_known *k, PyTypeObject *in_python)
{
    k->dealloc_in_python = in_python->tp_dealloc;
    closure c = {.known = k};
    PyUnstable_GC_VisitObjects(subi_append_pointer, &c.objects);
    int r = make_table(&c);
    for (size_t i = 0; r == 0 && i < c.objects.count; i++) {  // the count grows
        PyObject *o = c.objects.items[i];
        if (is_table_of_strings(o)) {
            continue;
        }
        if (!is_constant(o)) {
            find(k, o)->referents = sum_referents(o);
        }
        r = is_open(k, o) ? Py_TYPE(o)->tp_traverse(o, hold_referent, &c) : -1;
    }
    free(c.objects.items);
    return r;
}

void
subi_known_fini(subi_known *k)
{
    for (size_t i = 0; k->objects != NULL && i < k->capacity; i++) {
        Py_XDECREF(k->objects[i].object);
    }
    for (size_t i = 0; i < k->atoms.count; i++) {
        Py_DECREF(k->atoms.items[i]);
    }
    free(k->objects);
    free(k->atoms.items);
}

typedef struct meeting {
    const subi_known *known;
    bool stranger;
} meeting;

static int
meet_object(PyObject *o, void *arg)
{
    meeting *m = arg;
    m->stranger = !subi_known_has(m->known, o) && !is_empty_set(o);
    return !m->stranger;
}

// Events of sys.monitoring that were set for one function only, on 3.13. Later versions count the
// uses of a tool (traces.c).
static bool
is_monitored(PyObject *o)
{
#if PY_VERSION_HEX < 0x030E0000
    static const _Py_LocalMonitors none;
    if (PyFunction_Check(o)) {
        const _PyCoMonitoringData *data = ((PyCodeObject *)PyFunction_GET_CODE(o))->_co_monitoring;
        return data != NULL && memcmp(&data->local_monitors, &none, sizeof(none)) != 0;
    }
#endif
    (void)o;
    return false;
}

bool
subi_known_unchanged(const subi_known *k)
{
    meeting m = {.known = k};
    PyUnstable_GC_VisitObjects(meet_object, &m);
    bool same = !m.stranger;
    for (size_t i = 0; same && i < k->capacity; i++) {
        const subi_noted *n = &k->objects[i];
        same = n->referents == NOT_SUMMED ||
               (n->referents == sum_referents(n->object) && !is_monitored(n->object));
    }
    return same;
}
