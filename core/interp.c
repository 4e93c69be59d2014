// SPDX-License-Identifier: MIT
#include "interp.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "channel.h"
#include "lock.h"
#include "platform.h"
#include "process.h"
#include "signals.h"
#include "subinterp_runtime.h"
#include "sync.h"
#include "table.h"

// States and who moves between them:
//   RUNNING -leave-> IDLE -enter-> RUNNING
//   IDLE -begin_close-> CLOSING -end_close-> CLOSED (or back to IDLE)
//   RUNNING -discard-> CLOSED (it could not be made)
struct subi_interp {
    subi__entry entry;
    subi_kind kind;                // set once
    int64_t owner;                 // set once
    char *name;                    // set once; NULL: none
    _Atomic(const void *) native;  // atomic: set while RUNNING or CLOSING; read by subi_interp_find
    void *data;                    // set while RUNNING or CLOSING, by the one whose state that is
    subi__lock lock;
    subi_state state;     // guarded by lock
    subi_thread *runner;  // guarded by lock; compared only; NULL unless RUNNING
    size_t users;         // guarded by lock
    bool orphaned;        // guarded by lock; the last user went while RUNNING
    uint32_t waiters;     // guarded by lock; threads in wait_for_change
    uint32_t pins;        // guarded by lock; not closed while there are any
    enum { NEW, IN_FIRST_RUN, HAS_RUN } experience;  // guarded by lock
    subi__guest guest;                               // in the workshop; see BUSY_TIME
    _Atomic uint32_t changes;  // atomic: counts changes of state, under the lock; a futex
    subi__exports exports;     // see export.h
    subi__usage usage;         // see usage.h
};

// A first run is mostly imports, so it is as busy as the making of its interpreter was; and so is
// the closing. A short-lived interpreter is run as soon as it is made, and then closed: it keeps its
// place in the workshop meanwhile, so that whoever waits for it finds the closed one ready to be
// used.
#define BUSY_TIME   INT64_C(20000000)  // ns
#define LINGER_TIME INT64_C(5000000)   // ns before and after the first run

static subi__table interps = SUBI__TABLE_INIT;
static _Atomic bool no_more_runs;               // atomic: set once, by subi_refuse_runs
static _Atomic size_t in_main_runtime;          // atomic: how many have not ended
static subi__lock main_lock = SUBI__LOCK_INIT;  // serialises the making of the main record

// The main interpreter and foreign ones are always running; what subi_running counts are ours.
static bool
counts_as_run(const subi_interp *i)
{
    return i->kind == SUBI_KIND_OWN || i->kind == SUBI_KIND_SHARED || i->kind == SUBI_KIND_PRIVATE;
}

static bool
is_in_main_runtime(const subi_interp *i)
{
    return i->kind == SUBI_KIND_OWN || i->kind == SUBI_KIND_SHARED;
}

void
subi__interp_ended(const subi_interp *i)
{
    if (is_in_main_runtime(i) && !subi_interp_stale(i)) {
        atomic_fetch_sub(&in_main_runtime, 1);
    }
}

static subi_result
add(subi_kind kind, const char *name, int64_t owner, subi_interp **out)
{
    subi_interp *i = calloc(1, sizeof(*i));
    if (i == NULL) {
        return SUBI_NOMEM;
    }
    if (name != NULL) {
        i->name = malloc(strlen(name) + 1);
        if (i->name == NULL) {
            free(i);
            return SUBI_NOMEM;
        }
        strcpy(i->name, name);
    }
    i->kind = kind;
    i->owner = owner;
    i->state = SUBI_STATE_RUNNING;
    i->runner = subi_thread_self();
    subi__lock_init(&i->lock);
    if (subi__table_add(&interps, &i->entry) != SUBI_OK) {
        free(i->name);
        free(i);
        return SUBI_NOMEM;
    }
    if (counts_as_run(i)) {
        subi__run_begins();  // until subi_interp_leave
        // after it was counted: whoever sets the flag and then waits for runs will not miss it
        if (atomic_load(&no_more_runs)) {
            subi__run_ends();
            subi_interp_drop(i);
            return SUBI_CLOSED;
        }
    }
    if (is_in_main_runtime(i)) {
        atomic_fetch_add(&in_main_runtime, 1);
    }
    *out = i;
    return SUBI_OK;
}

