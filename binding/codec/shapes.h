// SPDX-License-Identifier: MIT
//
// What is remembered of the dicts that have been written: records have the same keys again and again,
// which then are written once. A shape is such keys, in their order; which objects they are decides.
#ifndef SUBI_SHAPES_H
#define SUBI_SHAPES_H

#include "format.h"
#include "state.h"

typedef struct shape {
    Py_ssize_t count;                  // of keys
    PyObject *keys[CODEC_SHAPE_KEYS];  // references: else an address might become another key's
} shape;

typedef struct shapes {
    uint32_t used;  // bit i: known[i] is a shape; what is not is uninitialised
    shape known[CODEC_SHAPES];
} shapes;

void subi_shapes_init(shapes *s);
void subi_shapes_fini(shapes *s);

// True: these keys, 1 to CODEC_SHAPE_KEYS, are known, as *number. False: from now on they are, in the
// place of others.
bool subi_shapes_find(shapes *s, PyObject **keys, Py_ssize_t count, unsigned *number);

// A stack of references; the first ones take no memory.
#define VALUES_FIRST 64

typedef struct values {
    PyObject **held;
    size_t count, room;
    PyObject *first[VALUES_FIRST];
} values;

// It is not to be moved. At the end it has to be empty.
void subi_values_init(values *v);
void subi_values_fini(values *v);

// Room for n references, which the caller fills in; valid until the next push. NULL with MemoryError.
PyObject **subi_values_push(values *v, size_t n);

// Takes back that room, and drops the references in the first `filled` places.
void subi_values_pop(values *v, size_t n, size_t filled);

#endif
