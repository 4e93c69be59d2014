// SPDX-License-Identifier: MIT
#include <assert.h>

#include "sync.h"

typedef struct event {
    subi_sync base;
    bool flag;  // guarded by base.lock; while it is true nobody waits
} event;

static event *
lock(subi_sync *base)
{
    assert(base->kind == SUBI_EVENT);
    subi__lock_acquire(&base->lock);
    return (event *)base;
}

static void
unlock(event *e)
{
    assert(!e->flag || subi__waitlist_empty(&e->base.waiters));
    subi__lock_release(&e->base.lock);
}

subi_result
subi_event_new(subi_sync **out)
{
    static const subi__sync_calls none;
    return subi__sync_new(sizeof(event), SUBI_EVENT, &none, out);
}

subi_result
subi_event_assign(subi_sync *base, bool flag)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    event *e = lock(base);
    e->flag = flag;
    if (flag) {
        subi__sync_finish(base, SIZE_MAX, SUBI_OK);
    }
    unlock(e);
    return SUBI_OK;
}

subi_result
subi_event_look(subi_sync *base, bool *flag)
{
    *flag = false;
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    event *e = lock(base);
    *flag = e->flag;
    unlock(e);
    return SUBI_OK;
}

subi_result
subi_event_wait(subi_sync *base, const subi_patience *p)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    event *e = lock(base);
    if (e->flag || p->deadline == SUBI_TRY) {
        subi_result r = e->flag ? SUBI_OK : SUBI_BUSY;
        unlock(e);
        return r;
    }
    subi__waiter w = {.index = 0};
    return subi__sync_wait(base, &w, p);
}