subi_interp *
subi_interp_main(void)
{
    subi__lock_acquire(&main_lock);
    subi_interp *i = (subi_interp *)subi__table_find(&interps, 0);
    if (i == NULL) {
        // After a fork the ids are not at 0. Nobody else adds before there is a main record.
        int64_t next_id = interps.next_id;
        interps.next_id = 0;
        if (add(SUBI_KIND_MAIN, "main", SUBI_NOBODY, &i) == SUBI_OK) {
            assert(i->entry.id == 0);
            subi_interp_hold(i);  // the process's own reference
            interps.next_id = next_id > 1 ? next_id : 1;
        }
        else {
            interps.next_id = next_id;
        }
    }
    subi__lock_release(&main_lock);
    return i;
}

subi_result
subi_interp_new(subi_kind kind, const char *name, int64_t owner, subi_interp **out)
{
    subi_interp *first = subi_interp_main();  // so that id 0 is taken
    if (first == NULL) {
        return SUBI_NOMEM;
    }
    subi_interp_drop(first);
    return add(kind, name, owner, out);
}

void
subi_interp_hold(subi_interp *i)
{
    subi__entry_hold(&i->entry);
}

void
subi_interp_drop(subi_interp *i)
{
    if (subi__table_drop(&interps, &i->entry)) {
        if (!subi_interp_stale(i)) {
            subi__go(&i->guest);
        }
        free(i->name);
        free(i);
    }
}

static bool
is_open(subi__entry *e)
{
    subi_state state = subi_interp_state((subi_interp *)e);
    return state == SUBI_STATE_IDLE || state == SUBI_STATE_RUNNING;
}

subi_interp *
subi_interp_lookup(int64_t id)
{
    subi__entry *e = subi__table_find(&interps, id);
    if (e != NULL && !is_open(e)) {
        subi_interp_drop((subi_interp *)e);
        return NULL;
    }
    return (subi_interp *)e;
}

static bool
has_native(subi__entry *e, const void *native)
{
    return atomic_load(&((subi_interp *)e)->native) == native;
}

static bool
has_native_and_is_open(subi__entry *e, const void *native)
{
    return has_native(e, native) && is_open(e);
}

subi_interp *
subi_interp_find(const void *native)
{
    if (native == NULL) {
        return NULL;  // not those that have no pointer yet
    }
    // the memory of one that is closing may be that of a new one already
    subi__entry *e = subi__table_search(&interps, has_native_and_is_open, native);
    return (subi_interp *)(e != NULL ? e : subi__table_search(&interps, has_native, native));
}

subi_result
subi_interp_list(int64_t **ids, size_t *count)
{
    subi_interp *first = subi_interp_main();  // which always exists, whether anybody asked or not
    if (first == NULL) {
        return SUBI_NOMEM;
    }
    subi_interp_drop(first);
    return subi__table_ids(&interps, is_open, ids, count);
}

bool
subi_interp_any_in_main_runtime(void)
{
    return atomic_load(&in_main_runtime) > 0;
}

void
subi__interps_forget(void)
{
    subi__lock_init(&main_lock);
    subi__table_forget(&interps);
    atomic_store(&no_more_runs, false);
    atomic_store(&in_main_runtime, 0);
}

int64_t
subi_interp_id(const subi_interp *i)
{
    return i->entry.id;
}

subi_kind
subi_interp_kind(const subi_interp *i)
{
    return i->kind;
}

const char *
subi_interp_name(const subi_interp *i)
{
    return i->name != NULL ? i->name : "";
}

int64_t
subi_interp_owner(const subi_interp *i)
{
    return i->owner;
}

