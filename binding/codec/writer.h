// SPDX-License-Identifier: MIT
//
// A message that is being written. The functions return -1 with an exception set.
#ifndef SUBI_WRITER_H
#define SUBI_WRITER_H

#include <string.h>

#include "format.h"
#include "memo.h"
#include "shapes.h"
#include "state.h"

typedef struct writer {
    module_state *state;
    subi_block *block;
    unsigned char *at, *end;  // of the block; what comes before `at` has been written
    memo memo;
    shapes shapes;
    values values;          // of the dicts with shapes that are being written
    unsigned depth;         // how many containers we are in
    unsigned hashing;       // > 0: in a key, or in a set
    bool keep_arrays;       // pickle them: see subi_encode_keeping_arrays
    PyTypeObject *unknown;  // a reference: what is left to pickle; NULL: nothing yet
} writer;

static inline size_t
used(const writer *w)
{
    return (size_t)(w->at - subi_block_bytes(w->block));
}

static inline void
point_into(writer *w, size_t done)
{
    w->at = subi_block_bytes(w->block) + done;
    w->end = subi_block_bytes(w->block) + subi_block_size(w->block);
}

// -1 with MemoryError.
int subi_writer_grow(writer *w, size_t n);

// Room for n more bytes, or NULL with MemoryError.
static inline unsigned char *
reserve(writer *w, size_t n)
{
    if ((size_t)(w->end - w->at) < n && subi_writer_grow(w, n) < 0) {
        return NULL;
    }
    w->at += n;
    return w->at - n;
}

// A tag byte alone.
static inline int
write_tag(writer *w, unsigned tag)
{
    unsigned char *p = reserve(w, 1);
    if (p == NULL) {
        return -1;
    }
    *p = (unsigned char)tag;
    return 0;
}

static inline int
write_tagged(writer *w, codec_tag tag, const void *data, size_t n)
{
    unsigned char *p = reserve(w, 1 + n);
    if (p == NULL) {
        return -1;
    }
    p[0] = (unsigned char)tag;
    memcpy(p + 1, data, n);
    return 0;
}

static inline int
write_number(writer *w, uint64_t n)
{
    unsigned char *p = reserve(w, 10);
    if (p == NULL) {
        return -1;
    }
    while (n > 0x7f) {
        *p++ = (unsigned char)(n | 0x80);
        n >>= 7;
    }
    *p++ = (unsigned char)n;
    w->at = p;
    return 0;
}

#endif
