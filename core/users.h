// SPDX-License-Identifier: MIT
//
// Which interpreters have used the ends of a channel, and which of these they have not released. Guarded
// by the channel's lock.
#ifndef SUBI_USERS_H
#define SUBI_USERS_H

#include "subinterp.h"

// What an interpreter did with the channel: subi_end bits.
typedef struct subi__user {
    int64_t interp;
    unsigned used;  // ends it was ever associated with
    unsigned open;  // ends it has not released; a subset of used
} subi__user;

// All zeros: nobody.
typedef struct subi__users {
    subi__user *items;
    size_t count;
    size_t room;
    size_t last;  // where the last look-up ended; < count, or 0
} subi__users;

// Notes that the interpreter uses an end. SUBI_CLOSED: it has released it; SUBI_NOMEM.
subi_result subi__users_associate(subi__users *u, int64_t interp, subi_end end);

// Notes that it has released them, used or not. SUBI_NOMEM.
subi_result subi__users_release(subi__users *u, int64_t interp, subi_end ends);

// Whether anybody has an end open.
bool subi__users_any(const subi__users *u);

// The interpreters that have that end open: a malloc'd array. SUBI_NOMEM.
subi_result subi__users_list(const subi__users *u, subi_end end, int64_t **ids, size_t *count);

void subi__users_fini(subi__users *u);

#endif
