// SPDX-License-Identifier: MIT
#include "foreground.h"

#include <stdatomic.h>

#include "lock.h"
#include "platform.h"
#include "subinterp_runtime.h"

#define MOST_RUNS 16  // inside one another, that are interrupted

static subi__lock lock = SUBI__LOCK_INIT;
static subi_foreground *innermost;                            // guarded by lock
static void (*interrupt)(subi_interp *, uint64_t, uint32_t);  // guarded by lock
static _Atomic bool watched;      // atomic: set once the watcher has been started
static _Atomic uint32_t signals;  // atomic: how many there were; a futex

// In a handler of signals.
static void
signalled(void)
{
    atomic_fetch_add(&signals, 1);
    subi__futex_wake(&signals, 1);
}

typedef struct chosen {
    subi_interp *interp;  // one reference
    uint64_t run;
} chosen;

// The runs that signal number `now` has come in.
static size_t
choose(uint32_t now, chosen *runs, void (**call)(subi_interp *, uint64_t, uint32_t))
{
    size_t count = 0;
    subi__lock_acquire(&lock);
    for (subi_foreground *f = innermost; f != NULL && count < MOST_RUNS; f = f->outer) {
        if ((int32_t)(now - f->signals) > 0) {
            subi_interp_hold(f->interp);
            runs[count++] = (chosen){.interp = f->interp, .run = f->run};
        }
    }
    *call = interrupt;
    subi__lock_release(&lock);
    return count;
}

static void
interrupt_all(uint32_t now)
{
    chosen runs[MOST_RUNS];
    void (*call)(subi_interp *, uint64_t, uint32_t);
    size_t count = choose(now, runs, &call);
    for (size_t k = 0; k < count; k++) {
        call(runs[k].interp, runs[k].run, now);
        subi_interp_drop(runs[k].interp);
    }
}

static void
watch(void)
{
    uint32_t seen = 0;
    for (;;) {
        uint32_t now = atomic_load(&signals);
        if (now == seen) {
            subi__futex_wait(&signals, now, SUBI_FOREVER);
        }
        else {
            seen = now;
            interrupt_all(now);
        }
    }
}

static bool
start_watching(void)
{
    static void (*const run)(void) = watch;
    if (!atomic_load(&watched)) {
        atomic_store(&watched, subi__thread_start(&run) == SUBI_OK);
    }
    return atomic_load(&watched);
}

bool
subi_foreground_enter(subi_foreground *f, subi_interp *i, uint64_t run,
                      void (*call)(subi_interp *, uint64_t, uint32_t))
{
    if (!subi__chain_sigint(signalled) || !start_watching()) {
        return false;
    }
    f->interp = i;
    f->run = run;
    subi__lock_acquire(&lock);
    f->outer = innermost;
    f->signals = innermost != NULL ? innermost->signals : atomic_load(&signals);
    innermost = f;
    interrupt = call != NULL ? call : interrupt;
    subi__lock_release(&lock);
    return true;
}

void
subi_foreground_leave(subi_foreground *f)
{
    subi__lock_acquire(&lock);
    innermost = f->outer;
    subi__lock_release(&lock);
}

bool
subi_foreground_is_busy(void)
{
    subi__lock_acquire(&lock);
    bool busy = innermost != NULL;
    subi__lock_release(&lock);
    return busy;
}

uint32_t
subi_foreground_signals(void)
{
    return atomic_load(&signals);
}

void
subi__foreground_forget(void)
{
    lock = (subi__lock)SUBI__LOCK_INIT;
    innermost = NULL;
    atomic_store(&watched, false);
    atomic_store(&signals, 0);
}
