// SPDX-License-Identifier: MIT
#include "codec.h"

#include "depth.h"
#include "function.h"
#include "handles.h"
#include "reader.h"

#define NOT_REMEMBERED SIZE_MAX

// ---- bytes ------------------------------------------------------------------------------------

PyObject *
subi_raise_malformed(void)
{
    PyErr_SetString(PyExc_SystemError, "malformed message from another interpreter");
    return NULL;
}

int
subi_read_long_number(reader *r, uint64_t *n)
{
    *n = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const unsigned char *p = take(r, 1);
        if (p == NULL) {
            return -1;
        }
        *n |= (uint64_t)(*p & 0x7f) << shift;
        if ((*p & 0x80) == 0) {
            return 0;
        }
    }
    subi_raise_malformed();
    return -1;
}

// ---- simple values ----------------------------------------------------------------------------

static bool
is_ascii(const unsigned char *units, size_t length)
{
    uint64_t all = 0, word;
    for (; length >= sizeof(word); units += sizeof(word), length -= sizeof(word)) {
        memcpy(&word, units, sizeof(word));
        all |= word;
    }
    for (; length > 0; length--) {
        all |= *units++;
    }
    return (all & UINT64_C(0x8080808080808080)) == 0;
}

// Python takes our word for it that there is nothing else in the str.
static PyObject *
new_ascii(const unsigned char *units, size_t length)
{
    if (!is_ascii(units, length)) {
        return subi_raise_malformed();
    }
    PyObject *s = PyUnicode_New((Py_ssize_t)length, 0x7f);
    if (s != NULL && length > 0) {
        subi_will_fill(PyUnicode_1BYTE_DATA(s), length);
        memcpy(PyUnicode_1BYTE_DATA(s), units, length);
    }
    return s;
}

static inline PyObject *
read_short_str(reader *r, size_t length)
{
    const unsigned char *units = take(r, length);
    if (units == NULL) {
        return NULL;
    }
    if (length == 1) {
        return PyUnicode_FromOrdinal(units[0]);  // there already is one
    }
    return new_ascii(units, length);
}

static PyObject *
read_str(reader *r)
{
    const unsigned char *class = take(r, 1);
    uint64_t length;
    if (class == NULL || read_number(r, &length) < 0) {
        return NULL;
    }
    size_t unit = *class == 0 ? 1 : *class;
    if ((unit != 1 && unit != 2 && unit != 4) || length > (size_t)(r->end - r->at) / unit) {
        return subi_raise_malformed();
    }
    const unsigned char *units = take(r, length * unit);
    return *class == 0 ? new_ascii(units, length)
                       : PyUnicode_FromKindAndData((int)unit, units, (Py_ssize_t)length);
}

PyObject *
subi_new_bytes(const void *data, size_t size)
{
    PyObject *obj = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (obj != NULL && size > 0) {
        subi_will_fill(PyBytes_AS_STRING(obj), size);
        memcpy(PyBytes_AS_STRING(obj), data, size);
    }
    return obj;
}

