// SPDX-License-Identifier: MIT
//
// Locks and their kin in numbers. What a lock protects is plain memory, so ThreadSanitizer sees it when
// two are inside; waits try, time out at random, and are interrupted by signals.
#include <signal.h>

#include "tap.h"

#define THREADS 6
#define EACH    60000

typedef struct run {
    subi_sync *mutex, *other;  // the other one: a semaphore, a condition, a barrier
    int64_t counter;           // guarded by mutex, like these
    int64_t items;
    atomic_int inside, ended;
    atomic_llong done, deaths;
    atomic_bool stop;
    int64_t each;
} run;

typedef struct worker {
    run *run;
    int64_t interp;
    uint64_t random;
    pthread_t thread;
} worker;

static bool
perhaps(void *random)
{
    return tap_random(random) % 4 != 0;
}

static subi_patience
random_patience(worker *w)
{
    uint64_t r = tap_random(&w->random);
    subi_patience p = {.deadline = SUBI_FOREVER, .go_on = perhaps, .arg = &w->random};
    if (r % 16 < 2) {
        p.deadline = r % 16 == 0 ? SUBI_TRY : subi_now() + (int64_t)(r >> 8) % (MS / 5);
    }
    return p;
}

static bool
is_patience_over(subi_result r)
{
    return r == SUBI_BUSY || r == SUBI_TIMEOUT || r == SUBI_INTERRUPTED;
}

static void
acquire(worker *w)
{
    subi_result r;
    do {
        subi_patience p = random_patience(w);
        r = subi_mutex_acquire(w->run->mutex, w->interp, &p);
        must(r == SUBI_OK || is_patience_over(r));
    } while (r != SUBI_OK);
}

static void
release(worker *w)
{
    must(subi_mutex_release(w->run->mutex, w->interp) == SUBI_OK);
}

static void *
exclude(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->run->each; i++) {
        acquire(w);
        w->run->counter++;
        release(w);
    }
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

static void *
limit(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->run->each; i++) {
        subi_result r;
        do {
            subi_patience p = random_patience(w);
            r = subi_semaphore_acquire(w->run->other, &p);
            must(r == SUBI_OK || is_patience_over(r));
        } while (r != SUBI_OK);
        must(atomic_fetch_add(&w->run->inside, 1) < 3);
        atomic_fetch_sub(&w->run->inside, 1);
        must(subi_semaphore_release(w->run->other, 1) == SUBI_OK);
    }
    atomic_fetch_add(&w->run->done, w->run->each);
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

// Half of them put, half of them take; there is room for one.
static void *
exchange(void *arg)
{
    worker *w = arg;
    run *r = w->run;
    bool puts = w->interp % 2 == 0;
    for (int64_t i = 0; i < r->each; i++) {
        acquire(w);
        while (puts ? r->items == 1 : r->items == 0) {
            subi_patience p = random_patience(w);
            subi_result result = subi_condition_wait(r->other, w->interp, &p);
            must(result == SUBI_OK || is_patience_over(result));
        }
        r->items += puts ? 1 : -1;
        r->counter++;
        must(subi_condition_notify(r->other, w->interp, SIZE_MAX) == SUBI_OK);
        release(w);
    }
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

// All have counted to the same number whenever they have met.
static void *
meet(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->run->each; i++) {
        size_t index;
        subi_patience p = {.deadline = SUBI_FOREVER, .go_on = NULL};
        atomic_fetch_add(&w->run->done, 1);
        must(subi_barrier_wait(w->run->other, w->interp, &p, &index) == SUBI_OK);
        if (index == THREADS - 1) {
            must(atomic_load(&w->run->done) == (i + 1) * THREADS);
            w->run->counter++;
            must(subi_barrier_release(w->run->other, w->interp) == SUBI_OK);
        }
        must(atomic_load(&w->run->done) >= (i + 1) * THREADS);
    }
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

// Breaks it now and then; who finds it broken tries to reset it.
static void *
meet_or_part(void *arg)
{
    worker *w = arg;
    while (!atomic_load(&w->run->stop)) {
        size_t index;
        subi_patience p = random_patience(w);
        subi_result r = subi_barrier_wait(w->run->other, w->interp, &p, &index);
        must(r == SUBI_OK || r == SUBI_BROKEN || is_patience_over(r));
        if (r == SUBI_OK && index == THREADS - 1) {
            r = subi_barrier_release(w->run->other, w->interp);
            must(r == SUBI_OK || r == SUBI_BROKEN);
            atomic_store(&w->run->stop, atomic_fetch_add(&w->run->done, 1) >= w->run->each);
        }
        if (r == SUBI_BROKEN && tap_random(&w->random) % 2 == 0) {
            must(subi_barrier_reset(w->run->other) == SUBI_OK);
        }
    }
    must(subi_barrier_abort(w->run->other) == SUBI_OK);
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

// Acquires and ends, or is interrupted.
static void *
die_holding(void *arg)
{
    worker *w = arg;
    subi_patience p = {.deadline = SUBI_FOREVER, .go_on = perhaps, .arg = &w->random};
    subi_result r = subi_mutex_acquire(w->run->mutex, w->interp, &p);
    must(r == SUBI_OK || r == SUBI_OWNER_DIED || r == SUBI_INTERRUPTED);
    if (r == SUBI_OK) {
        w->run->counter++;
    }
    return NULL;
}

// Whoever finds the lock dead resets it: what is counted by the dead must be seen.
static void *
bury(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->run->each / 200; i++) {
        worker child = {.run = w->run, .interp = w->interp + 100, .random = w->random + 1};
        child.thread = tap_thread(die_holding, &child);
        subi_patience p = random_patience(w);
        subi_result r = subi_mutex_acquire(w->run->mutex, w->interp, &p);
        if (r == SUBI_OK) {
            w->run->counter++;
            atomic_fetch_add(&w->run->done, 1);
            release(w);
        }
        else if (r == SUBI_OWNER_DIED && subi_mutex_reset(w->run->mutex) == SUBI_OK) {
            atomic_fetch_add(&w->run->deaths, 1);
        }
        tap_join(child.thread);
        w->random++;
    }
    atomic_fetch_add(&w->run->ended, 1);
    return NULL;
}

static void
ignore(int number)
{
    (void)number;
}

// Until all are done; a thread that has ended can be sent signals until it is joined.
typedef struct sender {
    worker *workers;
    atomic_bool stop;
} sender;

static void *
send_signals(void *arg)
{
    sender *s = arg;
    uint64_t random = tap_seed;
    while (!atomic_load(&s->stop)) {
        pthread_kill(s->workers[tap_random(&random) % THREADS].thread, SIGUSR1);
        usleep(200);
    }
    return NULL;
}

static void
run_threads(run *r, void *(*work)(void *), bool signals)
{
    worker workers[THREADS];
    sender s = {.workers = workers};
    pthread_t sending;
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.run = r, .interp = i, .random = tap_seed + (uint64_t)i * 7919};
        workers[i].thread = tap_thread(work, &workers[i]);
    }
    if (signals) {
        sending = tap_thread(send_signals, &s);
        await(atomic_load(&r->ended) == THREADS);
        atomic_store(&s.stop, true);
        tap_join(sending);
    }
    for (int i = 0; i < THREADS; i++) {
        tap_join(workers[i].thread);
    }
}

