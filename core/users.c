// SPDX-License-Identifier: MIT
#include "users.h"

#include <stdlib.h>

#define ROOM_FIRST 4

static subi__user *
find(subi__users *u, int64_t interp)
{
    if (u->count > 0 && u->items[u->last].interp == interp) {
        return &u->items[u->last];
    }
    for (size_t i = 0; i < u->count; i++) {
        if (u->items[i].interp == interp) {
            u->last = i;
            return &u->items[i];
        }
    }
    return NULL;
}

// NULL: out of memory.
static subi__user *
find_or_add(subi__users *u, int64_t interp)
{
    subi__user *found = find(u, interp);
    if (found != NULL) {
        return found;
    }
    if (u->count == u->room) {
        size_t room = u->room == 0 ? ROOM_FIRST : u->room * 2;
        subi__user *grown = realloc(u->items, room * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        u->items = grown;
        u->room = room;
    }
    u->last = u->count++;
    u->items[u->last] = (subi__user){.interp = interp};
    return &u->items[u->last];
}

subi_result
subi__users_associate(subi__users *u, int64_t interp, subi_end end)
{
    subi__user *user = find_or_add(u, interp);
    if (user == NULL) {
        return SUBI_NOMEM;
    }
    if ((user->used & end) == 0) {
        user->used |= end;
        user->open |= end;
    }
    return (user->open & end) != 0 ? SUBI_OK : SUBI_CLOSED;
}

subi_result
subi__users_release(subi__users *u, int64_t interp, subi_end ends)
{
    subi__user *user = find_or_add(u, interp);
    if (user == NULL) {
        return SUBI_NOMEM;
    }
    user->used |= ends;
    user->open &= ~(unsigned)ends;
    return SUBI_OK;
}

bool
subi__users_any(const subi__users *u)
{
    size_t i = 0;
    while (i < u->count && u->items[i].open == 0) {
        i++;
    }
    return i < u->count;
}

subi_result
subi__users_list(const subi__users *u, subi_end end, int64_t **ids, size_t *count)
{
    int64_t *found = malloc((u->count + 1) * sizeof(*found));
    size_t n = 0;
    if (found == NULL) {
        return SUBI_NOMEM;
    }
    for (size_t i = 0; i < u->count; i++) {
        if ((u->items[i].open & end) != 0) {
            found[n++] = u->items[i].interp;
        }
    }
    *ids = found;
    *count = n;
    return SUBI_OK;
}

void
subi__users_fini(subi__users *u)
{
    free(u->items);
    *u = (subi__users){0};
}
