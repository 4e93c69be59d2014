// SPDX-License-Identifier: MIT
#include "reserve.h"

#include <string.h>

#include "lock.h"
#include "platform.h"
#include "process.h"
#include "subinterp_runtime.h"

#define FIRST_LIMIT_MIN   4
#define FAILURES_ACCEPTED 4  // in a row, before only one in ATTEMPT_EVERY is tried
#define ATTEMPT_EVERY     16
#define MISSES_FOR_ONE    4  // that many times there was none: so one more is made in advance

typedef struct place {
    void *spare;
    subi_make make;
} place;

static subi__lock lock = SUBI__LOCK_INIT;
static place places[SUBI_RESERVE_MAX];  // guarded by lock, as all that follows
static size_t count;
static size_t limit;
static size_t lent;  // templates that were taken
static bool is_open;
static unsigned failures;         // of attempts in a row, and chances not taken since
static unsigned making_failures;  // the same, of those that are made in advance

// Of each make: how many there are, how often there was none, and how many are wanted anyway.
static size_t counts[SUBI_MAKES], misses[SUBI_MAKES], wanted[SUBI_MAKES];

static _Atomic uint32_t
    maker;  // atomic: whoever makes them in advance; a futex; written with the lock
static unsigned pauses;

enum { NOBODY, BUSY, PAUSED };

void
subi__reserve_init(void)
{
    size_t processors = (size_t)subi__processor_count();
    limit = 2 * processors > FIRST_LIMIT_MIN ? 2 * processors : FIRST_LIMIT_MIN;
    limit = limit < SUBI_RESERVE_MAX ? limit : SUBI_RESERVE_MAX;
}

void
subi__reserve_forget(void)
{
    subi__lock_init(&lock);
    count = lent = 0;
    pauses = 0;
    memset(counts, 0, sizeof(counts));
    atomic_store(&maker, NOBODY);
}

size_t
subi_reserve_limit(void)
{
    subi__lock_acquire(&lock);
    size_t now = limit;
    subi__lock_release(&lock);
    return now;
}

void
subi_reserve_set_limit(size_t new_limit)
{
    subi__lock_acquire(&lock);
    limit = new_limit < SUBI_RESERVE_MAX ? new_limit : SUBI_RESERVE_MAX;
    failures = making_failures = 0;
    memset(misses, 0, sizeof(misses));
    memset(wanted, 0, sizeof(wanted));
    subi__lock_release(&lock);
}

size_t
subi_reserve_count(void)
{
    subi__lock_acquire(&lock);
    size_t now = count - counts[SUBI_MAKE_TEMPLATE];
    subi__lock_release(&lock);
    return now;
}

void
subi_reserve_open(void)
{
    subi__lock_acquire(&lock);
    is_open = true;
    subi__lock_release(&lock);
}

bool
subi_reserve_wants_one(void)
{
    subi__lock_acquire(&lock);
    bool wants = is_open && count < limit;
    if (wants && failures >= FAILURES_ACCEPTED) {
        failures++;
        wants = failures % ATTEMPT_EVERY == 0;
    }
    subi__lock_release(&lock);
    return wants;
}

void
subi_reserve_attempt_failed(void)
{
    subi__lock_acquire(&lock);
    failures++;
    subi__lock_release(&lock);
}

void
subi_reserve_making_failed(void)
{
    subi__lock_acquire(&lock);
    making_failures++;
    subi__lock_release(&lock);
}

// With the lock.
static bool
put(void *spare, subi_make make)
{
    bool room = count < limit;
    if (room) {
        places[count++] = (place){spare, make};
        counts[make]++;
    }
    return room;
}

static bool
put_after(unsigned *failed, void *spare, subi_make make)
{
    subi__lock_acquire(&lock);
    bool room = put(spare, make);
    *failed = room ? 0 : *failed;
    subi__lock_release(&lock);
    return room;
}

bool
subi_reserve_put(void *spare, subi_make make)
{
    return put_after(&failures, spare, make);
}

bool
subi_reserve_put_made(void *spare, subi_make make)
{
    return put_after(&making_failures, spare, make);
}

bool
subi_reserve_give_back(void *template)
{
    subi__lock_acquire(&lock);
    lent -= lent > 0;
    bool room = put(template, SUBI_MAKE_TEMPLATE);
    subi__lock_release(&lock);
    return room;
}

