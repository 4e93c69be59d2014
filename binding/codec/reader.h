// SPDX-License-Identifier: MIT
//
// A message that is being read.
#ifndef SUBI_READER_H
#define SUBI_READER_H

#include <string.h>

#include "format.h"
#include "state.h"

// A value that may be referred to again.
typedef struct remembered {
    PyObject *object;  // a reference; NULL: it has not been made yet
    bool complete;     // and so is all that is in it
} remembered;

// Keys that several dicts have. References.
typedef struct read_shape {
    PyObject *keys;   // a tuple
    PyObject *plain;  // a dict with these keys, and None for each; NULL: only one has been read
} read_shape;

typedef struct reader {
    module_state *state;
    subi_block *block;
    const unsigned char *at, *end;
    remembered *memo;
    size_t memo_count, memo_room;
    size_t loose;          // how often something incomplete has been referred to
    unsigned depth;        // how many containers we are in
    uint32_t shapes_used;  // bit i: shapes[i] is one; what is not is uninitialised
    read_shape shapes[CODEC_SHAPES];
    unsigned hashing;      // > 0: in what will be a key, or in a set
    bool only_data;        // what may run code of Python's is refused
    bool holds_collector;  // whether it is disabled until this is read, or code of Python runs
} reader;

// SystemError, and NULL.
PyObject *subi_raise_malformed(void);

// The next n bytes, or NULL with an exception.
static inline const unsigned char *
take(reader *r, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        subi_raise_malformed();
        return NULL;
    }
    r->at += n;
    return r->at - n;
}

static inline bool
take_into(reader *r, void *data, size_t n)
{
    const unsigned char *p = take(r, n);
    if (p != NULL) {
        memcpy(data, p, n);
    }
    return p != NULL;
}

// The many containers of a message would make the collector look at all of them, and none is garbage.
static inline void
let_collect(reader *r)
{
    if (r->holds_collector) {
        PyGC_Enable();
        r->holds_collector = false;
    }
}

int subi_read_long_number(reader *r, uint64_t *n);

// -1 with an exception set.
static inline int
read_number(reader *r, uint64_t *n)
{
    if (r->at < r->end && *r->at < 0x80) {
        *n = *r->at++;
        return 0;
    }
    return subi_read_long_number(r, n);
}

// A copy of these.
PyObject *subi_new_bytes(const void *data, size_t size);

#endif