subi_state
subi_interp_state(subi_interp *i)
{
    if (subi_interp_stale(i)) {
        return SUBI_STATE_CLOSED;
    }
    subi__lock_acquire(&i->lock);
    subi_state state = i->state;
    subi__lock_release(&i->lock);
    return state;
}

subi__usage *
subi__interp_usage(subi_interp *i)
{
    return &i->usage;
}

subi__exports *
subi__interp_exports(subi_interp *i)
{
    return &i->exports;
}

bool
subi_interp_stale(const subi_interp *i)
{
    return i->entry.generation != subi_generation();
}

void
subi_interp_set_native(subi_interp *i, const void *native, void *data)
{
    i->data = data;
    atomic_store(&i->native, native);
}

const void *
subi_interp_native(const subi_interp *i)
{
    return atomic_load(&i->native);
}

void *
subi_interp_data(const subi_interp *i)
{
    return i->data;
}

// ---- the state machine ------------------------------------------------------------------------

// Wants the lock, as change does.
static void
wake_waiters(subi_interp *i)
{
    if (i->waiters > 0) {
        // under the lock, which orders it before a waiter's look at the state
        atomic_fetch_add(&i->changes, 1);
        subi__futex_wake(&i->changes, INT32_MAX);
    }
}

static void
change(subi_interp *i, subi_state state)
{
    i->state = state;
    i->runner = state == SUBI_STATE_RUNNING ? subi_thread_self() : NULL;
    wake_waiters(i);
}

bool
subi_interp_pin(subi_interp *i)
{
    bool open = false;
    if (!subi_interp_stale(i)) {
        subi__lock_acquire(&i->lock);
        open = i->state == SUBI_STATE_IDLE || i->state == SUBI_STATE_RUNNING;
        i->pins += open;
        subi__lock_release(&i->lock);
    }
    return open;
}

void
subi_interp_unpin(subi_interp *i)
{
    if (!subi_interp_stale(i)) {
        subi__lock_acquire(&i->lock);
        if (--i->pins == 0) {
            wake_waiters(i);
        }
        subi__lock_release(&i->lock);
    }
}

// Wants the lock, which it releases meanwhile. SUBI_OK: look again.
static subi_result
wait_for_change(subi_interp *i, int64_t deadline)
{
    uint32_t seen = atomic_load(&i->changes);
    i->waiters++;
    subi__lock_release(&i->lock);
    subi_result r = subi__signals_wait(&i->changes, seen, deadline);
    subi__lock_acquire(&i->lock);
    i->waiters--;
    return r;
}

// Wants the lock. Whether somebody else runs it whose run will end.
static bool
has_other_runner(const subi_interp *i)
{
    return i->state == SUBI_STATE_RUNNING && counts_as_run(i) && i->runner != subi_thread_self();
}

subi_result
subi_interp_enter(subi_interp *i, int64_t deadline)
{
    if (subi_interp_stale(i)) {
        return SUBI_FORKED;
    }
    subi_result r = SUBI_OK;
    subi__lock_acquire(&i->lock);
    while (deadline != SUBI_TRY && r == SUBI_OK && has_other_runner(i)) {
        r = wait_for_change(i, deadline);
    }
    if (i->state == SUBI_STATE_IDLE) {
        r = SUBI_OK;
        change(i, SUBI_STATE_RUNNING);
        subi__run_begins();
    }
    else if (r == SUBI_OK) {
        r = i->state == SUBI_STATE_RUNNING ? SUBI_BUSY : SUBI_CLOSED;
    }
    if (r == SUBI_OK && atomic_load(&no_more_runs)) {  // as in add
        change(i, SUBI_STATE_IDLE);
        subi__run_ends();
        r = SUBI_CLOSED;
    }
    bool first = r == SUBI_OK && i->experience == NEW;
    if (first) {
        i->experience = IN_FIRST_RUN;
    }
    subi__lock_release(&i->lock);
    if (first) {
        subi__stay_busy(&i->guest, BUSY_TIME);
    }
    return r;
}