// ---- taking; with the lock ----------------------------------------------------------------------

// The one put last that is of this make. `count`: none.
static size_t
find(subi_make make)
{
    size_t k = count;
    while (k > 0 && places[k - 1].make != make) {
        k--;
    }
    return k > 0 ? k - 1 : count;
}

// k may be `count`: NULL.
static void *
take(size_t k)
{
    if (k == count) {
        return NULL;
    }
    place taken = places[k];
    counts[taken.make]--;
    for (count--; k < count; k++) {
        places[k] = places[k + 1];
    }
    subi__run_begins();  // until subi_reserve_done
    return taken.spare;
}

void *
subi_reserve_take(subi_make make)
{
    subi__lock_acquire(&lock);
    size_t k = find(make);
    void *spare = take(k == count && make == SUBI_MAKE_PLAIN ? find(SUBI_MAKE_FULL) : k);
    if (make == SUBI_MAKE_TEMPLATE) {
        lent += spare != NULL;  // others wait for none: they do without
    }
    else {
        misses[make] += spare == NULL;
    }
    subi__lock_release(&lock);
    return spare;
}

void *
subi_reserve_take_excess(bool all)
{
    subi__lock_acquire(&lock);
    void *spare = count > (all ? 0 : limit) ? take(count - 1) : NULL;
    subi__lock_release(&lock);
    return spare;
}

void
subi_reserve_done(void)
{
    subi__run_ends();
}

// ---- making them in advance ---------------------------------------------------------------------

void
subi_reserve_want(subi_make make, size_t number)
{
    subi__lock_acquire(&lock);
    if (wanted[make] < number) {
        wanted[make] = number;
    }
    making_failures = 0;
    subi__lock_release(&lock);
}

// With the lock. False: none.
static bool
is_missing(subi_make *make)
{
    if (!is_open || count >= limit || making_failures >= FAILURES_ACCEPTED) {
        return false;
    }
    for (unsigned m = SUBI_MAKES; m-- > 0;) {  // templates first
        size_t by_use = misses[m] / MISSES_FOR_ONE;
        size_t there = counts[m] + (m == SUBI_MAKE_TEMPLATE ? lent : 0);
        if (there < (wanted[m] > by_use ? wanted[m] : by_use)) {
            *make = (subi_make)m;
            return true;
        }
    }
    return false;
}

// With the lock.
static void
set_maker(uint32_t now)
{
    atomic_store(&maker, now);
    subi__futex_wake(&maker, INT32_MAX);
}

bool
subi_reserve_begin_making(void)
{
    subi_make unused;
    subi__lock_acquire(&lock);
    bool begins = atomic_load(&maker) == NOBODY && pauses == 0 && is_missing(&unused);
    if (begins) {
        set_maker(BUSY);
    }
    subi__lock_release(&lock);
    return begins;
}

bool
subi_reserve_next(subi_make *make)
{
    subi__lock_acquire(&lock);
    while (pauses > 0) {
        set_maker(PAUSED);
        subi__lock_release(&lock);
        subi__futex_wait(&maker, PAUSED, SUBI_FOREVER);
        subi__lock_acquire(&lock);
    }
    bool goes_on = is_missing(make);
    if (!goes_on) {
        set_maker(
            NOBODY);  // with the lock, so that whoever wants one now finds that nobody is at it
    }
    subi__lock_release(&lock);
    return goes_on;
}

void
subi_reserve_end_making(void)
{
    subi__lock_acquire(&lock);
    set_maker(NOBODY);
    subi__lock_release(&lock);
}

subi_result
subi_reserve_pause(int64_t deadline)
{
    subi_result r = SUBI_OK;
    subi__lock_acquire(&lock);
    pauses++;
    subi__lock_release(&lock);
    while (atomic_load(&maker) == BUSY && r != SUBI_TIMEOUT) {
        r = subi__futex_wait(&maker, BUSY, deadline);
    }
    return atomic_load(&maker) != BUSY ? SUBI_OK : SUBI_TIMEOUT;
}

void
subi_reserve_resume(void)
{
    subi__lock_acquire(&lock);
    if (--pauses == 0 && atomic_load(&maker) == PAUSED) {
        set_maker(BUSY);
    }
    subi__lock_release(&lock);
}
