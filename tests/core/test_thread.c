// SPDX-License-Identifier: MIT
#include "tap.h"

static subi_thread *kept;
static pthread_key_t late_key;
static bool late_alive;

static void *
keep_self(void *unused)
{
    kept = subi_thread_self();
    must(kept == subi_thread_self() && subi_thread_alive(kept));
    subi_thread_hold(kept);
    return unused;
}

static void
test_self(void)
{
    subi_thread *mine = subi_thread_self();
    ok(mine != NULL && mine == subi_thread_self(), "a thread has one record");
    ok(subi_thread_alive(mine), "it is alive");
    tap_join(tap_thread(keep_self, NULL));
    ok(kept != mine, "another thread has another");
    ok(!subi_thread_alive(kept), "a record that is held tells that its thread is gone");
    subi_thread_drop(kept);
}

// A destructor that runs after ours may use the library once more.
static void
late_destructor(void *round)
{
    late_alive = subi_thread_alive(subi_thread_self());
    if (round == &late_key) {
        pthread_setspecific(late_key, &late_alive);  // once more, in the next round
    }
}

static void *
use_late(void *unused)
{
    pthread_setspecific(late_key, &late_key);
    subi_thread_self();
    return unused;
}

static void
test_late_use(void)
{
    must(pthread_key_create(&late_key, late_destructor) == 0);
    tap_join(tap_thread(use_late, NULL));
    ok(late_alive, "a destructor of the ending thread gets a live record");
}

static void *
start_together(void *barrier)
{
    pthread_barrier_wait(barrier);
    must(subi_thread_alive(subi_thread_self()));
    return NULL;
}

static void
test_first_use_together(void)
{
    pthread_barrier_t barrier;
    pthread_t t[8];
    pthread_barrier_init(&barrier, NULL, 8);
    for (int i = 0; i < 8; i++) {
        t[i] = tap_thread(start_together, &barrier);
    }
    for (int i = 0; i < 8; i++) {
        tap_join(t[i]);
    }
    pthread_barrier_destroy(&barrier);
    ok(true, "first uses by 8 threads at once");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_first_use_together();
    test_self();
    test_late_use();
    return tap_done();
}
