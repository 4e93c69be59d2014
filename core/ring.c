// SPDX-License-Identifier: MIT
#include "ring.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 8
#define ROOM_KEPT  1024  // a larger ring is given back when it runs empty

subi_result
subi__ring_grow(subi__ring *r)
{
    size_t room = r->room == 0 ? ROOM_FIRST : r->room * 2;
    subi_message *items = malloc(room * sizeof(*items));
    if (items == NULL) {
        return SUBI_NOMEM;
    }
    size_t tail = r->room - r->head;  // items before the wrap-around
    if (r->count > 0) {
        tail = tail < r->count ? tail : r->count;
        memcpy(items, r->items + r->head, tail * sizeof(*items));
        memcpy(items + tail, r->items, (r->count - tail) * sizeof(*items));
    }
    free(r->items);
    *r = (subi__ring){.items = items, .room = room, .head = 0, .count = r->count};
    return SUBI_OK;
}

subi_result
subi__ring_push_first(subi__ring *r, const subi_message *m)
{
    if (r->count == r->room && subi__ring_grow(r) != SUBI_OK) {
        return SUBI_NOMEM;
    }
    r->head = (r->head - 1) & (r->room - 1);
    r->items[r->head] = *m;
    r->count++;
    return SUBI_OK;
}

void
subi__ring_shrink(subi__ring *r)
{
    if (r->room > ROOM_KEPT) {
        subi__ring small = {0};
        if (subi__ring_grow(&small) == SUBI_OK) {
            free(r->items);
            *r = small;
        }
    }
}

void
subi__ring_fini(subi__ring *r)
{
    while (r->count > 0) {
        subi_message m = subi__ring_pop(r);
        subi_message_fini(&m);
    }
    free(r->items);
    *r = (subi__ring){0};
}
