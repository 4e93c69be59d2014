// SPDX-License-Identifier: MIT
//
// Handing a lock to the thread that has waited longest makes every hand-over cost a wake-up, also
// where a running thread could go on; letting running threads take it starves those that sleep. As in
// Go's sync.Mutex and CPython's PyMutex, the lock is free when it is released, and the first waiter is
// told to try its luck; when it has been waiting for FAIR by then, it gets the lock.
#include "mutex.h"
#include "subinterp_runtime.h"

#include <assert.h>

#define FAIR INT64_C(1000000)  // ns

// Invariants, checked by mutex_valid:
//   depth == 0 <=> there is no owner
//   owner_died  => there is no owner, and nobody waits
//   depth <= 1, if it is not recursive
typedef struct mutex {
    subi_sync base;
    // guarded by base.lock, all of these
    subi__owner owner;  // a reference to the thread; NULL: nobody
    size_t depth;
    bool owner_died;
    bool trying;  // a waiter that is not in the list was told that the lock was free
} mutex;

static inline bool  // inline: unused without assert
mutex_valid(const mutex *m)
{
    return (m->depth == 0) == (m->owner.thread == NULL) &&
           (!m->owner_died || (m->depth == 0 && subi__waitlist_empty(&m->base.waiters))) &&
           (m->depth <= 1 || m->base.kind == SUBI_RLOCK);
}

static mutex *
lock(subi_sync *s)
{
    mutex *m = (mutex *)s;
    assert(s->kind == SUBI_LOCK || s->kind == SUBI_RLOCK);
    subi__lock_acquire(&s->lock);
    assert(mutex_valid(m));
    return m;
}

static void
unlock(mutex *m)
{
    assert(mutex_valid(m));
    subi__lock_release(&m->base.lock);
}

// ---- life -------------------------------------------------------------------------------------

static void
set_owner(mutex *m, const subi__owner *who)
{
    subi_thread_hold(who->thread);
    m->owner = *who;
    m->depth = 1;
}

static void
unset_owner(mutex *m)
{
    subi_thread *t = m->owner.thread;
    m->owner = (subi__owner){.thread = NULL};
    m->depth = 0;
    if (t != NULL) {
        subi_thread_drop(t);
    }
}

static void
mutex_fini(subi_sync *s)
{
    unset_owner((mutex *)s);
}

static void
mutex_owner_ended(subi_sync *s, const subi__owner *ended)
{
    mutex *m = lock(s);
    if (subi__owner_is_in(&m->owner, ended)) {
        unset_owner(m);
        m->owner_died = true;
        subi__sync_finish(s, SIZE_MAX, SUBI_OWNER_DIED);
    }
    unlock(m);
}

static const subi__sync_calls mutex_calls = {.fini = mutex_fini, .owner_ended = mutex_owner_ended};

subi_result
subi_mutex_new(bool recursive, subi_sync **out)
{
    return subi__sync_new(sizeof(mutex), recursive ? SUBI_RLOCK : SUBI_LOCK, &mutex_calls, out);
}

// ---- acquiring and releasing ------------------------------------------------------------------

static bool
is_mine(const mutex *m, int64_t interp)
{
    return m->depth > 0 && m->owner.interp == interp && m->owner.thread == subi_thread_self();
}

static subi_result
try_acquire(mutex *m, const subi__owner *who)
{
    if (m->owner_died) {
        return SUBI_OWNER_DIED;
    }
    if (m->depth == 0) {
        set_owner(m, who);
        return SUBI_OK;
    }
    if (m->base.kind == SUBI_RLOCK && is_mine(m, who->interp)) {
        m->depth++;
        return SUBI_OK;
    }
    return SUBI_BUSY;
}

// The lock may be free. Who is to be woken goes into *wakes.
static void
serve_next(mutex *m, subi__wakes *wakes)
{
    if (m->depth > 0 || m->trying || subi__waitlist_empty(&m->base.waiters)) {
        return;
    }
    subi__node *n = subi__waitlist_claim(&m->base.waiters, NULL);  // it is in no other list
    bool fair = subi_now() - subi__waiter_of(n)->since > FAIR;
    if (fair) {
        set_owner(m, &subi__waiter_of(n)->who);
    }
    else {
        m->trying = true;
    }
    subi__node_finish(n, fair ? SUBI_OK : SUBI_BUSY, wakes);
}

// A waiter does not want any more what it has been given.
static void
give_back(mutex *m, const subi__waiter *w)
{
    subi__wakes wakes = {0};
    lock(&m->base);
    if (w->node.result == SUBI_OK) {
        unset_owner(m);
    }
    else if (w->node.result == SUBI_BUSY) {
        m->trying = false;
    }
    serve_next(m, &wakes);
    unlock(m);
    subi__wake(&wakes);
}

