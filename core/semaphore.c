// SPDX-License-Identifier: MIT
#include <assert.h>

#include "sync.h"

// Invariants, checked by semaphore_valid:
//   value > 0 => nobody waits
//   value <= most
typedef struct semaphore {
    subi_sync base;
    size_t most;   // set once
    size_t value;  // guarded by base.lock
} semaphore;

static inline bool  // inline: unused without assert
semaphore_valid(const semaphore *s)
{
    return (s->value == 0 || subi__waitlist_empty(&s->base.waiters)) && s->value <= s->most;
}

static semaphore *
lock(subi_sync *base)
{
    semaphore *s = (semaphore *)base;
    assert(base->kind == SUBI_SEMAPHORE || base->kind == SUBI_BOUNDED_SEMAPHORE);
    subi__lock_acquire(&base->lock);
    assert(semaphore_valid(s));
    return s;
}

static void
unlock(semaphore *s)
{
    assert(semaphore_valid(s));
    subi__lock_release(&s->base.lock);
}

subi_result
subi_semaphore_new(size_t value, bool bounded, subi_sync **out)
{
    static const subi__sync_calls none;
    subi_sync_kind kind = bounded ? SUBI_BOUNDED_SEMAPHORE : SUBI_SEMAPHORE;
    subi_result r = subi__sync_new(sizeof(semaphore), kind, &none, out);
    if (r == SUBI_OK) {
        semaphore *s = (semaphore *)*out;
        s->value = value;
        s->most = bounded ? value : SIZE_MAX;
    }
    return r;
}

// Wants the lock. What is released goes to those who wait.
static void
add(semaphore *s, size_t n)
{
    s->value += n - subi__sync_finish(&s->base, n, SUBI_OK);
}

subi_result
subi_semaphore_acquire(subi_sync *base, const subi_patience *p)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    semaphore *s = lock(base);
    if (s->value > 0 || p->deadline == SUBI_TRY) {
        subi_result r = s->value > 0 ? SUBI_OK : SUBI_BUSY;
        s->value -= s->value > 0;
        unlock(s);
        return r;
    }
    subi__waiter w = {.index = 0};
    subi_result r = subi__sync_wait(base, &w, p);
    if (r == SUBI_INTERRUPTED && subi__waiter_claimed(&w) && w.node.result == SUBI_OK) {
        lock(base);
        add(s, 1);
        unlock(s);
    }
    return r;
}

subi_result
subi_semaphore_release(subi_sync *base, size_t n)
{
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    semaphore *s = lock(base);
    subi_result r = n <= s->most - s->value ? SUBI_OK : SUBI_FULL;
    if (r == SUBI_OK) {
        add(s, n);
    }
    unlock(s);
    return r;
}

subi_result
subi_semaphore_value(subi_sync *base, size_t *value)
{
    *value = 0;
    if (subi__sync_stale(base)) {
        return SUBI_FORKED;
    }
    semaphore *s = lock(base);
    *value = s->value;
    unlock(s);
    return SUBI_OK;
}
