// SPDX-License-Identifier: MIT
//
// Messages in order, in memory that grows. Whoever has one guards it.
#ifndef SUBI_RING_H
#define SUBI_RING_H

#include "subinterp.h"

// items[(head + k) & (room - 1)] for k in [0, count). All zeros: empty. One place is kept free for a message
// that comes back.
typedef struct subi__ring {
    subi_message *items;
    size_t room;  // 0 or a power of two
    size_t head;  // < room, or 0
    size_t count;
} subi__ring;

subi_result subi__ring_grow(subi__ring *r);

// Of one that has a place.
static inline void
subi__ring_append(subi__ring *r, const subi_message *m)
{
    r->items[(r->head + r->count) & (r->room - 1)] = *m;
    r->count++;
}

// Takes over what m has. SUBI_NOMEM: nothing changed.
static inline subi_result
subi__ring_push(subi__ring *r, const subi_message *m)
{
    if (r->count + 1 >= r->room && subi__ring_grow(r) != SUBI_OK) {
        return SUBI_NOMEM;
    }
    subi__ring_append(r, m);
    return SUBI_OK;
}

// The same before all that are in it, in the place that is kept for that if it is free.
subi_result subi__ring_push_first(subi__ring *r, const subi_message *m);

// Of one that is not empty.
static inline subi_message
subi__ring_pop(subi__ring *r)
{
    subi_message m = r->items[r->head];
    r->head = (r->head + 1) & (r->room - 1);
    r->count--;
    return m;
}

// Of one that is empty: gives memory back that only a burst needed. A place stays.
void subi__ring_shrink(subi__ring *r);

// Frees the messages that are left. Not under a lock: freeing a message may call foreign code.
void subi__ring_fini(subi__ring *r);

#endif