static run
new_run(bool recursive, int64_t each)
{
    run r = {.each = each / TAP_SLOW};
    must(subi_mutex_new(recursive, &r.mutex) == SUBI_OK);
    return r;
}

static void
end_run(run *r)
{
    subi_sync_drop(r->mutex);
    if (r->other != NULL) {
        subi_sync_drop(r->other);
    }
}

static void
stress_mutex(bool recursive)
{
    run r = new_run(recursive, EACH * 10);
    int64_t start = subi_now();
    run_threads(&r, exclude, true);
    ok(r.counter == r.each * THREADS, "one at a time, %s: %lld (%.1f s)",
       recursive ? "recursive" : "plain", (long long)r.counter, (double)(subi_now() - start) / 1e9);
    end_run(&r);
}

static void
stress_semaphore(void)
{
    run r = new_run(false, EACH);
    size_t value;
    must(subi_semaphore_new(3, true, &r.other) == SUBI_OK);
    run_threads(&r, limit, true);
    must(subi_semaphore_value(r.other, &value) == SUBI_OK);
    ok(value == 3 && atomic_load(&r.done) == r.each * THREADS, "three at a time, none lost");
    end_run(&r);
}

static void
stress_condition(bool recursive)
{
    run r = new_run(recursive, EACH / 10);
    must(subi_condition_new(r.mutex, &r.other) == SUBI_OK);
    run_threads(&r, exchange, true);
    ok(r.items == 0 && r.counter == r.each * THREADS, "conditions: no notification is lost");
    end_run(&r);
}

static void
stress_barrier(void)
{
    run r = new_run(false, EACH / 20);
    must(subi_barrier_new(THREADS, true, &r.other) == SUBI_OK);
    run_threads(&r, meet, false);
    ok(r.counter == r.each, "a barrier: %lld rounds", (long long)r.counter);
    end_run(&r);
    r = new_run(false, EACH / 600);
    must(subi_barrier_new(THREADS, true, &r.other) == SUBI_OK);
    run_threads(&r, meet_or_part, true);
    ok(atomic_load(&r.stop), "a barrier that breaks, and is reset");
    end_run(&r);
}

static void
stress_death(bool recursive)
{
    run r = new_run(recursive, EACH);
    run_threads(&r, bury, true);
    long long deaths = atomic_load(&r.deaths);
    // a last one may not have been found
    ok(deaths > 0 && r.counter - atomic_load(&r.done) - deaths <= 1 &&
           r.counter >= atomic_load(&r.done) + deaths,
       "%lld owners died, each was noticed once", deaths);
    end_run(&r);
}

int
main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = ignore};
    tap_start(argc, argv);
    sigaction(SIGUSR1, &action, NULL);
    stress_mutex(false);
    stress_mutex(true);
    stress_semaphore();
    stress_condition(false);
    stress_condition(true);
    stress_barrier();
    stress_death(false);
    stress_death(true);
    return tap_done();
}
