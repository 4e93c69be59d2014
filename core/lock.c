// SPDX-License-Identifier: MIT
#include "lock.h"

#include "platform.h"

#define SPINS 100  // a critical section is some tens of nanoseconds: about two of them

void
subi__lock_wait(subi__lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t free = 0;
        if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&l->word, &free, 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return;
        }
        subi__spin_hint();
    }
    while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0) {
        subi__futex_wait(&l->word, 2, SUBI_FOREVER);
    }
}

void
subi__lock_wake(subi__lock *l)
{
    subi__futex_wake(&l->word, 1);
}
