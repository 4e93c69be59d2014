// SPDX-License-Identifier: MIT
#include <assert.h>

#include "mutex.h"

typedef struct condition {
    subi_sync base;
    subi_sync *mutex;  // set once; one reference
} condition;

subi_sync *
subi_condition_mutex(const subi_sync *c)
{
    assert(c->kind == SUBI_CONDITION);
    return ((const condition *)c)->mutex;
}

static void
condition_fini(subi_sync *c)
{
    subi_sync_drop(subi_condition_mutex(c));
}

// Who waits here waits for somebody to notify, which needs the mutex.
static void
condition_owner_ended(subi_sync *c, const subi__owner *ended)
{
    if (subi__mutex_is_lost(subi_condition_mutex(c), ended)) {
        subi__lock_acquire(&c->lock);
        subi__sync_finish(c, SIZE_MAX, SUBI_OWNER_DIED);
        subi__lock_release(&c->lock);
    }
}

static const subi__sync_calls condition_calls = {.fini = condition_fini,
                                                 .owner_ended = condition_owner_ended};

subi_result
subi_condition_new(subi_sync *mutex, subi_sync **out)
{
    if (subi__sync_stale(mutex)) {
        return SUBI_FORKED;
    }
    subi_result r = subi__sync_new(sizeof(condition), SUBI_CONDITION, &condition_calls, out);
    if (r == SUBI_OK) {
        subi_sync_hold(mutex);
        ((condition *)*out)->mutex = mutex;
    }
    return r;
}

static void
notify(subi_sync *c, size_t n)
{
    subi__lock_acquire(&c->lock);
    subi__sync_finish(c, n, SUBI_OK);
    subi__lock_release(&c->lock);
}

subi_result
subi_condition_wait(subi_sync *c, int64_t interp, const subi_patience *p)
{
    if (subi__sync_stale(c)) {
        return SUBI_FORKED;
    }
    subi_sync *mutex = subi_condition_mutex(c);
    subi_result r = subi__mutex_check(mutex, interp);
    if (r != SUBI_OK) {
        return r;
    }
    subi__waiter w = {.index = 0};
    subi__lock_acquire(&c->lock);
    r = subi__sync_link(c, &w, false);  // before the release: whoever notifies then finds it
    if (r != SUBI_OK) {
        return r;
    }
    size_t depth = subi__mutex_release_all(mutex);
    r = subi__sync_park(c, &w, p);
    if (r == SUBI_INTERRUPTED && subi__waiter_claimed(&w) && w.node.result == SUBI_OK) {
        notify(c, 1);  // somebody else, who may want it
    }
    subi_result restored = subi__mutex_restore(mutex, interp, depth);
    return restored == SUBI_OK || r == SUBI_INTERRUPTED ? r : restored;
}

subi_result
subi_condition_notify(subi_sync *c, int64_t interp, size_t n)
{
    if (subi__sync_stale(c)) {
        return SUBI_FORKED;
    }
    subi_result r = subi__mutex_check(subi_condition_mutex(c), interp);
    if (r == SUBI_OK) {
        notify(c, n);
    }
    return r;
}
