// SPDX-License-Identifier: MIT
#include "signals.h"

#include "platform.h"
#include "subinterp_runtime.h"

// A signal ends a futex wait in progress, but not one that begins right after its handler. No system call tests
// and waits in one step here, so a sleep has parts, each twice as long as the one before: for what may come
// between a test and a sleep there are only as many moments as the time has binary digits.
#define FIRST_PART INT64_C(1000000)  // ns

static bool (*_Atomic pending)(void);  // atomic: set before the first wait that matters
static _Thread_local bool heeds;

void
subi_signals_set(bool (*are_pending)(void))
{
    atomic_store(&pending, are_pending);
}

bool
subi_signals_heed(bool heed)
{
    bool before = heeds;
    heeds = heed;
    return before;
}

subi_result
subi__signals_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
    bool (*are_pending)(void) = heeds ? atomic_load(&pending) : NULL;
    if (are_pending == NULL) {
        return subi__futex_wait(word, expected, deadline);
    }
    subi_result r;
    int64_t end, part = FIRST_PART;
    do {
        if (are_pending()) {
            return SUBI_INTERRUPTED;
        }
        int64_t now = subi_now();
        end = deadline - now < part ? deadline : now + part;
        r = subi__futex_wait(word, expected, end);
        part *= 2;
    } while (r == SUBI_TIMEOUT && end < deadline);
    return r;
}
