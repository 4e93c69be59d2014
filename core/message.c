// SPDX-License-Identifier: MIT
#include <stdatomic.h>
#include <stdlib.h>

#include "platform.h"

// malloc makes a mapping for each block of that size, whatever has been freed before (see mallopt), so
// that advice on its pages ends with it.
#define LARGE ((size_t)32 << 20)

struct subi_block {
    _Atomic size_t references;
    size_t size;             // set before the block is sent, like all that follows
    size_t segment_count;    // <= segment_room
    size_t segment_room;     // of segments
    subi_segment *segments;  // NULL when segment_room is 0
    unsigned char bytes[];
};

void
subi_will_fill(void *memory, size_t size)
{
    if (size >= LARGE) {
        subi__advise_large_pages(memory, size);
    }
}

void
subi_message_fini(subi_message *m)
{
    if (m->tag == SUBI_TAG_BLOCK) {
        subi_block_drop(m->u.block);
    }
    *m = subi_message_none();
}

subi_block *
subi_block_new(size_t size)
{
    if (size > SIZE_MAX - sizeof(subi_block)) {
        return NULL;
    }
    subi_block *b = malloc(sizeof(*b) + size);
    if (b != NULL) {
        atomic_init(&b->references, 1);
        b->size = size;
        b->segment_count = 0;
        b->segment_room = 0;
        b->segments = NULL;
        subi_will_fill(b->bytes, size);
    }
    return b;
}

void
subi_block_hold(subi_block *b)
{
    // relaxed: the caller has a reference
    atomic_fetch_add_explicit(&b->references, 1, memory_order_relaxed);
}

void
subi_block_drop(subi_block *b)
{
    // release, and acquire on the last: all use by others is over before we free
    if (b == NULL || atomic_fetch_sub_explicit(&b->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < b->segment_count; i++) {
        if (b->segments[i].free != NULL) {
            b->segments[i].free(b->segments[i].owner);
        }
    }
    free(b->segments);
    free(b);
}

unsigned char *
subi_block_bytes(subi_block *b)
{
    return b->bytes;
}

size_t
subi_block_size(const subi_block *b)
{
    return b->size;
}

subi_result
subi_block_resize(subi_block **b, size_t size)
{
    if (size > SIZE_MAX - sizeof(subi_block)) {
        return SUBI_NOMEM;
    }
    subi_block *moved = realloc(*b, sizeof(**b) + size);
    if (moved == NULL) {
        return SUBI_NOMEM;
    }
    moved->size = size;
    subi_will_fill(moved->bytes, size);
    *b = moved;
    return SUBI_OK;
}

subi_result
subi_block_attach(subi_block *b, subi_segment segment)
{
    if (b->segment_count == b->segment_room) {
        size_t room = b->segment_room == 0 ? 4 : b->segment_room * 2;
        subi_segment *grown = realloc(b->segments, room * sizeof(*grown));
        if (grown == NULL) {
            return SUBI_NOMEM;
        }
        b->segments = grown;
        b->segment_room = room;
    }
    b->segments[b->segment_count++] = segment;
    return SUBI_OK;
}

size_t
subi_block_segment_count(const subi_block *b)
{
    return b->segment_count;
}

const subi_segment *
subi_block_segment(const subi_block *b, size_t index)
{
    return index < b->segment_count ? &b->segments[index] : NULL;
}
