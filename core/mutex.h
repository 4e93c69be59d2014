// SPDX-License-Identifier: MIT
//
// What conditions want from their mutex.
#ifndef SUBI_MUTEX_H
#define SUBI_MUTEX_H

#include "sync.h"

// Whether the caller is the owner: SUBI_OK, SUBI_NOT_OWNER, SUBI_OWNER_DIED.
subi_result subi__mutex_check(subi_sync *m, int64_t interp);

// Releases it, which the caller has acquired, however often, and acquires it again as often. The latter
// blocks: SUBI_OWNER_DIED, SUBI_CLOSED.
size_t subi__mutex_release_all(subi_sync *m);
subi_result subi__mutex_restore(subi_sync *m, int64_t interp, size_t depth);

// Whether its owner has died, also if it is not yet known that what has ended was its owner.
bool subi__mutex_is_lost(subi_sync *m, const subi__owner *ended);

#endif
