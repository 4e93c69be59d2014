// SPDX-License-Identifier: MIT
//
// Memory that belongs to no interpreter.
#include <stdatomic.h>
#include <stdlib.h>

#include "subinterp.h"

struct subi_memory {
    _Atomic size_t references;
    size_t size;  // set once
    unsigned char
        *bytes;  // set once; a block of its own, so that large ones are pages not yet touched
};

subi_result
subi_memory_new(size_t size, subi_memory **out)
{
    subi_memory *m = malloc(sizeof(*m));
    unsigned char *bytes = calloc(size > 0 ? size : 1, 1);
    if (m == NULL || bytes == NULL) {
        free(m);
        free(bytes);
        return SUBI_NOMEM;
    }
    atomic_init(&m->references, 1);
    m->size = size;
    m->bytes = bytes;
    *out = m;
    return SUBI_OK;
}

void
subi_memory_hold(subi_memory *m)
{
    // relaxed: the caller has a reference
    atomic_fetch_add_explicit(&m->references, 1, memory_order_relaxed);
}

void
subi_memory_drop(subi_memory *m)
{
    // release, and acquire on the last: all use by others is over before we free
    if (atomic_fetch_sub_explicit(&m->references, 1, memory_order_acq_rel) == 1) {
        free(m->bytes);
        free(m);
    }
}

unsigned char *
subi_memory_bytes(subi_memory *m)
{
    return m->bytes;
}

size_t
subi_memory_size(const subi_memory *m)
{
    return m->size;
}

static void
free_segment(void *owner)
{
    subi_memory_drop(owner);
}

subi_segment
subi_memory_segment(subi_memory *m)
{
    subi_memory_hold(m);
    return (subi_segment){.data = m->bytes, .size = m->size, .free = free_segment, .owner = m};
}
