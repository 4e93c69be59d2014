// SPDX-License-Identifier: MIT
#include "codec.h"

#include "depth.h"
#include "function.h"
#include "handles.h"
#include "writer.h"

#define WRITE_FIRST 128
#define GROW_FAST   (16 * 1024)
#define LEND_BYTES  ((Py_ssize_t)1 << 17)  // bytes so long are copied once, by the receiver
#define LONG_TEXT   64  // bytes: a str or bytes so long is worth a look at whether it was written

// ---- bytes ------------------------------------------------------------------------------------

// A single large value gets the room that it needs; many small ones double it, or more at first.
int
subi_writer_grow(writer *w, size_t n)
{
    size_t size = subi_block_size(w->block), done = used(w);
    bool fits = n <= SIZE_MAX / 4 - size;
    size_t larger = size * (size < GROW_FAST ? 4 : 2);
    size_t want = fits && done + n > larger ? done + n : larger;
    if (!fits || subi_block_resize(&w->block, want) != SUBI_OK) {
        PyErr_NoMemory();
        return -1;
    }
    point_into(w, done);
    return 0;
}

static int
write_sized(writer *w, codec_tag tag, const void *data, size_t n)
{
    if (write_tag(w, tag) < 0 || write_number(w, n) < 0) {
        return -1;
    }
    unsigned char *p = reserve(w, n);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, data, n);
    return 0;
}

// ---- simple values ----------------------------------------------------------------------------

