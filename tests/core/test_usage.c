// SPDX-License-Identifier: MIT
#include <time.h>

#include "tap.h"

static subi_interp *interp;
static _Atomic bool over;

static int64_t
used_by_this_thread(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * 1000 * MS + ts.tv_nsec;
}

static void
compute(int64_t ns)
{
    int64_t end = used_by_this_thread() + ns;
    while (used_by_this_thread() < end) {
    }
}

static void
test_runs(void)
{
    ok(subi_usage(interp) == 0, "a new one has used nothing");
    subi_usage_begin(interp);
    compute(20 * MS);
    ok(subi_usage(interp) >= 19 * MS, "a run in progress counts");
    compute(20 * MS);
    subi_usage_end(interp);
    int64_t used = subi_usage(interp);
    ok(used >= 39 * MS && used < 100 * MS, "so does one that has ended: %lld us",
       (long long)used / 1000);
    compute(20 * MS);
    ok(subi_usage(interp) == used, "what is between runs does not");
    subi_usage_begin(interp);
    usleep(20000);
    subi_usage_end(interp);
    ok(subi_usage(interp) - used < 10 * MS, "nor does waiting");
}

static void
test_short_runs(void)
{
    int64_t before = subi_usage(interp), begin = used_by_this_thread();
    for (int k = 0; k < 100000; k++) {
        subi_usage_begin(interp);
        subi_usage_end(interp);
    }
    int64_t used = subi_usage(interp) - before, all = used_by_this_thread() - begin;
    ok(used > 0 && used < all, "short runs count: %lld of %lld us", (long long)used / 1000,
       (long long)all / 1000);
}

static void *
run(void *unused)
{
    (void)unused;
    while (!over) {
        subi_usage_begin(interp);
        subi_usage_end(interp);
    }
    return NULL;
}

static void
test_read_meanwhile(void)
{
    pthread_t thread;
    bool grows = true;
    must(pthread_create(&thread, NULL, run, NULL) == 0);
    for (int64_t last = 0, end = subi_now() + 200 * MS; subi_now() < end;) {
        int64_t used = subi_usage(interp);
        grows = grows && used >= last - MS && used < 60000 * MS;
        last = used;
    }
    over = true;
    pthread_join(thread, NULL);
    ok(grows, "read by others it is never nonsense");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    must(subi_interp_new(SUBI_KIND_OWN, NULL, 0, &interp) == SUBI_OK);
    test_runs();
    test_short_runs();
    test_read_meanwhile();
    subi_interp_leave(interp);  // a new one is its maker's
    must(subi_interp_begin_close(interp, SUBI_TRY) == SUBI_OK);
    subi_interp_end_close(interp, true);
    subi_interp_drop(interp);
    return tap_done();
}
