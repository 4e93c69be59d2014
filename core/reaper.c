// SPDX-License-Identifier: MIT
//
// The reaper: a thread that brings returned exports back to owners that do not come by themselves,
// and ends interpreters that lingered for the sake of their exports. It is made when it is first
// needed, and knows no more of interpreters than the functions it calls.
//
// Its lock guards the queue of interpreters to look after and the list of those that linger.
#include "export.h"
#include "interp.h"
#include "lock.h"
#include "platform.h"

// An owner that sends or receives takes back what it lent by itself, for less than a visit costs.
#define PAUSE INT64_C(1000000)  // ns: how long it has for that

static subi__lock lock = SUBI__LOCK_INIT;
static subi_interp *due_first, *due_last;  // guarded by lock: a queue; one reference each
static subi_interp *lingering;             // guarded by lock: a list; one reference each
static enum { NOT_STARTED, STARTED, STOPPED } state;  // guarded by lock
static _Atomic uint32_t bell;                         // atomic: counts what happens; a futex
static _Atomic uint32_t stopping;                     // atomic: 1: it is to end; a futex
static _Atomic uint32_t ended;                        // atomic: 1: it has done its last; a futex

// ---- the queue --------------------------------------------------------------------------------

// Wants the lock.
static void
append(subi_interp *i)
{
    subi__interp_exports(i)->next_due = NULL;
    if (due_first == NULL) {
        due_first = i;
    }
    else {
        subi__interp_exports(due_last)->next_due = i;
    }
    due_last = i;
}

static bool
is_empty(void)
{
    subi__lock_acquire(&lock);
    bool empty = due_first == NULL;
    subi__lock_release(&lock);
    return empty;
}

// A reference, or NULL.
static subi_interp *
take_due(void)
{
    subi__lock_acquire(&lock);
    subi_interp *i = due_first;
    if (i != NULL) {
        due_first = subi__interp_exports(i)->next_due;
    }
    subi__lock_release(&lock);
    if (i != NULL) {
        // before its exports are taken: whoever found it due has returned his export by now, and
        // whoever comes later asks for another visit
        atomic_exchange(&subi__interp_exports(i)->due, false);
    }
    return i;
}

// ---- those that linger ------------------------------------------------------------------------

static void
link_lingering(subi_interp *i)
{
    subi__lock_acquire(&lock);
    subi__interp_exports(i)->next_lingering = lingering;
    lingering = i;
    subi__lock_release(&lock);
}

// False: it is not in the list.
static bool
unlink_lingering(subi_interp *i)
{
    subi__lock_acquire(&lock);
    subi_interp **link = &lingering;
    while (*link != NULL && *link != i) {
        link = &subi__interp_exports(*link)->next_lingering;
    }
    bool found = *link != NULL;
    if (found) {
        *link = subi__interp_exports(i)->next_lingering;
    }
    subi__lock_release(&lock);
    return found;
}

// Of one that was taken out of the list. True: i may be gone.
static bool
end_lingering(subi_interp *i)
{
    subi__exports *x = subi__interp_exports(i);
    if (!x->ending(i, x->ending_data)) {
        link_lingering(i);
        return false;
    }
    subi__interp_ended(i);
    subi_interp_drop(i);
    return true;
}

void
subi_interp_linger(subi_interp *i, bool (*ending)(subi_interp *, void *), void *data)
{
    subi__exports *x = subi__interp_exports(i);
    x->ending = ending;
    x->ending_data = data;
    link_lingering(i);  // first: who waits for the closing to be over finds it there
    subi_interp_end_close(i, true);
}

void
subi_lingering_end(void (*abandon)(subi_interp *, void *))
{
    subi_interp *i;
    bool progress = true;
    while (progress) {  // one may have what another waits for
        subi__lock_acquire(&lock);
        subi_interp *all = lingering;
        lingering = NULL;
        subi__lock_release(&lock);
        progress = false;
        while ((i = all) != NULL) {
            all = subi__interp_exports(i)->next_lingering;
            progress = end_lingering(i) || progress;
        }
    }
    while ((i = lingering) != NULL && unlink_lingering(i)) {
        subi_exports_end(i);
        abandon(i, subi__interp_exports(i)->ending_data);
    }
}

// ---- the thread -------------------------------------------------------------------------------

static void
look_after(subi_interp *i)
{
    if (subi_interp_pin(i)) {
        subi_export *list = subi__exports_take(i);
        if (list != NULL) {
            subi__exports_visit(i, list);  // out of memory: the owner may come by, or the next one
        }
        subi_interp_unpin(i);
    }
    else if (subi_interp_state(i) == SUBI_STATE_CLOSED && unlink_lingering(i)) {
        end_lingering(i);
    }
    // else it is closing, and the end of that looks again
}

static void
reap(void)
{
    uint32_t generation = subi_generation();
    while (!atomic_load(&stopping)) {
        uint32_t seen = atomic_load(&bell);
        if (is_empty()) {
            subi__futex_wait(&bell, seen, SUBI_FOREVER);
            continue;
        }
        subi__futex_wait(&stopping, 0, subi_now() + PAUSE);
        subi_interp *i = atomic_load(&stopping) ? NULL : take_due();
        if (i != NULL) {
            look_after(i);
            subi_interp_drop(i);
        }
        if (generation != subi_generation()) {
            return;  // a finalizer has forked: this is the child's only thread, and not its reaper
        }
    }
    atomic_store(&ended, 1);
    subi__futex_wake(&ended, INT32_MAX);
}

static void
ring(void)
{
    atomic_fetch_add(&bell, 1);
    subi__futex_wake(&bell, 1);
}

// The owners may come by themselves; and the next export that is returned tries again.
static void
give_up_starting(void)
{
    subi__lock_acquire(&lock);
    state = NOT_STARTED;
    subi__lock_release(&lock);
    subi_interp *i;
    while ((i = take_due()) != NULL) {
        subi_interp_drop(i);
    }
}

void
subi__reaper_tell(subi_interp *i)
{
    if (atomic_exchange(&subi__interp_exports(i)->due, true)) {
        return;
    }
    subi_interp_hold(i);
    subi__lock_acquire(&lock);
    append(i);
    bool start = state == NOT_STARTED;
    if (start) {
        state = STARTED;
    }
    subi__lock_release(&lock);
    static void (*const run)(void) = reap;
    if (start && subi__thread_start(&run) != SUBI_OK) {
        give_up_starting();
    }
    ring();
}

subi_result
subi_reaper_stop(int64_t deadline)
{
    subi__lock_acquire(&lock);
    bool wait = state == STARTED;
    if (state == NOT_STARTED) {
        state = STOPPED;
    }
    subi__lock_release(&lock);
    subi_result r = SUBI_OK;
    atomic_store(&stopping, 1);
    subi__futex_wake(&stopping, INT32_MAX);
    ring();
    while (wait && !atomic_load(&ended) && r != SUBI_TIMEOUT) {
        r = subi__futex_wait(&ended, 0, deadline);
    }
    return wait && !atomic_load(&ended) ? SUBI_TIMEOUT : SUBI_OK;
}

void
subi__reaper_forget(void)
{
    subi__lock_init(&lock);
    due_first = due_last = lingering = NULL;
    state = NOT_STARTED;
    atomic_store(&stopping, 0);
    atomic_store(&ended, 0);
}
