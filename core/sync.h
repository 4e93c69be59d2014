// SPDX-License-Identifier: MIT
//
// What locks, semaphores, events, conditions and barriers have in common: an id, a lock for some
// nanoseconds, and a list of waiters. Each kind has a file of its own; its struct begins with a
// subi_sync.
#ifndef SUBI_SYNC_H
#define SUBI_SYNC_H

#include "lock.h"
#include "subinterp.h"
#include "table.h"
#include "wait.h"

// Who holds something. With only one of the two set: a thread that has ended, whatever it was in; or
// an interpreter that has, whatever ran it.
typedef struct subi__owner {
    subi_thread *thread;
    int64_t interp;
} subi__owner;

// Whether `of`, which may be nobody, is or was in what has ended.
static inline bool
subi__owner_is_in(const subi__owner *of, const subi__owner *ended)
{
    return of->thread != NULL &&
           (ended->thread != NULL ? of->thread == ended->thread : of->interp == ended->interp);
}

// What the kinds do in their own ways. Each may be NULL.
typedef struct subi__sync_calls {
    void (*fini)(subi_sync *s);
    void (*owner_ended)(subi_sync *s, const subi__owner *ended);  // wants no lock; does not block
} subi__sync_calls;

struct subi_sync {
    subi__entry entry;
    subi_sync_kind kind;            // set once
    const subi__sync_calls *calls;  // set once
    subi__lock lock;
    subi__waitlist waiters;  // guarded by lock; all of its nodes are those of subi__waiters
};

// One thread that waits. Guarded by the lock, but for `wait`.
typedef struct subi__waiter {
    subi__node node;  // first: see subi__waiter_of
    subi__wait wait;
    subi__owner who;
    int64_t since;  // see mutex.c
    size_t index;   // see barrier.c
} subi__waiter;

static inline subi__waiter *
subi__waiter_of(subi__node *n)
{
    return (subi__waiter *)n;
}

// A new object of `size` bytes, all zero but for its base. SUBI_NOMEM.
subi_result subi__sync_new(size_t size, subi_sync_kind kind, const subi__sync_calls *calls,
                           subi_sync **out);

bool subi__sync_stale(const subi_sync *s);

// The two halves of waiting. Linking wants the lock and releases it. SUBI_CLOSED: the process ends, and
// w was not linked. Parking then returns the result that a waker has given, or SUBI_TIMEOUT, when there
// was none; or SUBI_INTERRUPTED: it is given up, but a waker may have been there: subi__waiter_claimed.
// In any case w is not linked any more.
subi_result subi__sync_link(subi_sync *s, subi__waiter *w, bool first);
subi_result subi__sync_park(subi_sync *s, subi__waiter *w, const subi_patience *p);

// Both.
subi_result subi__sync_wait(subi_sync *s, subi__waiter *w, const subi_patience *p);

// Parking in parts. Sleeping is as subi__park: after SUBI_OK a waker has unlinked w and given a result,
// else w may still be linked. Then leaving, which wants the lock, unlinks it, and its result is that of
// subi__sync_park.
subi_result subi__sync_sleep(subi__waiter *w, const subi_patience *p);
subi_result subi__sync_leave(subi__waiter *w, subi_result slept);

static inline bool
subi__waiter_claimed(const subi__waiter *w)
{
    return atomic_load(&w->wait.winner) != NULL;
}

// Ends the waits of the first n waiters, and returns how many there were. Wants the lock.
size_t subi__sync_finish(subi_sync *s, size_t n, subi_result result);

// A thread has ended, or an interpreter: who waits for it gets to know.
void subi__syncs_owner_ended(const subi__owner *ended);
void subi__syncs_shutdown(void);
void subi__syncs_forget(void);  // in the child of a fork

#endif
