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

void
subi__ring_shrink(subi__ring *r)
{
    if (r->room > ROOM_KEPT) {
        free(r->items);
        *r = (subi__ring){0};
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
