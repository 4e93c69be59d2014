// SPDX-License-Identifier: MIT
#include "tap.h"

// As subi_reserve_take, for a caller that has done with it.
static void *
take(bool excess)
{
    void *spare = subi_reserve_take(excess);
    must(subi_running() > 0 || spare == NULL);
    if (spare != NULL) {
        subi_reserve_done();
    }
    return spare;
}

static int spares[SUBI_RESERVE_MAX + 1];

static void
test_stack(void)
{
    subi_reserve_set_limit(2);
    ok(subi_reserve_limit() == 2, "the limit is what was set");
    ok(take(false) == NULL, "there is nothing at first");
    ok(subi_reserve_put(&spares[0]) && subi_reserve_put(&spares[1]), "two fit");
    ok(!subi_reserve_wants_one() && !subi_reserve_put(&spares[2]), "a third does not");
    ok(take(true) == NULL, "none is too many");
    ok(take(false) == &spares[1] && take(false) == &spares[0], "the one put last comes first");
}

static void
test_limits(void)
{
    subi_reserve_set_limit(SIZE_MAX);
    ok(subi_reserve_limit() == SUBI_RESERVE_MAX, "there is a highest limit");
    for (size_t k = 0; k < SUBI_RESERVE_MAX; k++) {
        must(subi_reserve_put(&spares[k]));
    }
    ok(!subi_reserve_put(&spares[SUBI_RESERVE_MAX]), "and no more than that fit");
    subi_reserve_set_limit(1);
    size_t excess = 0;
    while (take(true) != NULL) {
        excess++;
    }
    ok(excess == SUBI_RESERVE_MAX - 1, "a lower limit makes some too many");
    subi_reserve_set_limit(0);
    ok(take(true) == &spares[0] && !subi_reserve_put(&spares[0]), "0 is a limit");
    ok(!subi_reserve_wants_one(), "with which none is wanted");
}

static int
chances_taken(int chances)
{
    int taken = 0;
    for (int k = 0; k < chances; k++) {
        if (subi_reserve_wants_one()) {
            taken++;
            subi_reserve_attempt_failed();
        }
    }
    return taken;
}

static void
test_failures(void)
{
    subi_reserve_set_limit(4);
    int taken = chances_taken(1000);
    ok(taken >= 20 && taken <= 100, "failing attempts become rare: %d of 1000", taken);
    while (!subi_reserve_wants_one()) {
    }
    must(subi_reserve_put(&spares[0]) && take(false) == &spares[0]);
    ok(subi_reserve_wants_one() && subi_reserve_wants_one(), "after a success all are tried again");
    chances_taken(100);
    subi_reserve_set_limit(4);
    ok(subi_reserve_wants_one(), "and when the limit is set");
}

static _Atomic int owners[SUBI_RESERVE_MAX];

static void *
put_and_take(void *unused)
{
    for (int k = 0; k < 100000 / TAP_SLOW; k++) {
        int *spare = take(false);
        if (spare != NULL) {
            must(atomic_fetch_add(&owners[spare - spares], 1) == 0);
            sched_yield();
            must(atomic_fetch_sub(&owners[spare - spares], 1) == 1);
            must(subi_reserve_put(spare));
        }
    }
    return unused;
}

static void
test_threads(void)
{
    pthread_t t[4];
    subi_reserve_set_limit(3);
    for (int k = 0; k < 3; k++) {
        must(subi_reserve_put(&spares[k]));
    }
    for (int k = 0; k < 4; k++) {
        t[k] = tap_thread(put_and_take, NULL);
    }
    for (int k = 0; k < 4; k++) {
        tap_join(t[k]);
    }
    for (int k = 0; k < 3; k++) {
        must(take(false) != NULL);
    }
    ok(take(false) == NULL, "each is in one pair of hands at a time");
    ok(subi_running() == 0, "and all have been given back");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    ok(!subi_reserve_wants_one(), "none is wanted before it is open");
    subi_reserve_open();
    test_stack();
    test_limits();
    test_failures();
    test_threads();
    return tap_done();
}
