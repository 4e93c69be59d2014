// SPDX-License-Identifier: MIT
#include "tap.h"

static void *
done_with(void *spare)
{
    must(subi_running() > 0 || spare == NULL);
    if (spare != NULL) {
        subi_reserve_done();
    }
    return spare;
}

static void *
take(void)
{
    return done_with(subi_reserve_take(SUBI_MAKE_FULL));
}

static void *
take_excess(void)
{
    return done_with(subi_reserve_take_excess(false));
}

static bool
put(void *spare)
{
    return subi_reserve_put(spare, SUBI_MAKE_FULL);
}

static int spares[SUBI_RESERVE_MAX + 1];

static void
test_stack(void)
{
    subi_reserve_set_limit(2);
    ok(subi_reserve_limit() == 2, "the limit is what was set");
    ok(take() == NULL, "there is nothing at first");
    ok(put(&spares[0]) && put(&spares[1]), "two fit");
    ok(!subi_reserve_wants_one() && !put(&spares[2]), "a third does not");
    ok(take_excess() == NULL, "none is too many");
    ok(take() == &spares[1] && take() == &spares[0], "the one put last comes first");
}

static void
test_limits(void)
{
    subi_reserve_set_limit(SIZE_MAX);
    ok(subi_reserve_limit() == SUBI_RESERVE_MAX, "there is a highest limit");
    for (size_t k = 0; k < SUBI_RESERVE_MAX; k++) {
        must(put(&spares[k]));
    }
    ok(!put(&spares[SUBI_RESERVE_MAX]), "and no more than that fit");
    subi_reserve_set_limit(1);
    size_t excess = 0;
    while (take_excess() != NULL) {
        excess++;
    }
    ok(excess == SUBI_RESERVE_MAX - 1, "a lower limit makes some too many");
    subi_reserve_set_limit(0);
    ok(take_excess() == &spares[0] && !put(&spares[0]), "0 is a limit");
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
    must(put(&spares[0]) && take() == &spares[0]);
    ok(subi_reserve_wants_one() && subi_reserve_wants_one(), "after a success all are tried again");
    chances_taken(100);
    subi_reserve_set_limit(4);
    ok(subi_reserve_wants_one(), "and when the limit is set");
}

static void
test_makes(void)
{
    subi_reserve_set_limit(4);
    must(subi_reserve_put(&spares[0], SUBI_MAKE_PLAIN) && put(&spares[1]) &&
         subi_reserve_put(&spares[2], SUBI_MAKE_PLAIN));
    ok(subi_reserve_count() == 3, "they are counted");
    ok(take() == &spares[1] && take() == NULL, "a plain one will not do for a full one");
    must(put(&spares[1]));
    ok(done_with(subi_reserve_take(SUBI_MAKE_PLAIN)) == &spares[2] &&
           done_with(subi_reserve_take(SUBI_MAKE_PLAIN)) == &spares[0],
       "plain ones come first");
    ok(done_with(subi_reserve_take(SUBI_MAKE_PLAIN)) == &spares[1],
       "a full one will do for a plain one");
    ok(subi_reserve_count() == 0, "and none is left");
}

// How many are made in advance now.
static int
make_in_advance(subi_make expected)
{
    int made = 0;
    subi_make make;
    if (subi_reserve_begin_making()) {
        ok(!subi_reserve_begin_making(), "one thread at a time makes them");
        while (subi_reserve_next(&make)) {
            must(make == expected && subi_reserve_put(&spares[made], make));
            made++;
        }
    }
    return made;
}