static PyObject *
read_sized(reader *r, codec_tag tag)
{
    uint64_t n;
    if (read_number(r, &n) < 0) {
        return NULL;
    }
    const unsigned char *p = take(r, n);
    if (p == NULL) {
        return NULL;
    }
    if (tag == CODEC_BYTES) {
        return subi_new_bytes(p, n);
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(p, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    return _PyLong_FromByteArray(p, n, 1, 1);
#endif
}

// ---- what comes again -------------------------------------------------------------------------

static int
add_slot(reader *r, size_t *slot)
{
    if (r->memo_count == r->memo_room) {
        size_t room = r->memo_room == 0 ? 16 : r->memo_room * 2;
        remembered *grown = PyMem_Realloc(r->memo, room * sizeof(*grown));
        if (grown == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        r->memo = grown;
        r->memo_room = room;
    }
    *slot = r->memo_count++;
    r->memo[*slot] = (remembered){.object = NULL};
    return 0;
}

static void
remember(reader *r, size_t slot, PyObject *obj, bool complete)
{
    if (slot != NOT_REMEMBERED) {
        Py_XSETREF(r->memo[slot].object, Py_XNewRef(obj));
        r->memo[slot].complete = complete;
    }
}

// What is incomplete has no hash, nor has what it is in: a tuple may have gaps. No tuple or frozenset
// can have itself in it but by way of something that has no hash.
static PyObject *
read_again(reader *r)
{
    uint64_t slot;
    if (read_number(r, &slot) < 0) {
        return NULL;
    }
    if (slot >= r->memo_count || r->memo[slot].object == NULL) {
        return subi_raise_malformed();
    }
    if (!r->memo[slot].complete) {
        if (r->hashing > 0) {
            return subi_raise_malformed();
        }
        r->loose++;
    }
    return Py_NewRef(r->memo[slot].object);
}

static void
forget_all(reader *r)
{
    while (r->memo_count > 0) {
        Py_XDECREF(r->memo[--r->memo_count].object);
    }
    PyMem_Free(r->memo);
}

// ---- containers -------------------------------------------------------------------------------

static inline int
enter(reader *r)
{
    if (!subi_depth_enter(r->depth, " while receiving an object from another interpreter")) {
        return -1;
    }
    r->depth++;
    return 0;
}

static inline void
leave(reader *r)
{
    subi_depth_leave(--r->depth);
}

static PyObject *read_value(reader *r);

static PyObject *
read_hashed(reader *r)
{
    r->hashing++;
    PyObject *obj = read_value(r);
    r->hashing--;
    return obj;
}

static int
read_items(reader *r, PyObject *list, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = read_value(r);
        if (item == NULL) {
            return -1;
        }
        PyList_SET_ITEM(list, i, item);
    }
    return 0;
}

static int
read_tuple_items(reader *r, PyObject *tuple, Py_ssize_t n)
{
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = read_value(r);
        if (item == NULL) {
            return -1;
        }
        PyTuple_SET_ITEM(tuple, i, item);
    }
    return 0;
}

static int
read_pairs(reader *r, PyObject *dict, Py_ssize_t n)
{
    int result = 0;
    for (Py_ssize_t i = 0; i < n && result == 0; i++) {
        PyObject *key = read_hashed(r);
        PyObject *value = key != NULL ? read_value(r) : NULL;
        result = value != NULL ? PyDict_SetItem(dict, key, value) : -1;
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return result;
}

static int
read_elements(reader *r, PyObject *set, Py_ssize_t n)
{
    int result = 0;
    for (Py_ssize_t i = 0; i < n && result == 0; i++) {
        PyObject *element = read_hashed(r);
        result = element != NULL ? PySet_Add(set, element) : -1;
        Py_XDECREF(element);
    }
    return result;
}

typedef int fill(reader *r, PyObject *container, Py_ssize_t n);

static PyObject *
new_container(codec_tag tag, Py_ssize_t n, fill **how)
{
    switch (tag) {
    case CODEC_TUPLE:
        *how = read_tuple_items;
        return PyTuple_New(n);
    case CODEC_LIST:
        *how = read_items;
        return PyList_New(n);
    case CODEC_DICT:
        *how = read_pairs;
        return PyDict_New();
    case CODEC_SET:
        *how = read_elements;
        return PySet_New(NULL);
    default:
        *how = read_elements;
        return PyFrozenSet_New(NULL);
    }
}

// A frozenset can be filled only as long as nobody else has it.
static PyObject *
read_container(reader *r, codec_tag tag, size_t slot)
{
    uint64_t n;
    fill *how;
    size_t loose = r->loose;
    if (read_number(r, &n) < 0) {
        return NULL;
    }
    if (n > (size_t)(r->end - r->at)) {
        return subi_raise_malformed();
    }
    if (enter(r) < 0) {
        return NULL;
    }
    PyObject *container = new_container(tag, (Py_ssize_t)n, &how);
    if (container != NULL) {
        remember(r, slot, tag != CODEC_FROZENSET ? container : NULL, false);
        if (how(r, container, (Py_ssize_t)n) < 0) {
            Py_CLEAR(container);
        }
        remember(r, slot, container, r->loose == loose);
    }
    leave(r);
    return container;
}

// ---- dicts with the same keys -----------------------------------------------------------------

static PyObject *
read_keys(reader *r)
{
    uint64_t n;
    if (read_number(r, &n) < 0) {
        return NULL;
    }
    if (n > CODEC_SHAPE_KEYS) {
        return subi_raise_malformed();
    }
    PyObject *keys = PyTuple_New((Py_ssize_t)n);
    if (keys != NULL && read_tuple_items(r, keys, (Py_ssize_t)n) < 0) {
        Py_CLEAR(keys);
    }
    for (uint64_t i = 0; keys != NULL && i < n; i++) {
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(keys, i))) {
            Py_CLEAR(keys);
            subi_raise_malformed();
        }
    }
    return keys;
}

static void
forget_shape(reader *r, unsigned i)
{
    if (r->shapes_used >> i & 1) {
        Py_DECREF(r->shapes[i].keys);
        Py_XDECREF(r->shapes[i].plain);
    }
}

