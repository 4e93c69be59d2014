// SPDX-License-Identifier: MIT
#include "wait.h"

#include "notify.h"
#include "platform.h"
#include "process.h"
#include "signals.h"
#include "thread.h"

// Values of the word of a wait. A waiter that still spins needs no system call to be woken.
enum { AWAKE = 0, WOKEN = 1, ASLEEP = 2, DISTURBED = 3 };

static void
link_after(subi__node *prev, subi__node *n)
{
    n->prev = prev;
    n->next = prev->next;
    n->prev->next = n;
    n->next->prev = n;
}

void
subi__waitlist_link(subi__waitlist *l, subi__node *n)
{
    link_after(l->sentinel.prev, n);
}

void
subi__waitlist_link_first(subi__waitlist *l, subi__node *n)
{
    link_after(&l->sentinel, n);
}

void
subi__node_unlink(subi__node *n)
{
    if (n->next != NULL) {
        n->next->prev = n->prev;
        n->prev->next = n->next;
        n->next = n->prev = NULL;
    }
}

bool
subi__node_claim(subi__node *n)
{
    subi__node *nobody = NULL;
    subi__node_unlink(n);
    // Sequential: the only race is between wakers of different channels of one select, and
    // what they transfer is ordered by the channels' locks.
    return atomic_compare_exchange_strong(&n->wait->winner, &nobody, n);
}

subi__node *
subi__waitlist_first(subi__waitlist *l)
{
    subi__node *n = l->sentinel.next;
    while (n != &l->sentinel && atomic_load(&n->wait->winner) != NULL) {
        subi__node *stale = n;
        n = n->next;
        subi__node_unlink(stale);
    }
    return n != &l->sentinel ? n : NULL;
}

subi__node *
subi__waitlist_claim(subi__waitlist *l, const subi__wait *but)
{
    subi__node *n = l->sentinel.next;
    while (n != &l->sentinel) {
        subi__node *next = n->next;
        if (n->wait != but && subi__node_claim(n)) {
            return n;
        }
        n = next;
    }
    return NULL;
}

void
subi__node_finish(subi__node *n, subi_result result, subi__wakes *wakes)
{
    n->result = result;
    if (subi__node_is_told(n)) {
        subi__waiter_tell(n->wait->waiter, wakes);
        return;
    }
    _Atomic uint32_t *word = &n->wait->word;
    // release: the waiter that sees WOKEN sees the message and the result
    uint32_t was = atomic_exchange_explicit(word, WOKEN, memory_order_release);
    if (was == ASLEEP) {  // a disturbed one is being woken already
        subi__wakes_add(wakes, word, NULL);
    }
}

void
subi__wait_disturb(subi__wait *w)
{
    uint32_t asleep = ASLEEP;
    if (atomic_compare_exchange_strong(&w->word, &asleep, DISTURBED)) {
        subi__futex_wake(&w->word, 1);
    }
}

// Whether this thread has woken another one, and has not waited since.
static _Thread_local bool has_woken;

static void
wake(_Atomic uint32_t *word, subi_notifier *notifier)
{
    has_woken = true;
    if (word != NULL) {
        subi__futex_wake(word, 1);
    }
    else {
        subi__notifier_signal(notifier);
    }
}

void
subi__wakes_add(subi__wakes *w, _Atomic uint32_t *word, subi_notifier *notifier)
{
    if (w->count == SUBI__WAKES_MAX) {
        wake(word, notifier);
        return;
    }
    w->items[w->count].word = word;
    w->items[w->count++].notifier = notifier;
}

void
subi__wake(subi__wakes *w)
{
    for (size_t i = 0; i < w->count; i++) {
        wake(w->items[i].word, w->items[i].notifier);
    }
}

// ---- parking ----------------------------------------------------------------------------------

// A sleep and its wake-up cost some 5 to 40 us of both sides' time. Spinning instead pays off when
// waits are not longer than that, so each thread keeps a moving average of how long its waits were
// and spins only while the average is short, for twice as long as the average. Two threads that sleep
// make one another's waits long (on virtual machines waking a processor alone may take 30 us), so
// each tries again now and then whether it pays off to spin. Who has been woken may be waiting for this very
// processor, since Linux finds that of a virtual machine that rests no better: it gets it before any spinning.
#define SPIN_WORTH        INT64_C(50000)   // ns: above this average no spinning, and no longer
#define SPIN_LEAST        INT64_C(2000)    // ns
#define SPIN_TRIED_EVERY  32               // waits, above it
#define WAIT_COUNTED_MOST INT64_C(200000)  // ns: one long wait must not end spinning for good

static _Thread_local int64_t average_wait = SPIN_WORTH / 2;
static _Thread_local unsigned waits_unspun;

static bool
is_woken(subi__wait *w)
{
    // acquire: pairs with subi__node_finish
    return atomic_load_explicit(&w->word, memory_order_acquire) == WOKEN;
}

static int64_t
spin_time(void)
{
    static _Atomic int processors;  // atomic: a cache; every writer writes the same
    int n = atomic_load_explicit(&processors, memory_order_relaxed);
    if (n == 0) {
        n = subi__processor_count();
        atomic_store_explicit(&processors, n, memory_order_relaxed);
    }
    if (n < 2) {
        return 0;
    }
    if (average_wait > SPIN_WORTH) {
        return ++waits_unspun % SPIN_TRIED_EVERY == 0 ? SPIN_WORTH : 0;
    }
    int64_t spin = 2 * average_wait;
    return spin < SPIN_LEAST ? SPIN_LEAST : spin > SPIN_WORTH ? SPIN_WORTH : spin;
}

// A trial that has paid off counts for all waits before.
static void
count_wait(int64_t started, bool spun)
{
    int64_t took = subi_now() - started;
    took = took < WAIT_COUNTED_MOST ? took : WAIT_COUNTED_MOST;
    if (spun && average_wait > SPIN_WORTH) {
        average_wait = took;
    }
    average_wait += (took - average_wait) / 8;
}

static subi_result
sleep_on(subi__wait *w, int64_t deadline)
{
    uint32_t word = AWAKE;
    atomic_compare_exchange_strong(&w->word, &word, ASLEEP);
    subi_result r = subi__thread_parks(w);
    if (r != SUBI_OK) {
        return r;
    }
    while (!is_woken(w) && r == SUBI_OK) {
        r = subi__signals_wait(&w->word, ASLEEP, deadline);
        word = atomic_load(&w->word);
        r = word == DISTURBED ? SUBI_INTERRUPTED : r;
    }
    subi__thread_unparks();
    return r;
}

subi_result
subi__park(subi__wait *w, int64_t deadline)
{
    int64_t started = subi_now();
    int64_t spin_until = started + spin_time();
    if (spin_until > deadline) {
        spin_until = deadline;
    }
    subi_result r = SUBI_OK;
    if (has_woken) {
        has_woken = false;
        subi__yield();
    }
    subi__wait_begins();
    while (!is_woken(w) && subi_now() < spin_until) {
        for (int i = 0; i < 32 && !is_woken(w); i++) {
            subi__spin_hint();
        }
    }
    bool spun = is_woken(w);
    if (!spun) {
        r = sleep_on(w, deadline);
    }
    count_wait(started, spun);
    subi__wait_ends();
    return is_woken(w) ? SUBI_OK : r;
}