// Wants the lock, and releases it.
static subi_result
wait_for(mutex *m, subi__waiter *w, const subi_patience *p)
{
    bool again = false;
    for (;;) {
        subi_result r = subi__sync_link(&m->base, w, again);
        if (r == SUBI_OK) {
            r = subi__sync_park(&m->base, w, p);
        }
        if (r == SUBI_INTERRUPTED && subi__waiter_claimed(w)) {
            give_back(m, w);
        }
        if (r != SUBI_BUSY) {
            return r;
        }
        lock(&m->base);
        m->trying = false;
        r = try_acquire(m, &w->who);
        if (r != SUBI_BUSY) {
            unlock(m);
            return r;
        }
        again = true;
    }
}

subi_result
subi_mutex_acquire(subi_sync *s, int64_t interp, const subi_patience *p)
{
    if (subi__sync_stale(s)) {
        return SUBI_FORKED;
    }
    subi__owner who = {.thread = subi_thread_self(), .interp = interp};
    if (who.thread == NULL) {
        return SUBI_NOMEM;
    }
    mutex *m = lock(s);
    subi_result r = try_acquire(m, &who);
    if (r != SUBI_BUSY || p->deadline == SUBI_TRY) {
        unlock(m);
        return r;
    }
    subi__waiter w = {.who = who, .since = subi_now()};
    return wait_for(m, &w, p);
}

// Wants the lock. Whether the caller may release the mutex.
static subi_result
may_release(const mutex *m, int64_t interp)
{
    if (m->owner_died) {
        return subi_is_shut_down() ? SUBI_CLOSED : SUBI_OWNER_DIED;
    }
    if (m->depth > 0 && (m->base.kind == SUBI_LOCK || is_mine(m, interp))) {
        return SUBI_OK;
    }
    return subi_is_shut_down() ? SUBI_CLOSED : SUBI_NOT_OWNER;
}

subi_result
subi_mutex_release(subi_sync *s, int64_t interp)
{
    if (subi__sync_stale(s)) {
        return SUBI_FORKED;
    }
    subi__wakes wakes = {0};
    mutex *m = lock(s);
    subi_result r = may_release(m, interp);
    if (r == SUBI_OK && m->depth > 1) {
        m->depth--;
    }
    else if (r == SUBI_OK) {
        unset_owner(m);
        serve_next(m, &wakes);
    }
    unlock(m);
    subi__wake(&wakes);
    return r;
}

subi_result
subi_mutex_reset(subi_sync *s)
{
    if (subi__sync_stale(s)) {
        return SUBI_FORKED;
    }
    mutex *m = lock(s);
    subi_result r = m->owner_died ? SUBI_OK : SUBI_NOT_OWNER;
    m->owner_died = false;
    unlock(m);
    return r;
}

subi_result
subi_mutex_look(subi_sync *s, subi_mutex_state *state)
{
    *state = (subi_mutex_state){0};
    if (subi__sync_stale(s)) {
        return SUBI_FORKED;
    }
    mutex *m = lock(s);
    state->depth = m->depth;
    state->thread = m->depth > 0 ? subi_thread_ident(m->owner.thread) : 0;
    state->interp = m->owner.interp;
    state->owner_died = m->owner_died;
    unlock(m);
    return SUBI_OK;
}

// ---- for conditions ---------------------------------------------------------------------------

subi_result
subi__mutex_check(subi_sync *s, int64_t interp)
{
    mutex *m = lock(s);
    subi_result r = is_mine(m, interp) ? SUBI_OK : m->owner_died ? SUBI_OWNER_DIED : SUBI_NOT_OWNER;
    unlock(m);
    return r;
}

size_t
subi__mutex_release_all(subi_sync *s)
{
    subi__wakes wakes = {0};
    mutex *m = lock(s);
    size_t depth = m->depth;
    unset_owner(m);
    serve_next(m, &wakes);
    unlock(m);
    subi__wake(&wakes);
    return depth;
}

static bool
always(void *unused)
{
    (void)unused;
    return true;
}

subi_result
subi__mutex_restore(subi_sync *s, int64_t interp, size_t depth)
{
    subi_patience p = {.deadline = SUBI_FOREVER, .go_on = always};
    bool heeds = subi_signals_heed(false);  // nobody handles them meanwhile
    subi_result r = subi_mutex_acquire(s, interp, &p);
    subi_signals_heed(heeds);
    if (r == SUBI_OK) {
        mutex *m = lock(s);
        m->depth = depth;
        unlock(m);
    }
    return r;
}

bool
subi__mutex_is_lost(subi_sync *s, const subi__owner *ended)
{
    mutex *m = lock(s);
    bool lost = m->owner_died || subi__owner_is_in(&m->owner, ended);
    unlock(m);
    return lost;
}
