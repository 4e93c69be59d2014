// SPDX-License-Identifier: MIT
//
// The format of a block: one value, written as a tag byte and what it says.
//   N F T             None, False, True
//   i <8 bytes>       int that fits in 64 bits
//   I <size> <bytes>  any other int: two's complement, little endian
//   f <8 bytes>       float
//   b <size> <bytes>  bytes
//   s <class> <length> <units>  str as it is in memory; class 0 is ASCII, else the size of a unit
//   ( <length> <values>  tuple
//   h <type> <segment>   handle; the segment with that number keeps its object alive
// Sizes, lengths and numbers are LEB128; everything else is in the machine's byte order, since it
// never leaves the process.
#include "codec.h"

#include <string.h>

#include "channel_type.h"
#include "legacy/ids.h"

#define WRITE_FIRST 128

typedef struct writer {
    module_state *state;
    subi_block *block;
    size_t used;  // <= the block's size
} writer;

typedef struct reader {
    module_state *state;
    subi_block *block;
    const unsigned char *at, *end;
} reader;

// ---- writing ----------------------------------------------------------------------------------

// Room for n more bytes, or NULL with MemoryError.
static unsigned char *
reserve(writer *w, size_t n)
{
    size_t size = subi_block_size(w->block);
    if (size - w->used < n) {
        size_t want = n > SIZE_MAX / 4 - size ? 0 : w->used + n;
        // a single large value gets the room it needs, many small ones double it
        want = want > size * 2 ? want : size * 2;
        if (n > SIZE_MAX / 4 - size || subi_block_resize(&w->block, want) != SUBI_OK) {
            PyErr_NoMemory();
            return NULL;
        }
    }
    unsigned char *p = subi_block_bytes(w->block) + w->used;
    w->used += n;
    return p;
}

static int
write_tagged(writer *w, char tag, const void *data, size_t n)
{
    unsigned char *p = reserve(w, 1 + n);
    if (p == NULL) {
        return -1;
    }
    p[0] = (unsigned char)tag;
    if (n > 0) {
        memcpy(p + 1, data, n);
    }
    return 0;
}

static int
write_number(writer *w, uint64_t n)
{
    unsigned char buf[10];
    size_t len = 0;
    do {
        buf[len++] = (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
        n >>= 7;
    } while (n != 0);
    unsigned char *p = reserve(w, len);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, buf, len);
    return 0;
}

static int
write_sized(writer *w, char tag, const void *data, size_t n)
{
    if (write_tagged(w, tag, NULL, 0) < 0 || write_number(w, n) < 0) {
        return -1;
    }
    unsigned char *p = reserve(w, n);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, data, n);
    return 0;
}

static int
write_big_int(writer *w, PyObject *obj)
{
    // one more bit than the magnitude, for the sign
    PyObject *bits = PyObject_CallMethod(obj, "bit_length", NULL);
    if (bits == NULL) {
        return -1;
    }
    size_t n = PyLong_AsSize_t(bits) / 8 + 1;
    Py_DECREF(bits);
    if (PyErr_Occurred() || write_tagged(w, 'I', NULL, 0) < 0 || write_number(w, n) < 0) {
        return -1;
    }
    unsigned char *p = reserve(w, n);
    if (p == NULL) {
        return -1;
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_AsNativeBytes(obj, p, (Py_ssize_t)n, Py_ASNATIVEBYTES_LITTLE_ENDIAN) < 0 ? -1 : 0;
#else
    return _PyLong_AsByteArray((PyLongObject *)obj, p, n, 1, 1);
#endif
}

static int
write_str(writer *w, PyObject *obj)
{
    int kind = PyUnicode_KIND(obj);
    size_t length = (size_t)PyUnicode_GET_LENGTH(obj);
    unsigned char head[2] = {'s', (unsigned char)(PyUnicode_IS_ASCII(obj) ? 0 : kind)};
    unsigned char *p = reserve(w, 2);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, head, 2);
    if (write_number(w, length) < 0) {
        return -1;
    }
    p = reserve(w, length * (size_t)kind);
    if (p == NULL) {
        return -1;
    }
    memcpy(p, PyUnicode_DATA(obj), length * (size_t)kind);
    return 0;
}

