// SPDX-License-Identifier: MIT
//
// Many threads on few interpreters: one run at a time, each closed by exactly one, and the list
// and the look-ups never show what is closed.
#include "tap.h"

#define SLOTS    3
#define THREADS  6
#define IDS_MOST (1 << 20)

// Beside the library's record, what must be true of it.
typedef struct slot {
    pthread_mutex_t mutex;  // guards interp, the pointer
    subi_interp *interp;
    atomic_int inside;  // threads between enter and leave, or owning a closing
} slot;

static slot slots[SLOTS];
static atomic_bool has_user[IDS_MOST];  // by interpreter id: its one user is there
static atomic_llong runs, made, closed, orphans;

static subi_interp *
new_idle_interp(void)
{
    subi_interp *i;
    must(subi_interp_new(SUBI_KIND_OWN, "storm", 0, &i) == SUBI_OK);
    must(!subi_interp_leave(i));
    must(subi_interp_id(i) < IDS_MOST);
    subi_interp_hold_user(i);
    atomic_store(&has_user[subi_interp_id(i)], true);
    atomic_fetch_add(&made, 1);
    return i;
}

static subi_interp *
hold_interp(slot *s)
{
    pthread_mutex_lock(&s->mutex);
    subi_interp *i = s->interp;
    subi_interp_hold(i);
    pthread_mutex_unlock(&s->mutex);
    return i;
}

// The caller owns the closing of s->interp. Another takes its place once it is closed.
static void
finish_closing(slot *s, subi_interp *i, bool close)
{
    must(atomic_fetch_add(&s->inside, 1) == 0);
    must(subi_interp_state(i) == SUBI_STATE_CLOSING &&
         subi_interp_enter(i, SUBI_TRY) == SUBI_CLOSED);
    must(subi_interp_lookup(subi_interp_id(i)) == NULL);
    must(atomic_fetch_sub(&s->inside, 1) == 1);
    subi_interp_end_close(i, close);
    if (close) {
        pthread_mutex_lock(&s->mutex);
        must(s->interp == i);
        s->interp = new_idle_interp();
        pthread_mutex_unlock(&s->mutex);
        subi_interp_drop(i);
        atomic_fetch_add(&closed, 1);
    }
}

static void
begin_close(slot *s, subi_interp *i, int64_t deadline, bool close)
{
    subi_result r = subi_interp_begin_close(i, deadline);
    must(r == SUBI_OK || r == SUBI_CLOSED ||
         r == (deadline == SUBI_TRY ? SUBI_BUSY : SUBI_TIMEOUT));
    if (r == SUBI_OK) {
        finish_closing(s, i, close);
    }
}

// Now and then the only user goes during the run: then the end of the run has to close it.
static void
run_once(slot *s, subi_interp *i, bool orphan)
{
    subi_result r = subi_interp_enter(i, SUBI_TRY);
    must(r == SUBI_OK || r == SUBI_BUSY || r == SUBI_CLOSED);
    if (r == SUBI_OK) {
        must(atomic_fetch_add(&s->inside, 1) == 0);
        orphan = orphan && atomic_exchange(&has_user[subi_interp_id(i)], false);
        must(!orphan || !subi_interp_drop_user(i));
        must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_BUSY);
        must(atomic_fetch_sub(&s->inside, 1) == 1);
        must(subi_interp_leave(i) == orphan);
        atomic_fetch_add(&runs, 1);
        if (orphan) {
            atomic_fetch_add(&orphans, 1);
            subi_interp_hold_user(i);  // another may own the closing, and fail
            atomic_store(&has_user[subi_interp_id(i)], true);
            begin_close(s, i, SUBI_FOREVER, true);
        }
    }
}

static void
check_list(void)
{
    int64_t *ids;
    size_t count;
    must(subi_interp_list(&ids, &count) == SUBI_OK);
    for (size_t k = 1; k < count; k++) {
        must(ids[k - 1] < ids[k]);
    }
    // main, one for each slot, and those being made by threads that have just closed another
    must(count >= 1 && count <= 1 + SLOTS + THREADS);
    free(ids);
}

static void
check_lookup(subi_interp *i)
{
    subi_interp *found = subi_interp_lookup(subi_interp_id(i));
    must(found == NULL || found == i);
    if (found != NULL) {
        subi_interp_drop(found);
    }
}

static void *
storm(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    for (int step = 0; step < 100000 / TAP_SLOW; step++) {
        uint64_t r = tap_random(&random);
        slot *s = &slots[r % SLOTS];
        subi_interp *i = hold_interp(s);
        switch (r >> 8 & 15) {
        case 0:
            begin_close(s, i, SUBI_TRY, (r >> 16) % 2 == 0);
            break;
        case 1:
            begin_close(s, i, subi_now() + (int64_t)(r >> 16) % (MS / 10), (r >> 16) % 2 == 0);
            break;
        case 2:
            check_list();
            break;
        case 3:
            check_lookup(i);
            break;
        default:
            run_once(s, i, (r >> 16) % 64 == 0);
        }
        subi_interp_drop(i);
    }
    return NULL;
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    pthread_t t[THREADS];
    uint64_t seeds[THREADS];
    for (int k = 0; k < SLOTS; k++) {
        pthread_mutex_init(&slots[k].mutex, NULL);
        slots[k].interp = new_idle_interp();
    }
    for (int k = 0; k < THREADS; k++) {
        seeds[k] = tap_seed + (uint64_t)k * 7919;
        t[k] = tap_thread(storm, &seeds[k]);
    }
    for (int k = 0; k < THREADS; k++) {
        tap_join(t[k]);
    }
    ok(made == closed + SLOTS, "%lld runs; %lld made, %lld closed, %lld as orphans",
       (long long)runs, (long long)made, (long long)closed, (long long)orphans);
    int64_t *ids;
    size_t count;
    must(subi_interp_list(&ids, &count) == SUBI_OK);
    ok(count == SLOTS + 1, "the list has what was not closed");
    free(ids);
    for (int k = 0; k < SLOTS; k++) {
        subi_interp_drop(slots[k].interp);
    }
    return tap_done();
}
