// SPDX-License-Identifier: MIT
//
// All objects of an interpreter that its collector knows, each with a sum over what it refers to,
// which tp_traverse tells for every type: whether any has changed, or another has come. Attached to
// that interpreter, for all of this.
#ifndef SUBI_KNOWN_H
#define SUBI_KNOWN_H

#include "state.h"

// An array that grows, and the collector's visitor that appends to it.
typedef struct subi_pointers {
    PyObject **items;  // borrowed
    size_t count;
    size_t capacity;
    bool failed;  // out of memory
} subi_pointers;

int subi_append_pointer(PyObject *o, void *pointers);

typedef struct subi_noted {
    PyObject *object;  // a reference: its memory is not used for another object
    uint64_t referents;
} subi_noted;

typedef struct subi_known {
    subi_noted *objects;  // a hash table with open addressing
    size_t capacity;      // of it; a power of two
    subi_pointers atoms;  // what those refer to and the collector does not know; references
    destructor dealloc_in_python;  // of instances of classes that Python code has defined
} subi_known;

// Notes all objects. k is zeroed; to be finished also after -1: out of memory, or there are objects
// whose state can change without a trace. in_python is a class that Python code has defined.
int subi_known_init(subi_known *k, PyTypeObject *in_python);
void subi_known_fini(subi_known *k);

bool subi_known_has(const subi_known *k, const PyObject *o);

// Whether no object is there that was not, and each of the others refers to what it referred to. An
// empty set counts for nothing.
bool subi_known_unchanged(const subi_known *k);

// A sum over bytes that continues another one.
uint64_t subi_sum_bytes(uint64_t sum, const void *bytes, size_t size);

#endif
