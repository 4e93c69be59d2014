// SPDX-License-Identifier: MIT
//
// Processor time. The system's clock for that of a thread costs more than a short run does, so a thread asks
// it again only when its last answer is stale; in between it counts as computing all the time.
#include "usage.h"

#include "interp.h"
#include "platform.h"

#define STALE INT64_C(50000)  // ns

static _Thread_local struct {
    int64_t time, used;  // what the thread had used at that time, by its clock
} last;

static int64_t
used_by_thread(void)
{
    int64_t now = subi_now();
    if (now - last.time >= STALE) {
        last.used = subi__clock_read(subi__thread_clock());
        last.time = now;
    }
    return last.used + (now - last.time);
}

// The clock of the thread may be behind what it counted as.
static int64_t
since(int64_t began, int64_t now)
{
    return now > began ? now - began : 0;
}

void
subi_usage_begin(subi_interp *i)
{
    subi__usage *u = subi__interp_usage(i);
    atomic_store(&u->clock, subi__thread_clock());
    atomic_store(&u->began, used_by_thread());
    atomic_fetch_add(&u->changes, 1);
}

void
subi_usage_end(subi_interp *i)
{
    subi__usage *u = subi__interp_usage(i);
    int64_t used = since(atomic_load(&u->began), used_by_thread());
    atomic_fetch_add(&u->ended, used);
    atomic_fetch_add(&u->changes, 1);
}

int64_t
subi_usage(subi_interp *i)
{
    subi__usage *u = subi__interp_usage(i);
    for (;;) {
        uint32_t changes = atomic_load(&u->changes);
        int64_t used = atomic_load(&u->ended);
        if (changes % 2 != 0) {
            used += since(atomic_load(&u->began), subi__clock_read(atomic_load(&u->clock)));
        }
        if (atomic_load(&u->changes) == changes) {
            return used;
        }
    }
}
