// SPDX-License-Identifier: MIT
#include <assert.h>

#include "sync.h"

// The first of the waiters are those of this round. Others, which come while somebody leads, are in the
// list behind them.
//
// Invariants, checked by barrier_valid:
//   nobody leads => count < parties, and that is how many wait
//   somebody does => count == parties
//   broken => nobody leads, and nobody waits
typedef struct barrier {
    subi_sync base;
    size_t parties;  // set once; > 0
    bool led;        // set once
    // guarded by base.lock, all of these
    size_t count;        // who have come in this round
    subi__owner leader;  // a reference to the thread; NULL: nobody
    bool broken;
} barrier;

static bool
is_leading(const barrier *b)
{
    return b->leader.thread != NULL;
}

static bool
is_leader(const barrier *b, int64_t interp)
{
    return is_leading(b) && b->leader.interp == interp && b->leader.thread == subi_thread_self();
}

static inline bool  // inline: unused without assert
barrier_valid(const barrier *b)
{
    return (is_leading(b) ? b->count == b->parties : b->count < b->parties) &&
           (!b->broken || (b->count == 0 && subi__waitlist_empty(&b->base.waiters)));
}

static barrier *
lock(subi_sync *base)
{
    barrier *b = (barrier *)base;
    assert(base->kind == SUBI_BARRIER);
    subi__lock_acquire(&base->lock);
    assert(barrier_valid(b));
    return b;
}

static void
unlock(barrier *b)
{
    assert(barrier_valid(b));
    subi__lock_release(&b->base.lock);
}

// ---- life -------------------------------------------------------------------------------------

static void
unset_leader(barrier *b)
{
    if (is_leading(b)) {
        subi_thread_drop(b->leader.thread);
        b->leader = (subi__owner){.thread = NULL};
    }
}

static void
barrier_fini(subi_sync *base)
{
    unset_leader((barrier *)base);
}

// Wants the lock. All waits fail.
static void
fail(barrier *b, bool broken)
{
    b->broken = broken;
    b->count = 0;
    unset_leader(b);
    subi__sync_finish(&b->base, SIZE_MAX, SUBI_BROKEN);
}

static void
barrier_owner_ended(subi_sync *base, const subi__owner *ended)
{
    barrier *b = lock(base);
    if (subi__owner_is_in(&b->leader, ended)) {
        fail(b, true);
    }
    unlock(b);
}

subi_result
subi_barrier_new(size_t parties, bool led, subi_sync **out)
{
    static const subi__sync_calls calls = {.fini = barrier_fini,
                                           .owner_ended = barrier_owner_ended};
    if (parties == 0) {
        return SUBI_INVALID;
    }
    subi_result r = subi__sync_new(sizeof(barrier), SUBI_BARRIER, &calls, out);
    if (r == SUBI_OK) {
        barrier *b = (barrier *)*out;
        b->parties = parties;
        b->led = led;
    }
    return r;
}

// ---- rounds -----------------------------------------------------------------------------------

// Wants the lock. Ends the round, but for its last party, if that is not in the list.
static void
release_round(barrier *b)
{
    unset_leader(b);
    b->count = 0;
    subi__sync_finish(&b->base, b->parties - 1, SUBI_OK);
}

// Wants the lock. The last party has come.
static void
complete(barrier *b, const subi__owner *last)
{
    if (b->led) {
        subi_thread_hold(last->thread);
        b->leader = *last;
    }
    else {
        release_round(b);
    }
}

// Wants the lock. Those who came while somebody was leading are of the next round, or even of the ones
// after that.
static void
admit(barrier *b)
{
    subi__node *n = b->base.waiters.sentinel.next;
    while (n != &b->base.waiters.sentinel && !is_leading(b)) {
        subi__node *next = n->next;
        subi__waiter *w = subi__waiter_of(n);
        w->index = b->count++;
        if (b->count == b->parties && subi__node_claim(n)) {  // it is in no other list
            complete(b, &w->who);
            subi__wakes wakes = {0};
            subi__node_finish(n, SUBI_OK, &wakes);
            subi__wake(&wakes);
        }
        n = next;
    }
}

// Who gives up breaks the barrier, in the moment in which it leaves, unless its round is complete.
static subi_result
wait_for_round(barrier *b, subi__waiter *w, const subi_patience *p)
{
    subi_result r = subi__sync_link(&b->base, w, false);
    if (r != SUBI_OK) {
        return r;
    }
    r = subi__sync_sleep(w, p);
    if (r == SUBI_OK) {
        return w->node.result;
    }
    lock(&b->base);
    r = subi__sync_leave(w, r);
    bool gave_up = r == SUBI_TIMEOUT || r == SUBI_INTERRUPTED;
    if (gave_up && (!subi__waiter_claimed(w) || is_leader(b, w->who.interp))) {
        fail(b, true);
    }
    unlock(b);
    return r;
}

subi_result
subi_barrier_wait(subi_sync *base, int64_t interp, const subi_patience *p, size_t *index)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    subi__waiter w = {.who = {.thread = subi_thread_self(), .interp = interp}};
    if (w.who.thread == NULL) {
        return SUBI_NOMEM;
    }
    barrier *b = lock(base);
    if (b->broken) {
        unlock(b);
        return SUBI_BROKEN;
    }
    if (!is_leading(b)) {
        *index = w.index = b->count++;
        if (b->count == b->parties) {
            complete(b, &w.who);
            unlock(b);
            return SUBI_OK;
        }
    }
    subi_result r = wait_for_round(b, &w, p);
    *index = w.index;
    return r;
}

subi_result
subi_barrier_release(subi_sync *base, int64_t interp)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    barrier *b = lock(base);
    bool leads = is_leader(b, interp);
    if (leads) {
        release_round(b);
        admit(b);
    }
    unlock(b);
    return leads ? SUBI_OK : SUBI_BROKEN;
}

subi_result
subi_barrier_abort(subi_sync *base)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    barrier *b = lock(base);
    fail(b, true);
    unlock(b);
    return SUBI_OK;
}

subi_result
subi_barrier_reset(subi_sync *base)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    barrier *b = lock(base);
    fail(b, false);
    unlock(b);
    return SUBI_OK;
}

subi_result
subi_barrier_look(subi_sync *base, subi_barrier_state *state)
{
    *state = (subi_barrier_state){.parties = ((barrier *)base)->parties};
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    barrier *b = lock(base);
    state->waiting = is_leading(b) ? 0 : b->count;
    state->broken = b->broken;
    unlock(b);
    return SUBI_OK;
}
