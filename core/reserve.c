// SPDX-License-Identifier: MIT
#include "reserve.h"

#include "lock.h"
#include "platform.h"
#include "process.h"
#include "subinterp_runtime.h"

#define FIRST_LIMIT_MIN   4
#define FAILURES_ACCEPTED 4  // in a row, before only one in ATTEMPT_EVERY is tried
#define ATTEMPT_EVERY     16

static subi__lock lock = SUBI__LOCK_INIT;
static void *spares[SUBI_RESERVE_MAX];  // guarded by lock, as all that follows
static size_t count;
static size_t limit;
static bool is_open;
static unsigned failures;  // of attempts in a row, and chances not taken since

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
    count = 0;
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
    failures = 0;
    subi__lock_release(&lock);
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
    bool wanted = is_open && count < limit;
    if (wanted && failures >= FAILURES_ACCEPTED) {
        failures++;
        wanted = failures % ATTEMPT_EVERY == 0;
    }
    subi__lock_release(&lock);
    return wanted;
}

void
subi_reserve_attempt_failed(void)
{
    subi__lock_acquire(&lock);
    failures++;
    subi__lock_release(&lock);
}

bool
subi_reserve_put(void *spare)
{
    subi__lock_acquire(&lock);
    bool room = count < limit;
    if (room) {
        spares[count++] = spare;
        failures = 0;
    }
    subi__lock_release(&lock);
    return room;
}

void *
subi_reserve_take(bool excess)
{
    subi__lock_acquire(&lock);
    void *spare = count > (excess ? limit : 0) ? spares[--count] : NULL;
    if (spare != NULL) {
        subi__run_begins();  // until subi_reserve_done
    }
    subi__lock_release(&lock);
    return spare;
}

void
subi_reserve_done(void)
{
    subi__run_ends();
}
