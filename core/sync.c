// SPDX-License-Identifier: MIT
#include "sync.h"
#include "subinterp_runtime.h"

#include <assert.h>
#include <stdlib.h>

static subi__table syncs = SUBI__TABLE_INIT;

// ---- life -------------------------------------------------------------------------------------

subi_result
subi__sync_new(size_t size, subi_sync_kind kind, const subi__sync_calls *calls, subi_sync **out)
{
    subi_sync *s = calloc(1, size);
    if (s == NULL) {
        return SUBI_NOMEM;
    }
    s->kind = kind;
    s->calls = calls;
    subi__lock_init(&s->lock);
    subi__waitlist_init(&s->waiters);
    subi_result r = subi__table_add(&syncs, &s->entry);
    if (r != SUBI_OK) {
        free(s);
        return r;
    }
    *out = s;
    return SUBI_OK;
}

void
subi_sync_hold(subi_sync *s)
{
    subi__entry_hold(&s->entry);
}

void
subi_sync_drop(subi_sync *s)
{
    if (subi__table_drop(&syncs, &s->entry)) {
        assert(subi__waitlist_empty(&s->waiters));  // a waiter has a reference
        if (s->calls->fini != NULL) {
            s->calls->fini(s);
        }
        free(s);
    }
}

int64_t
subi_sync_id(const subi_sync *s)
{
    return s->entry.id;
}

subi_sync_kind
subi_sync_what(const subi_sync *s)
{
    return s->kind;
}

bool
subi__sync_stale(const subi_sync *s)
{
    return s->entry.generation != subi_generation();
}

static void
drop_sync(void *owner)
{
    subi_sync_drop(owner);
}

subi_segment
subi_sync_segment(subi_sync *s)
{
    subi_sync_hold(s);
    return (subi_segment){.owner = s, .free = drop_sync};
}

// ---- waiting ----------------------------------------------------------------------------------

subi_result
subi__sync_link(subi_sync *s, subi__waiter *w, bool first)
{
    // under the lock: a shutdown either is seen here or finds the waiter
    bool ends = subi_is_shut_down();
    w->node = (subi__node){.wait = &w->wait};
    subi__wait_init(&w->wait);
    if (!ends) {
        (first ? subi__waitlist_link_first : subi__waitlist_link)(&s->waiters, &w->node);
    }
    subi__lock_release(&s->lock);
    return ends ? SUBI_CLOSED : SUBI_OK;
}

subi_result
subi__sync_sleep(subi__waiter *w, const subi_patience *p)
{
    subi_result r;
    do {
        r = subi__park(&w->wait, p->deadline);
    } while (r == SUBI_INTERRUPTED && p->go_on != NULL && p->go_on(p->arg));
    return r;
}

subi_result
subi__sync_leave(subi__waiter *w, subi_result slept)
{
    subi__node_unlink(&w->node);
    return slept == SUBI_INTERRUPTED || !subi__waiter_claimed(w) ? slept : w->node.result;
}

subi_result
subi__sync_park(subi_sync *s, subi__waiter *w, const subi_patience *p)
{
    subi_result r = subi__sync_sleep(w, p);
    if (r == SUBI_OK) {
        return w->node.result;  // the waker has unlinked it
    }
    subi__lock_acquire(&s->lock);
    r = subi__sync_leave(w, r);
    subi__lock_release(&s->lock);
    return r;
}

subi_result
subi__sync_wait(subi_sync *s, subi__waiter *w, const subi_patience *p)
{
    subi_result r = subi__sync_link(s, w, false);
    return r == SUBI_OK ? subi__sync_park(s, w, p) : r;
}

// Waking under the lock is fine here: those that are woken do not want it.
size_t
subi__sync_finish(subi_sync *s, size_t n, subi_result result)
{
    size_t count = 0;
    subi__node *node;
    subi__wakes wakes = {0};
    while (count < n && (node = subi__waitlist_claim(&s->waiters, NULL)) != NULL) {
        subi__node_finish(node, result, &wakes);
        count++;
    }
    subi__wake(&wakes);
    return count;
}

// ---- ends -------------------------------------------------------------------------------------

static void
tell_owner_ended(subi__entry *e, const void *ended)
{
    subi_sync *s = (subi_sync *)e;
    if (s->calls->owner_ended != NULL) {
        s->calls->owner_ended(s, ended);
    }
}

void
subi__syncs_owner_ended(const subi__owner *ended)
{
    subi__table_each(&syncs, tell_owner_ended, ended);
}

static void
close_sync(subi__entry *e, const void *unused)
{
    subi_sync *s = (subi_sync *)e;
    (void)unused;
    subi__lock_acquire(&s->lock);
    subi__sync_finish(s, SIZE_MAX, SUBI_CLOSED);
    subi__lock_release(&s->lock);
}

void
subi__syncs_shutdown(void)
{
    subi__table_each(&syncs, close_sync, NULL);
}

void
subi__syncs_forget(void)
{
    subi__table_forget(&syncs);
}