static PyObject *
new_plain(PyObject *keys)
{
    PyObject *dict = PyDict_New();
    for (Py_ssize_t i = 0; dict != NULL && i < PyTuple_GET_SIZE(keys); i++) {
        if (PyDict_SetItem(dict, PyTuple_GET_ITEM(keys, i), Py_None) < 0) {
            Py_CLEAR(dict);
        }
    }
    return dict;
}

// A dict that is yet without its values, and *keys, a new reference. To copy a dict and set the values
// takes half the time of making it key by key; but the first one may be the only one.
static PyObject *
start_dict(reader *r, codec_tag tag, PyObject **keys)
{
    uint64_t number;
    if (read_number(r, &number) < 0) {
        return NULL;
    }
    if (number >= CODEC_SHAPES || (tag == CODEC_SHAPED && (r->shapes_used >> number & 1) == 0)) {
        return subi_raise_malformed();
    }
    read_shape *s = &r->shapes[number];
    if (tag == CODEC_SHAPE) {
        if ((*keys = read_keys(r)) == NULL) {
            return NULL;
        }
        forget_shape(r, (unsigned)number);
        r->shapes_used |= UINT32_C(1) << number;
        *s = (read_shape){.keys = Py_NewRef(*keys)};
        return PyDict_New();
    }
    if (s->plain == NULL && (s->plain = new_plain(s->keys)) == NULL) {
        return NULL;
    }
    *keys = Py_NewRef(s->keys);
    return PyDict_Copy(s->plain);
}

static int
read_values(reader *r, PyObject *dict, PyObject *keys)
{
    bool has_nones = PyDict_GET_SIZE(dict) > 0;
    int result = 0;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(keys) && result == 0; i++) {
        PyObject *value = read_value(r);
        if (value != Py_None || !has_nones) {
            result = value != NULL ? PyDict_SetItem(dict, PyTuple_GET_ITEM(keys, i), value) : -1;
        }
        Py_XDECREF(value);
    }
    return result;
}

static PyObject *
read_shaped(reader *r, codec_tag tag, size_t slot)
{
    PyObject *keys = NULL;
    size_t loose = r->loose;
    if (enter(r) < 0) {
        return NULL;
    }
    PyObject *dict = start_dict(r, tag, &keys);
    if (dict != NULL) {
        remember(r, slot, dict, false);
        if (read_values(r, dict, keys) < 0) {
            Py_CLEAR(dict);
        }
        remember(r, slot, dict, r->loose == loose);
    }
    Py_XDECREF(keys);
    leave(r);
    return dict;
}

static void
forget_shapes(reader *r)
{
    for (unsigned i = 0; i < CODEC_SHAPES && r->shapes_used >> i != 0; i++) {
        forget_shape(r, i);
    }
}

// ---- values -----------------------------------------------------------------------------------

static PyObject *
read_int(reader *r)
{
    int64_t value;
    return take_into(r, &value, sizeof(value)) ? PyLong_FromLongLong(value) : NULL;
}

static PyObject *
read_int32(reader *r)
{
    int32_t value;
    return take_into(r, &value, sizeof(value)) ? PyLong_FromLong(value) : NULL;
}

static PyObject *
read_float(reader *r)
{
    double value;
    return take_into(r, &value, sizeof(value)) ? PyFloat_FromDouble(value) : NULL;
}

static PyObject *
read_complex(reader *r)
{
    double parts[2];
    return take_into(r, parts, sizeof(parts)) ? PyComplex_FromDoubles(parts[0], parts[1]) : NULL;
}

static PyObject *
read_function(reader *r)
{
    PyObject *description = read_value(r);
    let_collect(r);
    PyObject *obj = description != NULL ? subi_function_make(description) : NULL;
    Py_XDECREF(description);
    return obj;
}

// For subi_decode_data.
static PyObject *
refuse_code(void)
{
    PyErr_SetNone(PyExc_RuntimeError);
    return NULL;
}

static PyObject *read_remembered(reader *r);

