// SPDX-License-Identifier: MIT
//
// A mutual exclusion lock of four bytes: one compare-and-swap to take, one exchange to release,
// and a futex only when threads meet. For short critical sections that call no foreign code.
// The three-state algorithm is mutex2 of U. Drepper, "Futexes Are Tricky" (2011).
#ifndef SUBI_LOCK_H
#define SUBI_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

typedef struct subi__lock {
    _Atomic uint32_t word;  // 0 free, 1 held, 2 held and perhaps waited for
} subi__lock;

#define SUBI__LOCK_INIT {0}

static inline void
subi__lock_init(subi__lock *l)
{
    atomic_init(&l->word, 0);
}

void subi__lock_wait(subi__lock *l);  // the slow half of subi__lock_acquire
void subi__lock_wake(subi__lock *l);  // the slow half of subi__lock_release

static inline void
subi__lock_acquire(subi__lock *l)
{
    uint32_t free = 0;
    // acquire: what the last holder wrote under the lock is visible to us
    if (!atomic_compare_exchange_strong_explicit(&l->word, &free, 1, memory_order_acquire,
                                                 memory_order_relaxed)) {
        subi__lock_wait(l);
    }
}

static inline void
subi__lock_release(subi__lock *l)
{
    // release: pairs with the acquire above
    if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2) {
        subi__lock_wake(l);
    }
}

#endif