static int
write_handle(writer *w, char type, subi_segment segment)
{
    size_t number = subi_block_segment_count(w->block);
    if (subi_block_attach(w->block, segment) != SUBI_OK) {
        segment.free(segment.owner);
        PyErr_NoMemory();
        return -1;
    }
    return write_tagged(w, 'h', &type, 1) < 0 ? -1 : write_number(w, number);
}

static int
raise_not_shareable(writer *w, PyObject *obj)
{
    PyErr_Format(w->state->NotShareableError,
                 "%.200s object cannot be sent to another interpreter: expected None, bool, int, "
                 "float, str, bytes, a channel end, or a tuple of these",
                 Py_TYPE(obj)->tp_name);
    return -1;
}

static int write_value(writer *w, PyObject *obj);

static int
write_tuple(writer *w, PyObject *obj)
{
    Py_ssize_t n = PyTuple_GET_SIZE(obj);
    if (write_tagged(w, '(', NULL, 0) < 0 || write_number(w, (uint64_t)n) < 0 ||
        Py_EnterRecursiveCall(" while sending a tuple to another interpreter")) {
        return -1;
    }
    int r = 0;
    for (Py_ssize_t i = 0; i < n && r == 0; i++) {
        r = write_value(w, PyTuple_GET_ITEM(obj, i));
    }
    Py_LeaveRecursiveCall();
    return r;
}

static int
write_int(writer *w, PyObject *obj)
{
    int overflow;
    int64_t value = PyLong_AsLongLongAndOverflow(obj, &overflow);
    return overflow ? write_big_int(w, obj) : write_tagged(w, 'i', &value, sizeof(value));
}

static int
write_value(writer *w, PyObject *obj)
{
    if (obj == Py_None || PyBool_Check(obj)) {
        return write_tagged(w, obj == Py_None ? 'N' : obj == Py_True ? 'T' : 'F', NULL, 0);
    }
    if (PyLong_CheckExact(obj)) {
        return write_int(w, obj);
    }
    if (PyUnicode_CheckExact(obj)) {
        return write_str(w, obj);
    }
    if (PyBytes_CheckExact(obj)) {
        return write_sized(w, 'b', PyBytes_AS_STRING(obj), (size_t)PyBytes_GET_SIZE(obj));
    }
    if (PyFloat_CheckExact(obj)) {
        double value = PyFloat_AS_DOUBLE(obj);
        return write_tagged(w, 'f', &value, sizeof(value));
    }
    if (PyTuple_CheckExact(obj)) {
        return write_tuple(w, obj);
    }
    subi_segment segment;
    char type;
    if (subi_channel_end_pack(w->state, obj, &type, &segment) ||
        subi_channel_id_pack(w->state, obj, &type, &segment)) {
        return write_handle(w, type, segment);
    }
    return raise_not_shareable(w, obj);
}

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

int
subi_encode(module_state *state, PyObject *obj, subi_message *m)
{
    if (encode_inline(obj, m)) {
        return 0;
    }
    writer w = {.state = state, .block = subi_block_new(WRITE_FIRST)};
    if (w.block == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (write_value(&w, obj) < 0) {
        subi_block_drop(w.block);
        return -1;
    }
    if (subi_block_size(w.block) > 2 * w.used) {
        subi_block_resize(&w.block, w.used);  // shrinking: when it fails, nothing is lost
    }
    *m = subi_message_block(w.block);
    return 0;
}

// ---- reading ----------------------------------------------------------------------------------

static PyObject *
raise_malformed(void)
{
    PyErr_SetString(PyExc_SystemError, "malformed message from another interpreter");
    return NULL;
}

// The next n bytes, or NULL with an exception.
static const unsigned char *
take(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        raise_malformed();
        return NULL;
    }
    r->at += n;
    return r->at - n;
}

static int
read_number(reader *r, uint64_t *n)
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
    raise_malformed();
    return -1;
}