void
subi_interp_stay(subi_interp *i)
{
    subi__stay(&i->guest, LINGER_TIME);
}

void
subi_refuse_runs(void)
{
    atomic_store(&no_more_runs, true);
}

bool
subi_interp_leave(subi_interp *i)
{
    if (subi_interp_stale(i)) {
        return false;
    }
    subi__lock_acquire(&i->lock);
    assert(i->state == SUBI_STATE_RUNNING);
    if (i->experience == IN_FIRST_RUN) {
        i->experience = HAS_RUN;
        subi__stay(&i->guest, LINGER_TIME);  // under the lock, so that no closing comes before
    }
    bool orphaned = i->orphaned;
    i->orphaned = false;
    change(i, SUBI_STATE_IDLE);
    subi__lock_release(&i->lock);
    if (counts_as_run(i)) {
        subi__run_ends();
    }
    return orphaned;
}

static bool
in_use(const subi_interp *i)
{
    return i->state == SUBI_STATE_RUNNING || i->pins > 0;
}

subi_result
subi_interp_begin_close(subi_interp *i, int64_t deadline)
{
    if (subi_interp_stale(i)) {
        return SUBI_FORKED;
    }
    subi_result r = SUBI_OK;
    subi__lock_acquire(&i->lock);
    while (in_use(i) && r == SUBI_OK) {
        bool mine = i->state == SUBI_STATE_RUNNING && i->runner == subi_thread_self();
        // this thread's own run will not end while it waits for it
        r = deadline == SUBI_TRY || mine ? SUBI_BUSY : wait_for_change(i, deadline);
    }
    if (i->state == SUBI_STATE_IDLE && i->pins == 0) {
        r = SUBI_OK;
        change(i, SUBI_STATE_CLOSING);
        subi__run_begins();  // until subi_interp_end_close
        subi__stay(&i->guest, BUSY_TIME);
    }
    else if (!in_use(i)) {
        r = SUBI_CLOSED;
    }
    subi__lock_release(&i->lock);
    return r;
}

void
subi_interp_end_close(subi_interp *i, bool closed)
{
    if (subi_interp_stale(i)) {
        return;
    }
    if (closed) {
        if (i->exports.ending == NULL) {  // else it lingers
            subi__interp_ended(i);
        }
        subi__table_unlist(&interps, &i->entry);
        subi__syncs_owner_ended(&(subi__owner){.interp = i->entry.id});
        subi__channels_sender_closed(i->entry.id);
    }
    subi__lock_acquire(&i->lock);
    assert(i->state == SUBI_STATE_CLOSING);
    change(i, closed ? SUBI_STATE_CLOSED : SUBI_STATE_IDLE);
    subi__go(&i->guest);
    subi__lock_release(&i->lock);
    subi__exports_recheck(i);  // the reaper does not look after one that is closing
    subi__run_ends();
}

void
subi_interp_discard(subi_interp *i)
{
    subi__interp_ended(i);
    subi__table_unlist(&interps, &i->entry);
    subi__lock_acquire(&i->lock);
    assert(i->state == SUBI_STATE_RUNNING);
    change(i, SUBI_STATE_CLOSED);
    subi__lock_release(&i->lock);
    subi__run_ends();
}

void
subi_interp_hold_user(subi_interp *i)
{
    if (!subi_interp_stale(i)) {
        subi__lock_acquire(&i->lock);
        i->users++;
        i->orphaned = false;
        subi__lock_release(&i->lock);
    }
}

bool
subi_interp_drop_user(subi_interp *i)
{
    bool close = false;
    if (!subi_interp_stale(i)) {
        subi__lock_acquire(&i->lock);
        if (--i->users == 0) {
            close = i->state == SUBI_STATE_IDLE;
            i->orphaned = i->state == SUBI_STATE_RUNNING;
        }
        subi__lock_release(&i->lock);
    }
    return close;
}