static int
write_big_int(writer *w, PyObject *obj)
{
#if PY_VERSION_HEX >= 0x030D0000
    Py_ssize_t n = PyLong_AsNativeBytes(obj, NULL, 0, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
    if (n < 0) {
        return -1;
    }
#else
    size_t bits = _PyLong_NumBits(obj);
    if (bits == (size_t)-1 && PyErr_Occurred()) {
        return -1;
    }
    size_t n = bits / 8 + 1;  // one more bit than the magnitude, for the sign
#endif
    if (write_tag(w, CODEC_BIG_INT) < 0 || write_number(w, (uint64_t)n) < 0) {
        return -1;
    }
    unsigned char *p = reserve(w, (size_t)n);
    if (p == NULL) {
        return -1;
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_AsNativeBytes(obj, p, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0 ? -1 : 0;
#else
    return _PyLong_AsByteArray((PyLongObject *)obj, p, n, 1, 1);
#endif
}

static int
write_long_str(writer *w, PyObject *obj)
{
    int kind = PyUnicode_KIND(obj);
    size_t length = (size_t)PyUnicode_GET_LENGTH(obj);
    unsigned char class = (unsigned char)(PyUnicode_IS_ASCII(obj) ? 0 : kind);
    if (write_tagged(w, CODEC_STR, &class, 1) < 0 || write_number(w, length) < 0) {
        return -1;
    }
    unsigned char *p = reserve(w, length * (size_t)kind);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, PyUnicode_DATA(obj), length * (size_t)kind);
    return 0;
}

static inline int
write_str(writer *w, PyObject *obj)
{
    size_t length = (size_t)PyUnicode_GET_LENGTH(obj);
    if (length > CODEC_SHORT_MAX || !PyUnicode_IS_COMPACT_ASCII(obj)) {
        return write_long_str(w, obj);
    }
    return write_tagged(w, CODEC_SHORT_STR | length, PyUnicode_DATA(obj), length);
}

static int
write_all_bytes(writer *w, PyObject *obj)
{
    return write_sized(w, CODEC_BYTES, PyBytes_AS_STRING(obj), (size_t)PyBytes_GET_SIZE(obj));
}

static int
write_bytes(writer *w, PyObject *obj)
{
    bool is_long = PyBytes_GET_SIZE(obj) >= LEND_BYTES && w->state != NULL;
    int r = is_long ? subi_write_long_bytes(w, obj) : 1;
    return r > 0 ? write_all_bytes(w, obj) : r;
}

// -1 without an exception.
static int
leave_to_pickle(writer *w, PyObject *obj)
{
    w->unknown = (PyTypeObject *)Py_NewRef(Py_TYPE(obj));
    return -1;
}

// ---- what comes again --------------------------------------------------------------------------

// 1: obj was written before, and this says so. 0: obj is to be written. -1: an exception. Where nobody
// but its container, or the caller, and who writes it have references, it cannot come again.
static int
write_again(writer *w, PyObject *obj)
{
    size_t number;
    if (Py_REFCNT(obj) <= 2) {
        return 0;
    }
    int r = subi_memo_add(&w->memo, obj, &number);
    if (r == 0) {
        return write_tag(w, CODEC_REMEMBER);
    }
    return r < 0 || write_tag(w, CODEC_AGAIN) < 0 || write_number(w, number) < 0 ? -1 : 1;
}

// ---- containers -------------------------------------------------------------------------------

static int write_value(writer *w, PyObject *obj);
static int write_held(writer *w, PyObject *obj);

// Dicts often have the same keys.
static int
write_key(writer *w, PyObject *key)
{
    Py_INCREF(key);
    int r = PyUnicode_CheckExact(key) ? write_again(w, key) : 0;
    if (r == 0) {
        w->hashing++;
        r = PyUnicode_CheckExact(key) ? write_str(w, key) : write_held(w, key);
        w->hashing--;
    }
    Py_DECREF(key);
    return r < 0 ? -1 : 0;
}

static int
raise_changed(const PyObject *obj)
{
    PyErr_Format(PyExc_RuntimeError, "%s was changed while it was sent", Py_TYPE(obj)->tp_name);
    return -1;
}

static int
write_tuple(writer *w, PyObject *obj)
{
    int r = write_tag(w, CODEC_TUPLE) < 0 ? -1 : write_number(w, (uint64_t)PyTuple_GET_SIZE(obj));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(obj) && r == 0; i++) {
        r = write_value(w, PyTuple_GET_ITEM(obj, i));
    }
    return r;
}

static int
write_list(writer *w, PyObject *obj)
{
    Py_ssize_t n = PyList_GET_SIZE(obj);
    int r = write_tag(w, CODEC_LIST) < 0 ? -1 : write_number(w, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n && r == 0; i++) {
        r = i < PyList_GET_SIZE(obj) ? write_value(w, PyList_GET_ITEM(obj, i)) : raise_changed(obj);
    }
    return r < 0 || PyList_GET_SIZE(obj) == n ? r : raise_changed(obj);
}

// What comes before the values of a dict with that shape.
static int
write_shape(writer *w, PyObject **keys, Py_ssize_t n)
{
    unsigned number;
    if (subi_shapes_find(&w->shapes, keys, n, &number)) {
        return write_tag(w, CODEC_SHAPED) < 0 ? -1 : write_number(w, number);
    }
    int r = write_tag(w, CODEC_SHAPE) < 0 || write_number(w, number) < 0 ? -1 : 0;
    r = r < 0 ? -1 : write_number(w, (uint64_t)n);
    for (Py_ssize_t i = 0; i < n && r == 0; i++) {
        r = write_key(w, keys[i]);
    }
    return r;
}

// 1: the dict has a shape; what comes before its values is written, and they are in w->values, each
// with a reference. A function of its own, since what is nested needs the C stack.
static Py_NO_INLINE int
begin_shaped(writer *w, PyObject *obj, Py_ssize_t n)
{
    PyObject *keys[CODEC_SHAPE_KEYS], *value;
    PyObject **held = subi_values_push(&w->values, (size_t)n);
    Py_ssize_t position = 0, i = 0;
    if (held == NULL) {
        return -1;
    }
    while (i < n && PyDict_Next(obj, &position, &keys[i], &value) &&
           PyUnicode_CheckExact(keys[i])) {
        held[i++] = value;
    }
    int r = i == n ? 1 : 0;
    if (r == 0 || write_shape(w, keys, n) < 0) {
        subi_values_pop(&w->values, (size_t)n, 0);
        return r == 0 ? 0 : -1;
    }
    for (i = 0; i < n; i++) {
        Py_INCREF(held[i]);
    }
    return 1;
}

static int
raise_if_size_changed(PyObject *dict, Py_ssize_t n)
{
    return PyDict_GET_SIZE(dict) == n ? 0 : raise_changed(dict);
}

static int
write_shaped_values(writer *w, PyObject *obj, Py_ssize_t n)
{
    size_t first = w->values.count - (size_t)n;
    int r = 0;
    for (size_t i = 0; i < (size_t)n && r == 0; i++) {
        r = write_held(w, w->values.held[first + i]);
    }
    subi_values_pop(&w->values, (size_t)n, (size_t)n);
    return r < 0 ? -1 : raise_if_size_changed(obj, n);
}

static int
write_any_dict(writer *w, PyObject *obj)
{
    Py_ssize_t n = PyDict_GET_SIZE(obj), left = n, position = 0;
    PyObject *key, *value;
    int r = write_tag(w, CODEC_DICT) < 0 ? -1 : write_number(w, (uint64_t)n);
    while (r == 0 && left > 0 && PyDict_Next(obj, &position, &key, &value)) {
        Py_INCREF(value);
        r = write_key(w, key) < 0 || write_held(w, value) < 0 ? -1 : 0;
        Py_DECREF(value);
        left--;
    }
    return r < 0 ? -1 : left == 0 ? raise_if_size_changed(obj, n) : raise_changed(obj);
}

static int
write_dict(writer *w, PyObject *obj)
{
    Py_ssize_t n = PyDict_GET_SIZE(obj);
    int r = n > 0 && n <= CODEC_SHAPE_KEYS ? begin_shaped(w, obj, n) : 0;
    return r < 0 ? -1 : r > 0 ? write_shaped_values(w, obj, n) : write_any_dict(w, obj);
}

// Of a set or frozenset. The iterator sees only changes of the size.
static int
write_set(writer *w, PyObject *obj)
{
    Py_ssize_t n = PySet_GET_SIZE(obj), left = n;
    PyObject *iterator = PyObject_GetIter(obj), *part;
    int r =
        iterator != NULL ? write_tag(w, PySet_CheckExact(obj) ? CODEC_SET : CODEC_FROZENSET) : -1;
    r = r < 0 ? -1 : write_number(w, (uint64_t)n);
    w->hashing++;
    while (r == 0 && (part = PyIter_Next(iterator)) != NULL) {
        r = left-- > 0 ? write_held(w, part) : raise_changed(obj);
        Py_DECREF(part);
    }
    w->hashing--;
    Py_XDECREF(iterator);
    return r < 0 || PyErr_Occurred() ? -1 : left == 0 ? 0 : raise_changed(obj);
}

static int
write_container(writer *w, int (*write)(writer *, PyObject *), PyObject *obj)
{
    if (!subi_depth_enter(w->depth, " while sending an object to another interpreter")) {
        return -1;
    }
    w->depth++;
    int r = write(w, obj);
    subi_depth_leave(--w->depth);
    return r;
}

// ---- values -----------------------------------------------------------------------------------

static int
write_int64(writer *w, int64_t value)
{
    if (value >= 0 && value <= CODEC_SHORT_MAX) {
        return write_tag(w, CODEC_SMALL_INT | (unsigned)value);
    }
    int32_t narrow = (int32_t)value;
    return narrow == value ? write_tagged(w, CODEC_INT32, &narrow, sizeof(narrow))
                           : write_tagged(w, CODEC_INT, &value, sizeof(value));
}

static int
write_int(writer *w, PyObject *obj)
{
#if PY_VERSION_HEX >= 0x030C0000
    if (PyUnstable_Long_IsCompact((PyLongObject *)obj)) {
        return write_int64(w, PyUnstable_Long_CompactValue((PyLongObject *)obj));
    }
#endif
    int overflow;
    int64_t value = PyLong_AsLongLongAndOverflow(obj, &overflow);
    return overflow ? write_big_int(w, obj) : write_int64(w, value);
}

static int
write_float(writer *w, PyObject *obj)
{
    double value = PyFloat_AS_DOUBLE(obj);
    return write_tagged(w, CODEC_FLOAT, &value, sizeof(value));
}

static int
write_complex(writer *w, PyObject *obj)
{
    double parts[] = {PyComplex_RealAsDouble(obj), PyComplex_ImagAsDouble(obj)};
    return write_tagged(w, CODEC_COMPLEX, parts, sizeof(parts));
}

static int
write_function(writer *w, PyObject *obj)
{
    PyObject *description = subi_function_describe(obj);
    if (description == NULL) {
        return PyErr_Occurred() ? -1 : leave_to_pickle(w, obj);
    }
    int r = write_tag(w, CODEC_FUNCTION) < 0 ? -1 : write_value(w, description);
    Py_DECREF(description);
    return r;
}

// An array of numpy's, or what stands for one.
static bool
is_array(PyObject *obj)
{
    return !PyMemoryView_Check(obj) &&
           PyObject_HasAttrString((PyObject *)Py_TYPE(obj), "__array__");
}

static int
write_else(writer *w, PyObject *obj)
{
    int r = subi_write_handle(w, obj);
    if (r <= 0) {
        return r;
    }
    if (!PyObject_CheckBuffer(obj)) {
        return write_function(w, obj);
    }
    r = w->keep_arrays && is_array(obj) ? 1 : subi_write_lent(w, obj);
    return r > 0 ? leave_to_pickle(w, obj) : r;
}

static int
write_compound(writer *w, PyObject *obj, PyTypeObject *type)
{
    if (type == &PyDict_Type) {
        return write_container(w, write_dict, obj);
    }
    if (type == &PyList_Type) {
        return write_container(w, write_list, obj);
    }
    if (type == &PyTuple_Type) {
        return write_container(w, write_tuple, obj);
    }
    if (type == &PySet_Type || type == &PyFrozenSet_Type) {
        return write_container(w, write_set, obj);
    }
    if (type == &PyUnicode_Type) {
        return write_long_str(w, obj);
    }
    if (type == &PyBytes_Type) {
        return write_bytes(w, obj);
    }
    return write_else(w, obj);
}

// What refers to nothing else and is short: no code of Python runs meanwhile. 1: obj is no such thing.
static inline int
write_simple(writer *w, PyObject *obj, PyTypeObject *type)
{
    if (type == &PyUnicode_Type) {
        return PyUnicode_GET_LENGTH(obj) < LONG_TEXT ? write_str(w, obj) : 1;
    }
    if (type == &PyLong_Type) {
        return write_int(w, obj);
    }
    if (type == &PyFloat_Type) {
        return write_float(w, obj);
    }
    if (obj == Py_None) {
        return write_tag(w, CODEC_NONE);
    }
    if (type == &PyBool_Type) {
        return write_tag(w, obj == Py_True ? CODEC_TRUE : CODEC_FALSE);
    }
    if (type == &PyBytes_Type && PyBytes_GET_SIZE(obj) < LONG_TEXT) {
        return write_all_bytes(w, obj);
    }
    return type == &PyComplex_Type ? write_complex(w, obj) : 1;
}

// Which objects are one and the same matters for those that can be changed, or that lead to such; for
// long ones it saves room. Short texts are looked for where they are keys.
static int
write_held(writer *w, PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    int r = write_simple(w, obj, type);
    if (r > 0) {
        r = write_again(w, obj);
        r = r == 0 ? write_compound(w, obj, type) : r;
    }
    return r < 0 ? -1 : 0;
}

// obj may be dropped meanwhile: the buffer protocol can call Python code.
static int
write_value(writer *w, PyObject *obj)
{
    int r = write_simple(w, obj, Py_TYPE(obj));
    if (r > 0) {
        Py_INCREF(obj);
        r = write_again(w, obj);
        r = r == 0 ? write_compound(w, obj, Py_TYPE(obj)) : r;
        Py_DECREF(obj);
    }
    return r < 0 ? -1 : 0;
}

// ---- messages ---------------------------------------------------------------------------------

// Values that fit into the message itself. False: obj needs a block.
static bool
encode_inline(PyObject *obj, subi_message *m)
{
    if (obj == Py_None) {
        m->tag = SUBI_TAG_NONE;
    }
    else if (PyBool_Check(obj)) {
        m->tag = obj == Py_True ? SUBI_TAG_TRUE : SUBI_TAG_FALSE;
    }
    else if (PyLong_CheckExact(obj)) {
        int overflow;
        m->u.integer = PyLong_AsLongLongAndOverflow(obj, &overflow);
        m->tag = SUBI_TAG_INTEGER;
        return !overflow;
    }
    else if (PyFloat_CheckExact(obj)) {
        m->u.real = PyFloat_AS_DOUBLE(obj);
        m->tag = SUBI_TAG_REAL;
    }
    else if (PyBytes_CheckExact(obj) && PyBytes_GET_SIZE(obj) <= SUBI_SMALL_MAX) {
        m->tag = SUBI_TAG_BYTES;
        m->size = (uint8_t)PyBytes_GET_SIZE(obj);
        memcpy(m->u.small, PyBytes_AS_STRING(obj), m->size);
    }
    else if (PyUnicode_CheckExact(obj) && PyUnicode_IS_ASCII(obj) &&
             PyUnicode_GET_LENGTH(obj) <= SUBI_SMALL_MAX) {
        m->tag = SUBI_TAG_TEXT;
        m->size = (uint8_t)PyUnicode_GET_LENGTH(obj);
        memcpy(m->u.small, PyUnicode_DATA(obj), m->size);
    }
    else {
        return false;
    }
    return true;
}

// *unknown: see the writer; then there is no exception.
static int
encode_block(module_state *state, PyObject *obj, int (*write)(writer *, PyObject *),
             bool keep_arrays, subi_message *m, PyTypeObject **unknown)
{
    writer w;
    w.keep_arrays = keep_arrays;
    w.state = state;
    w.block = subi_block_new(WRITE_FIRST);
    w.depth = w.hashing = 0;
    w.unknown = *unknown = NULL;
    if (w.block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    point_into(&w, 0);
    subi_memo_init(&w.memo);
    subi_shapes_init(&w.shapes);
    subi_values_init(&w.values);
    int r = write(&w, obj);
    subi_values_fini(&w.values);
    subi_shapes_fini(&w.shapes);
    subi_memo_fini(&w.memo);
    *unknown = w.unknown;
    if (r < 0) {
        subi_block_drop(w.block);
        return -1;
    }
    size_t size = subi_block_size(w.block);
    if (size > 2 * used(&w)) {
        subi_block_resize(&w.block, used(&w));  // shrinking: when it fails, nothing is lost
    }
    else if (size <= CODEC_COMPARABLE) {
        memset(subi_block_bytes(w.block) + used(&w), 0, size - used(&w));
    }
    *m = subi_message_block(w.block);
    return 0;
}

static int
write_pickled(writer *w, PyObject *pickled)
{
    return write_tag(w, CODEC_PICKLED) < 0 ? -1 : write_value(w, pickled);
}

// All of it, since pickle has to see all to know which objects are one and the same.
static int
encode_pickled(module_state *state, PyObject *obj, PyTypeObject *unknown, subi_message *m)
{
    int r = -1;
    PyTypeObject *still_unknown = NULL;
    PyObject *pickling = PyImport_ImportModule(CODEC_PICKLING);
    PyObject *pickled = pickling != NULL
                            ? PyObject_CallMethod(pickling, "dumps", "Os", obj, unknown->tp_name)
                            : NULL;
    if (pickled != NULL) {
        r = encode_block(state, pickled, write_pickled, false, m, &still_unknown);
    }
    if (still_unknown != NULL) {
        Py_DECREF(still_unknown);
        PyErr_SetString(PyExc_SystemError, CODEC_PICKLING ".dumps returned what cannot be sent");
    }
    Py_XDECREF(pickled);
    Py_XDECREF(pickling);
    return r;
}

static int
encode(module_state *state, PyObject *obj, bool keep_arrays, subi_message *m)
{
    PyTypeObject *unknown;
    if (encode_inline(obj, m)) {
        return 0;
    }
    int r = encode_block(state, obj, write_value, keep_arrays, m, &unknown);
    if (unknown != NULL) {
        r = encode_pickled(state, obj, unknown, m);
        Py_DECREF(unknown);
    }
    return r;
}

int
subi_encode(module_state *state, PyObject *obj, subi_message *m)
{
    return encode(state, obj, false, m);
}

int
subi_encode_keeping_arrays(module_state *state, PyObject *obj, subi_message *m)
{
    return encode(state, obj, true, m);
}

static bool
is_handle(module_state *state, PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    return type == state->recv_channel_type || type == state->send_channel_type ||
           type == state->queue_type || type == state->channel_id_type;
}

bool
subi_is_shareable(module_state *state, PyObject *obj)
{
    if (PyTuple_CheckExact(obj)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(obj); i++) {
            if (!subi_is_shareable(state, PyTuple_GET_ITEM(obj, i))) {
                return false;
            }
        }
        return true;
    }
    return obj == Py_None || PyBool_Check(obj) || PyLong_CheckExact(obj) ||
           PyFloat_CheckExact(obj) || PyBytes_CheckExact(obj) || PyUnicode_CheckExact(obj) ||
           Py_IS_TYPE(obj, &PyMemoryView_Type) || is_handle(state, obj);
}

int
subi_encode_buffer(module_state *state, PyObject *obj, subi_message *m)
{
    PyTypeObject *unknown;
    if (!PyObject_CheckBuffer(obj)) {
        PyErr_Format(PyExc_TypeError, "expected an object with the buffer protocol, got %.100s",
                     Py_TYPE(obj)->tp_name);
        return -1;
    }
    return encode_block(state, obj, subi_write_buffer, false, m, &unknown);
}