static PyObject *
new_str(int class, size_t length, const void *units)
{
    static const Py_UCS4 max_of_class[] = {0x7f, 0xff, 0xffff, 0, 0x10ffff};
    PyObject *s = PyUnicode_New((Py_ssize_t)length, max_of_class[class]);
    if (s != NULL && length > 0) {
        memcpy(PyUnicode_DATA(s), units, length * (size_t)PyUnicode_KIND(s));
    }
    return s;
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
        return raise_malformed();
    }
    return new_str(*class, length, take(r, length * unit));
}

static PyObject *
read_sized(reader *r, char tag)
{
    uint64_t n;
    if (read_number(r, &n) < 0) {
        return NULL;
    }
    const unsigned char *p = take(r, n);
    if (p == NULL) {
        return NULL;
    }
    if (tag == 'b') {
        return PyBytes_FromStringAndSize((const char *)p, (Py_ssize_t)n);
    }
#if PY_VERSION_HEX >= 0x030D0000
    return PyLong_FromNativeBytes(p, n, Py_ASNATIVEBYTES_LITTLE_ENDIAN);
#else
    return _PyLong_FromByteArray(p, n, 1, 1);
#endif
}

static PyObject *read_value(reader *r);

static PyObject *
read_tuple(reader *r)
{
    uint64_t n;
    if (read_number(r, &n) < 0) {
        return NULL;
    }
    if (n > (size_t)(r->end - r->at)) {
        return raise_malformed();
    }
    PyObject *t = PyTuple_New((Py_ssize_t)n);
    if (t == NULL) {
        return NULL;
    }
    if (Py_EnterRecursiveCall(" while receiving a tuple from another interpreter")) {
        Py_DECREF(t);
        return NULL;
    }
    for (Py_ssize_t i = 0; i < (Py_ssize_t)n; i++) {
        PyObject *item = read_value(r);
        if (item == NULL) {
            Py_CLEAR(t);
            break;
        }
        PyTuple_SET_ITEM(t, i, item);
    }
    Py_LeaveRecursiveCall();
    return t;
}

static PyObject *
read_handle(reader *r)
{
    const unsigned char *type = take(r, 1);
    uint64_t number;
    if (type == NULL || read_number(r, &number) < 0) {
        return NULL;
    }
    const subi_segment *segment = subi_block_segment(r->block, number);
    if (segment == NULL) {
        return raise_malformed();
    }
    if (*type == SUBI_HANDLE_CHANNEL_ID_BOTH || *type == SUBI_HANDLE_CHANNEL_ID_SEND ||
        *type == SUBI_HANDLE_CHANNEL_ID_RECV) {
        return subi_channel_id_unpack(r->state, (char)*type, segment);
    }
    return subi_channel_end_unpack(r->state, (char)*type, segment);
}

static PyObject *
read_value(reader *r)
{
    const unsigned char *tag = take(r, 1);
    const unsigned char *p;
    int64_t integer;
    double real;
    if (tag == NULL) {
        return NULL;
    }
    switch (*tag) {
    case 'N':
        Py_RETURN_NONE;
    case 'F':
        Py_RETURN_FALSE;
    case 'T':
        Py_RETURN_TRUE;
    case 'i':
        if ((p = take(r, sizeof(integer))) == NULL) {
            return NULL;
        }
        memcpy(&integer, p, sizeof(integer));
        return PyLong_FromLongLong(integer);
    case 'f':
        if ((p = take(r, sizeof(real))) == NULL) {
            return NULL;
        }
        memcpy(&real, p, sizeof(real));
        return PyFloat_FromDouble(real);
    case 's':
        return read_str(r);
    case 'b':
    case 'I':
        return read_sized(r, (char)*tag);
    case '(':
        return read_tuple(r);
    case 'h':
        return read_handle(r);
    default:
        return raise_malformed();
    }
}

PyObject *
subi_decode(module_state *state, const subi_message *m)
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
        return new_str(0, m->size, m->u.small);
    case SUBI_TAG_BYTES:
        return PyBytes_FromStringAndSize(m->u.small, m->size);
    case SUBI_TAG_BLOCK:
        break;
    default:
        return raise_malformed();
    }
    const unsigned char *bytes = subi_block_bytes(m->u.block);
    reader r = {.state = state,
                .block = m->u.block,
                .at = bytes,
                .end = bytes + subi_block_size(m->u.block)};
    return read_value(&r);
}
