// SPDX-License-Identifier: MIT
#include "gate.h"

#include "tap.h"

#define LONG  (PATIENCE * 2)  // a guest that stays for all of a test
#define SHORT (20 * MS)

static subi__gate gate;

typedef struct visitor {
    pthread_t thread;
    _Atomic bool inside;
    int order;  // in which it was let in
} visitor;

static _Atomic int entered;

static void *
enter(void *arg)
{
    visitor *v = arg;
    subi__gate_enter(&gate);
    v->order = atomic_fetch_add(&entered, 1);
    atomic_store(&v->inside, true);
    return NULL;
}

static size_t
queued(void)
{
    size_t n = 0;
    subi__lock_acquire(&gate.lock);
    for (subi__queued **link = &gate.first; link != gate.last; link = (subi__queued **)*link) {
        n++;  // `next` is the first member
    }
    subi__lock_release(&gate.lock);
    return n;
}

static void
test_limit_and_order(void)
{
    visitor v[3] = {{.order = -1}, {.order = -1}, {.order = -1}};
    subi__gate_init(&gate, 2);
    subi__gate_enter(&gate);
    subi__gate_enter(&gate);
    for (size_t k = 0; k < 3; k++) {
        v[k].thread = tap_thread(enter, &v[k]);
        await(queued() == k + 1);
    }
    ok(atomic_load(&entered) == 0, "three wait while two are inside");
    for (int k = 0; k < 3; k++) {
        subi__gate_leave(&gate);
        tap_join(v[k].thread);
        must(v[k].order == k && queued() == (size_t)(2 - k));
    }
    ok(gate.inside == 2, "each that leaves lets the one in that has waited longest");
    subi__gate_leave(&gate);
    subi__gate_leave(&gate);
    ok(gate.inside == 0, "and then nobody is inside");
}

static void
test_guest(void)
{
    subi__guest guest = {.until = 0};
    visitor v = {.order = -1};
    subi__gate_init(&gate, 1);
    subi__gate_host(&gate, &guest, LONG);
    v.thread = tap_thread(enter, &v);
    await(queued() == 1);
    subi__gate_unhost(&gate, &guest);
    tap_join(v.thread);
    ok(atomic_load(&v.inside), "a guest takes a place until it goes");
    subi__gate_leave(&gate);
    subi__gate_unhost(&gate, &guest);
    ok(gate.guests == 0, "it may go twice");
}

static void
test_guest_runs_out(void)
{
    subi__guest guests[2] = {{.until = 0}};
    subi__gate_init(&gate, 1);
    subi__gate_host(&gate, &guests[0], SHORT);
    int64_t until = guests[0].until;
    subi__gate_enter(&gate);
    ok(subi_now() >= until && gate.guests == 0, "the place of a guest runs out by itself");
    subi__gate_leave(&gate);
    subi__gate_host(&gate, &guests[0], LONG);
    subi__gate_host(&gate, &guests[0], SHORT);
    ok(gate.guests == 1, "a guest that is hosted again has one place");
    subi__gate_enter(&gate);
    ok(gate.guests == 0, "for the later of the times");
    subi__gate_leave(&gate);
}

// A guest whose time is cut while somebody waits for it.
static void
test_guest_cut_short(void)
{
    subi__guest guests[2] = {{.until = 0}};
    visitor v = {.order = -1};
    subi__gate_init(&gate, 2);
    subi__gate_host(&gate, &guests[0], LONG);
    subi__gate_host(&gate, &guests[1], 2 * LONG);
    ok(gate.list.next == &guests[0] && gate.list.prev == &guests[1], "guests are in order");
    subi__gate_host(&gate, &guests[1], LONG / 2);
    ok(gate.list.next == &guests[1] && gate.list.prev == &guests[0], "of when they run out");
    v.thread = tap_thread(enter, &v);
    await(queued() == 1);
    subi__gate_host(&gate, &guests[1], SHORT);
    tap_join(v.thread);
    ok(gate.guests == 1, "who waits is told when a guest's time is cut");
    subi__gate_leave(&gate);
    subi__gate_unhost(&gate, &guests[0]);
}

static _Atomic int inside;

static void *
come_and_go(void *arg)
{
    uint64_t random = tap_seed + (uintptr_t)arg;
    subi__guest guest = {.until = 0};
    for (int k = 0; k < 20000 / TAP_SLOW; k++) {
        if (tap_random(&random) % 2 == 0) {
            subi__gate_enter(&gate);
            must(atomic_fetch_add(&inside, 1) < 2);
            atomic_fetch_sub(&inside, 1);
            subi__gate_leave(&gate);
        }
        else {
            subi__gate_host(&gate, &guest, (int64_t)(tap_random(&random) % 1000));
        }
    }
    subi__gate_unhost(&gate, &guest);
    return NULL;
}

static void
test_many(void)
{
    pthread_t t[6];
    subi__gate_init(&gate, 2);
    for (uintptr_t k = 0; k < 6; k++) {
        t[k] = tap_thread(come_and_go, (void *)k);
    }
    for (int k = 0; k < 6; k++) {
        tap_join(t[k]);
    }
    ok(gate.inside == 0 && gate.guests == 0 && gate.first == NULL, "many come and go at random");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_limit_and_order();
    test_guest();
    test_guest_runs_out();
    test_guest_cut_short();
    test_many();
    return tap_done();
}