// `slot`: where it is to be remembered.
static inline PyObject *
read_tagged(reader *r, unsigned tag, size_t slot)
{
    if (tag >= CODEC_SMALL_INT) {
        return PyLong_FromLong((long)(tag - CODEC_SMALL_INT));
    }
    if (tag >= CODEC_SHORT_STR) {
        return read_short_str(r, tag - CODEC_SHORT_STR);
    }
    switch (tag) {
    case CODEC_NONE:
        Py_RETURN_NONE;
    case CODEC_FALSE:
        Py_RETURN_FALSE;
    case CODEC_TRUE:
        Py_RETURN_TRUE;
    case CODEC_INT32:
        return read_int32(r);
    case CODEC_INT:
        return read_int(r);
    case CODEC_FLOAT:
        return read_float(r);
    case CODEC_COMPLEX:
        return read_complex(r);
    case CODEC_STR:
        return read_str(r);
    case CODEC_BYTES:
    case CODEC_BIG_INT:
        return read_sized(r, tag);
    case CODEC_SHAPE:
    case CODEC_SHAPED:
        return read_shaped(r, tag, slot);
    case CODEC_TUPLE:
    case CODEC_LIST:
    case CODEC_DICT:
    case CODEC_SET:
    case CODEC_FROZENSET:
        return read_container(r, tag, slot);
    case CODEC_REMEMBER:
        return slot == NOT_REMEMBERED ? read_remembered(r) : subi_raise_malformed();
    case CODEC_AGAIN:
        return read_again(r);
    case CODEC_HANDLE:
        return r->only_data ? refuse_code() : subi_read_handle(r);
    case CODEC_FUNCTION:
        return r->only_data ? refuse_code() : read_function(r);
    default:
        return subi_raise_malformed();
    }
}

static PyObject *
read_remembered(reader *r)
{
    size_t slot, loose = r->loose;
    const unsigned char *tag = add_slot(r, &slot) == 0 ? take(r, 1) : NULL;
    PyObject *obj = tag != NULL ? read_tagged(r, *tag, slot) : NULL;
    if (obj != NULL && r->memo[slot].object == NULL) {
        remember(r, slot, obj, r->loose == loose);
    }
    return obj;
}

static PyObject *
read_value(reader *r)
{
    const unsigned char *tag = take(r, 1);
    return tag != NULL ? read_tagged(r, *tag, NOT_REMEMBERED) : NULL;
}

// ---- messages ---------------------------------------------------------------------------------

static PyObject *
read_pickled(reader *r)
{
    PyObject *pickled = read_value(r);
    if (pickled == NULL) {
        return NULL;
    }
    if (!PyTuple_CheckExact(pickled)) {
        Py_DECREF(pickled);
        return subi_raise_malformed();
    }
    PyObject *pickling = PyImport_ImportModule(CODEC_PICKLING);
    PyObject *loads = pickling != NULL ? PyObject_GetAttrString(pickling, "loads") : NULL;
    PyObject *obj = loads != NULL ? PyObject_CallObject(loads, pickled) : NULL;
    Py_XDECREF(loads);
    Py_XDECREF(pickling);
    Py_DECREF(pickled);
    return obj;
}

static PyObject *
decode(module_state *state, const subi_message *m, bool only_data)
{
    switch ((subi_tag)m->tag) {
    case SUBI_TAG_NONE:
        Py_RETURN_NONE;
    case SUBI_TAG_FALSE:
        Py_RETURN_FALSE;
    case SUBI_TAG_TRUE:
        Py_RETURN_TRUE;
    case SUBI_TAG_INTEGER:
        return PyLong_FromLongLong(m->u.integer);
    case SUBI_TAG_REAL:
        return PyFloat_FromDouble(m->u.real);
    case SUBI_TAG_TEXT:
        return new_ascii((const unsigned char *)m->u.small, m->size);
    case SUBI_TAG_BYTES:
        return PyBytes_FromStringAndSize(m->u.small, m->size);
    case SUBI_TAG_BLOCK:
        break;
    default:
        return subi_raise_malformed();
    }
    const unsigned char *bytes = subi_block_bytes(m->u.block);
    reader r;
    r.state = state;
    r.only_data = only_data;
    r.block = m->u.block;
    r.at = bytes;
    r.end = bytes + subi_block_size(m->u.block);
    r.memo = NULL;
    r.memo_count = r.memo_room = r.loose = 0;
    r.hashing = 0;
    r.depth = 0;
    r.shapes_used = 0;
    bool pickled = r.at < r.end && *r.at == CODEC_PICKLED;
    if (pickled && only_data) {
        return refuse_code();
    }
    r.at += pickled;
    r.holds_collector = !pickled && PyGC_Disable();
    PyObject *obj = pickled ? read_pickled(&r) : read_value(&r);
    forget_shapes(&r);
    forget_all(&r);
    let_collect(&r);
    return obj;
}

PyObject *
subi_decode(module_state *state, const subi_message *m)
{
    return decode(state, m, false);
}

PyObject *
subi_decode_data(const subi_message *m)
{
    PyObject *obj = decode(NULL, m, true);
    if (obj == NULL) {
        PyErr_Clear();
    }
    return obj;
}
