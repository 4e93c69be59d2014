// SPDX-License-Identifier: MIT
//
// Everything the core wants from the operating system. One platform_*.c implements it.
#ifndef SUBI_PLATFORM_H
#define SUBI_PLATFORM_H

#include <stdatomic.h>
#include <stdint.h>

#include "subinterp.h"

// Blocks while *word == expected, until a wake or the absolute monotonic deadline. May also return
// SUBI_OK for no reason: callers look at their own condition again.
// SUBI_OK, SUBI_TIMEOUT, SUBI_INTERRUPTED (a signal handler ran on this thread).
subi_result subi__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t deadline);

// Wakes at most `count` threads blocked on word. Only the address is used: the word itself may be
// gone by now.
void subi__futex_wake(_Atomic uint32_t *word, int count);

// An event that an event loop can watch: its file descriptor is readable from a signal to the next
// clear. -1: no descriptor is left, errno says why.
int subi__event_new(void);
void subi__event_free(int fd);
void subi__event_signal(int fd);
void subi__event_clear(int fd);

// The clock of the processor time that the calling thread has used, and what such a clock says, in
// nanoseconds; 0 when its thread has ended.
int subi__thread_clock(void);
int64_t subi__clock_read(int clock);

// Tells the processor that this is a spin loop.
static inline void
subi__spin_hint(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

// Its memory, all of which is about to be written, had better be of large pages: 64 MB are 16,384 page
// faults otherwise, which take more time than the writing.
void subi__advise_large_pages(void *memory, size_t size);

// How many processors this process may run on, at least 1.
int subi__processor_count(void);

// Lets others that wait for this processor have their turn.
void subi__yield(void);

// Calls `handler` in every child of a fork, before fork returns there. Once per handler.
subi_result subi__at_fork_child(void (*handler)(void));

// Runs *run on a new thread on which all signals are blocked, and which nobody joins. SUBI_NOMEM.
subi_result subi__thread_start(void (*const *run)(void));

// From now on `notify` is called in the handler of SIGINT, after what handles it; asked again, also if
// another handler was set meanwhile. False: there is none. By one thread.
bool subi__chain_sigint(void (*notify)(void));

// Calls `destroy(value)` when the calling thread ends. Replaces an earlier value of the thread.
subi_result subi__at_thread_exit(void (*destroy)(void *), void *value);

#endif
