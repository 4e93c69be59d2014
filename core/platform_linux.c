// SPDX-License-Identifier: MIT
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "platform.h"
#include "subinterp_runtime.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

int64_t
subi_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t
subi_deadline(double seconds)
{
    if (seconds == 0) {
        return SUBI_TRY;
    }
    int64_t now = subi_now();
    double left = (double)(SUBI_FOREVER - now) / NS_PER_S;
    // one second less: the conversion to double may have rounded up
    return seconds >= left - 1 ? SUBI_FOREVER : now + (int64_t)(seconds * NS_PER_S);
}

int
subi__thread_clock(void)
{
    clockid_t clock;
    return pthread_getcpuclockid(pthread_self(), &clock) == 0 ? clock : CLOCK_THREAD_CPUTIME_ID;
}

int64_t
subi__clock_read(int clock)
{
    struct timespec ts;
    return clock_gettime(clock, &ts) == 0 ? ts.tv_sec * NS_PER_S + ts.tv_nsec : 0;
}

subi_result
subi__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline)
{
    if (deadline < 0) {
        deadline = 0;  // long past too, and the kernel knows no negative times
    }
    struct timespec ts = {.tv_sec = deadline / NS_PER_S, .tv_nsec = deadline % NS_PER_S};
    // FUTEX_WAIT_BITSET takes an absolute time, and of CLOCK_MONOTONIC unless told otherwise.
    long r = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                     deadline == SUBI_FOREVER ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    if (r == 0 || errno == EAGAIN) {
        return SUBI_OK;
    }
    return errno == ETIMEDOUT ? SUBI_TIMEOUT : SUBI_INTERRUPTED;
}

void
subi__futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}

int
subi__event_new(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void
subi__event_free(int fd)
{
    close(fd);
}

void
subi__event_signal(int fd)
{
    eventfd_write(fd, 1);  // fails only when it is full of signals
}

void
subi__event_clear(int fd)
{
    eventfd_t count;
    eventfd_read(fd, &count);  // fails only when there was none
}

bool
subi_thread_is_initial(void)
{
    // asking the kernel costs more than the rest of a short run; a fork may make it another answer
    static _Thread_local enum { UNKNOWN, NO, YES } answer;
    static _Thread_local uint32_t generation;
    if (answer == UNKNOWN || generation != subi_generation()) {
        generation = subi_generation();
        answer = syscall(SYS_gettid) == getpid() ? YES : NO;
    }
    return answer == YES;
}

void
subi__advise_large_pages(void *memory, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(page - 1);
    if (start < end) {
        madvise((void *)start, end - start, MADV_HUGEPAGE);  // no more than advice
    }
}

void
subi__yield(void)
{
    sched_yield();
}

int
subi__processor_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) {
        return 1;
    }
    return CPU_COUNT(&set);
}

subi_result
subi__at_fork_child(void (*handler)(void))
{
    return pthread_atfork(NULL, NULL, handler) == 0 ? SUBI_OK : SUBI_NOMEM;
}

static void *
run_function(void *run)
{
    (*(void (**)(void))run)();
    return NULL;
}

subi_result
subi__thread_start(void (*const *run)(void))
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return SUBI_NOMEM;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, run_function, (void *)run);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0 ? SUBI_OK : SUBI_NOMEM;
}

// The handler of SIGINT that was there, which ours calls. Written only when ours is not installed.
static struct sigaction chained;
static void (*_Atomic chain_notify)(void);  // atomic: every writer writes the same

static void
handle_sigint(int number, siginfo_t *info, void *context)
{
    int error = errno;
    if ((chained.sa_flags & SA_SIGINFO) != 0) {
        chained.sa_sigaction(number, info, context);
    }
    else {
        chained.sa_handler(number);
    }
    chain_notify();
    errno = error;
}

bool
subi__chain_sigint(void (*notify)(void))
{
    struct sigaction now;
    chain_notify = notify;
    if (sigaction(SIGINT, NULL, &now) != 0) {
        return false;
    }
    bool has_info = (now.sa_flags & SA_SIGINFO) != 0;
    if (has_info && now.sa_sigaction == handle_sigint) {
        return true;
    }
    if (!has_info && (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN)) {
        return false;
    }
    chained = now;
    now.sa_sigaction = handle_sigint;
    now.sa_flags |= SA_SIGINFO;
    return sigaction(SIGINT, &now, NULL) == 0;
}

static pthread_key_t thread_exit_key;
static pthread_once_t thread_exit_once = PTHREAD_ONCE_INIT;
static int thread_exit_error;
static void (*_Atomic thread_exit_destroy)(void *);  // atomic: every writer writes the same

static void
make_thread_exit_key(void)
{
    thread_exit_error = pthread_key_create(&thread_exit_key, thread_exit_destroy);
}

subi_result
subi__at_thread_exit(void (*destroy)(void *), void *value)
{
    thread_exit_destroy = destroy;
    pthread_once(&thread_exit_once, make_thread_exit_key);
    if (thread_exit_error != 0 || pthread_setspecific(thread_exit_key, value) != 0) {
        return SUBI_NOMEM;
    }
    return SUBI_OK;
}