static void
test_wanted(void)
{
    subi_reserve_set_limit(3);
    ok(make_in_advance(SUBI_MAKE_FULL) == 0, "none is wanted at first");
    subi_reserve_want(SUBI_MAKE_FULL, 2);
    ok(make_in_advance(SUBI_MAKE_FULL) == 2 && make_in_advance(SUBI_MAKE_FULL) == 0,
       "so many as are wanted");
    must(take() != NULL);
    ok(make_in_advance(SUBI_MAKE_FULL) == 1, "one that was taken is made again");
    subi_reserve_want(SUBI_MAKE_FULL, 100);
    ok(make_in_advance(SUBI_MAKE_FULL) == 1, "never more than the limit");
    subi_reserve_set_limit(0);
    while (take_excess() != NULL) {
    }
    subi_reserve_set_limit(3);
    ok(make_in_advance(SUBI_MAKE_FULL) == 0, "setting the limit forgets what was wanted");
    subi_reserve_want(SUBI_MAKE_PLAIN, 1);
    ok(make_in_advance(SUBI_MAKE_PLAIN) == 1, "plain ones can be wanted");
    must(done_with(subi_reserve_take(SUBI_MAKE_PLAIN)) != NULL);
    subi_reserve_set_limit(3);
    int misses = 0;
    while (make_in_advance(SUBI_MAKE_FULL) == 0) {
        must(take() == NULL);
        misses++;
    }
    ok(misses > 1 && misses < 10, "it is enough that there was none %d times", misses);
    must(take() != NULL);
    for (int k = 0; k < 4; k++) {
        must(subi_reserve_begin_making());
        subi_reserve_making_failed();
        subi_reserve_end_making();
    }
    ok(make_in_advance(SUBI_MAKE_FULL) == 0, "none where attempts fail");
    subi_reserve_want(SUBI_MAKE_FULL, 1);
    chances_taken(100);
    ok(make_in_advance(SUBI_MAKE_FULL) == 1,
       "until more are wanted; closings that fail do not count");
    must(take() != NULL);
    subi_reserve_set_limit(3);
}

static void
test_templates(void)
{
    subi_make make;
    subi_reserve_set_limit(3);
    subi_reserve_want(SUBI_MAKE_TEMPLATE, 1);
    must(make_in_advance(SUBI_MAKE_TEMPLATE) == 1);
    ok(subi_reserve_count() == 0 && take() == NULL, "a template is nobody's interpreter");
    void *template = done_with(subi_reserve_take(SUBI_MAKE_TEMPLATE));
    for (int k = 0; k < 100; k++) {
        must(subi_reserve_take(SUBI_MAKE_TEMPLATE) == NULL);
    }
    ok(!subi_reserve_begin_making(), "while it is lent no other is made");
    ok(subi_reserve_give_back(template), "it comes back");
    ok(!subi_reserve_begin_making() && !subi_reserve_next(&make), "and is the only one");
    must(done_with(subi_reserve_take_excess(true)) == template);
    subi_reserve_set_limit(3);
}

static void *
go_on_making(void *unused)
{
    subi_make make;
    int made = 0;
    while (subi_reserve_next(&make)) {
        must(put(&spares[made]));
        made++;
    }
    must(made == 1);
    return unused;
}

static void
test_pauses(void)
{
    subi_reserve_want(SUBI_MAKE_FULL, 1);
    must(subi_reserve_begin_making());
    ok(subi_reserve_pause(subi_now() + 1000000) == SUBI_TIMEOUT, "a pause waits for who makes one");
    pthread_t t = tap_thread(go_on_making, NULL);
    ok(subi_reserve_pause(SUBI_FOREVER) == SUBI_OK, "until that is done");
    ok(!subi_reserve_begin_making() && subi_reserve_count() == 0, "and nothing more is made");
    subi_reserve_resume();
    ok(!subi_reserve_begin_making(), "it is two pauses");
    subi_reserve_resume();
    tap_join(t);
    ok(subi_reserve_count() == 1 && take() != NULL, "then it goes on");
    subi_reserve_pause(SUBI_FOREVER);
    ok(!subi_reserve_begin_making(), "none begins meanwhile");
    subi_reserve_resume();
    ok(subi_reserve_begin_making(), "but later");
    subi_reserve_end_making();
    subi_reserve_set_limit(3);
}

static _Atomic int owners[SUBI_RESERVE_MAX];

static void *
put_and_take(void *unused)
{
    for (int k = 0; k < 100000 / TAP_SLOW; k++) {
        int *spare = take();
        if (spare != NULL) {
            must(atomic_fetch_add(&owners[spare - spares], 1) == 0);
            sched_yield();
            must(atomic_fetch_sub(&owners[spare - spares], 1) == 1);
            must(put(spare));
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
        must(put(&spares[k]));
    }
    for (int k = 0; k < 4; k++) {
        t[k] = tap_thread(put_and_take, NULL);
    }
    for (int k = 0; k < 4; k++) {
        tap_join(t[k]);
    }
    for (int k = 0; k < 3; k++) {
        must(take() != NULL);
    }
    ok(take() == NULL, "each is in one pair of hands at a time");
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
    test_makes();
    test_wanted();
    test_templates();
    test_pauses();
    test_threads();
    return tap_done();
}
