// SPDX-License-Identifier: MIT
//
// What belongs to the process as a whole: its generation (forks) and its end.
#include <stdatomic.h>
#include <unistd.h>

#include "process.h"

#include "channel.h"
#include "export.h"
#include "foreground.h"
#include "gate.h"
#include "interp.h"
#include "loader/slot.h"
#include "notify.h"
#include "platform.h"
#include "reserve.h"
#include "sync.h"
#include "thread.h"

static _Atomic uint32_t generation;  // atomic: written only in the child of a fork

static _Atomic uint32_t running;    // atomic: see subi_running; a futex
static _Atomic uint32_t waiting;    // atomic: see subi_waiting
static _Atomic uint32_t quiescing;  // atomic: threads in subi_quiesce
static subi__gate one, some;        // of the workshop

uint32_t
subi_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}

// How often this thread is inside each gate: making or ending an interpreter may run code that makes
// or ends another.
static _Thread_local int depth_some, depth_one;

// The guest whose place this thread keeps by running.
static _Thread_local subi__guest *busy;

static void
gates_init(void)
{
    subi__gate_init(&one, 1);
    subi__gate_init(&some, (size_t)subi__processor_count() + 1);  // one more: some of them wait
}

// The child has one thread and a copy of all memory, in which any lock may be held by a thread
// that is gone. So it starts anew: empty tables, and what came from the parent answers SUBI_FORKED
// without being touched.
static void
after_fork_in_child(void)
{
    atomic_fetch_add(&generation, 1);
    atomic_store(&running, 0);
    atomic_store(&waiting, 0);
    atomic_store(&quiescing, 0);
    gates_init();
    depth_some = depth_one = 0;
    busy = NULL;
    subi__channels_forget();
    subi__syncs_forget();
    subi__notifiers_forget();
    subi__interps_forget();
    subi__reserve_forget();
    subi__reaper_forget();
    subi__foreground_forget();
    subi__slots_survived();
    subi__thread_survived();
}

__attribute__((constructor)) static void
process_init(void)
{
    gates_init();
    subi__reserve_init();
    subi__at_fork_child(after_fork_in_child);
}

void
subi__run_begins(void)
{
    atomic_fetch_add(&running, 1);
}

void
subi__run_ends(void)
{
    // sequential, both: either we see the waiter, or it sees our decrement before it sleeps
    atomic_fetch_sub(&running, 1);
    if (atomic_load(&quiescing) != 0) {
        subi__futex_wake(&running, INT32_MAX);
    }
}

void
subi__wait_begins(void)
{
    if (busy != NULL) {
        subi__go(busy);
        busy = NULL;
    }
    atomic_fetch_add_explicit(&waiting, 1, memory_order_relaxed);  // a count, nothing more
}

void
subi__wait_ends(void)
{
    atomic_fetch_sub_explicit(&waiting, 1, memory_order_relaxed);
}

uint32_t
subi_running(void)
{
    return atomic_load(&running);
}

uint32_t
subi_waiting(void)
{
    return atomic_load(&waiting);
}

subi_result
subi_quiesce(int64_t deadline)
{
    subi_result r = SUBI_OK;
    uint32_t n;
    atomic_fetch_add(&quiescing, 1);
    while ((n = atomic_load(&running)) != 0 && r == SUBI_OK) {
        r = subi__futex_wait(&running, n, deadline);
    }
    atomic_fetch_sub(&quiescing, 1);
    return n == 0 ? SUBI_OK : r;
}

void
subi_workshop_enter(bool alone)
{
    // never `some` while inside `one`: those that hold a place in `some` may wait for `one`
    if (alone && depth_one++ == 0) {
        subi__gate_enter(&one);
    }
    else if (!alone && depth_some++ == 0 && depth_one == 0) {
        subi__gate_enter(&some);
    }
}

void
subi_workshop_leave(bool alone)
{
    if (alone && --depth_one == 0) {
        subi__gate_leave(&one);
    }
    else if (!alone && --depth_some == 0 && depth_one == 0) {
        subi__gate_leave(&some);
    }
}

void
subi__stay(subi__guest *guest, int64_t time)
{
    busy = NULL;
    subi__gate_host(&some, guest, time);
}

void
subi__stay_busy(subi__guest *guest, int64_t time)
{
    subi__gate_host(&some, guest, time);
    busy = guest;
}

void
subi__go(subi__guest *guest)
{
    subi__gate_unhost(&some, guest);
}

static _Atomic(const void *) host;  // atomic: every writer writes the same

void
subi_host_set(const void *table)
{
    atomic_store(&host, table);
}

const void *
subi_host(void)
{
    return atomic_load(&host);
}

char **
subi_environment(void)
{
    return environ;
}

void
subi_shutdown(void)
{
    subi__channels_shutdown();  // first: what waits on locks looks at what it sets
    subi__syncs_shutdown();
}
