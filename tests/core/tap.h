// SPDX-License-Identifier: MIT
//
// What the test programs share: TAP output, seeds, threads, and ways to see that another thread is
// parked. ok() is for the main thread; other threads use must(), which ends the program.
#ifndef TAP_H
#define TAP_H

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "subinterp_runtime.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define TAP_SLOW 20  // how many times less a stress test does
#else
#define TAP_SLOW 1
#endif

// How many of n children of a process with several threads may hang. AddressSanitizer forks while
// another thread has the lock of its allocator.
#if defined(__SANITIZE_ADDRESS__)
#define TAP_MAY_HANG(n) ((n) / 10)
#else
#define TAP_MAY_HANG(n) 0
#endif

#define MS       INT64_C(1000000)
#define PATIENCE (20000 * MS)  // what is not there by then will not come

static int tap_count, tap_failures;
static uint64_t tap_seed;

// The seed is the first argument, or the clock.
static inline void
tap_start(int argc, char **argv)
{
    tap_seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)subi_now();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# seed %llu\n", (unsigned long long)tap_seed);
}

__attribute__((format(printf, 2, 3))) static inline bool
ok(bool condition, const char *name, ...)
{
    va_list args;
    va_start(args, name);
    printf("%sok %d - ", condition ? "" : "not ", ++tap_count);
    vprintf(name, args);
    printf("\n");
    va_end(args);
    tap_failures += !condition;
    return condition;
}

static inline int
tap_done(void)
{
    printf("1..%d\n", tap_count);
    return tap_failures == 0 ? 0 : 1;
}

#define must(condition) ((condition) ? (void)0 : tap_die(#condition, __FILE__, __LINE__))

static inline void
tap_die(const char *what, const char *file, int line)
{
    printf("Bail out! %s:%d: %s (seed %llu)\n", file, line, what, (unsigned long long)tap_seed);
    fflush(stdout);
#if defined(TAP_ABORTS)
    abort();  // libFuzzer keeps the input
#endif
    _exit(1);
}

// splitmix64 (G. Steele et al., 2014): good from any state, so every thread can start its own.
static inline uint64_t
tap_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline pthread_t
tap_thread(void *(*run)(void *), void *arg)
{
    pthread_t t;
    must(pthread_create(&t, NULL, run, arg) == 0);
    return t;
}

static inline void
tap_join(pthread_t t)
{
    must(pthread_join(t, NULL) == 0);
}

// Polls until the condition holds; dies when it never does.
#define await(condition)                                                                           \
    do {                                                                                           \
        int64_t await_until = subi_now() + PATIENCE;                                               \
        while (!(condition)) {                                                                     \
            must(subi_now() < await_until && #condition);                                          \
            sched_yield();                                                                         \
        }                                                                                          \
    } while (0)

#endif
