// SPDX-License-Identifier: MIT
//
// How waiting ends when nothing comes: deadlines and signals.
#include <limits.h>
#include <math.h>
#include <signal.h>

#include "peek.h"

static subi_channel *
new_channel(size_t capacity)
{
    subi_channel *c;
    must(subi_channel_new(capacity, &c) == SUBI_OK);
    return c;
}

static subi_result
recv_until(subi_channel *c, int64_t deadline)
{
    subi_message m = subi_message_none();
    return subi_channel_recv(c, SUBI_NOBODY, &m, deadline);
}

static subi_result
send_until(subi_channel *c, int64_t deadline)
{
    subi_message m = subi_message_integer(1);
    return subi_channel_send(c, SUBI_NOBODY, &m, deadline);
}

static void
test_seconds(void)
{
    int64_t now = subi_now(), in_a_second = subi_deadline(1.0);
    ok(subi_deadline(0) == SUBI_TRY && subi_deadline(-0.0) == SUBI_TRY, "zero seconds: try");
    ok(subi_deadline(INFINITY) == SUBI_FOREVER && subi_deadline(1e300) == SUBI_FOREVER, "forever");
    ok(subi_deadline(9.3e9) == SUBI_FOREVER && subi_deadline(9e9) < SUBI_FOREVER, "saturation");
    ok(in_a_second >= now + 1000 * MS && in_a_second < now + 2000 * MS, "a second");
    ok(subi_deadline(1e-12) != SUBI_TRY, "the shortest wait is not a try");
}

static void
test_past(void)
{
    int64_t start = subi_now();
    subi_channel *c = new_channel(SUBI_RENDEZVOUS);
    ok(recv_until(c, SUBI_TRY) == SUBI_EMPTY && send_until(c, SUBI_TRY) == SUBI_FULL, "try");
    ok(recv_until(c, start) == SUBI_TIMEOUT && send_until(c, start) == SUBI_TIMEOUT, "now");
    ok(recv_until(c, 1) == SUBI_TIMEOUT && send_until(c, 1) == SUBI_TIMEOUT, "long past");
    ok(recv_until(c, -1) == SUBI_TIMEOUT && recv_until(c, INT64_MIN) == SUBI_TIMEOUT,
       "times before the clock's zero");
    ok(subi_now() - start < 1000 * MS, "none of these waits");
    ok(peek_waiting(c, SUBI_SEND) == 0 && peek_waiting(c, SUBI_RECV) == 0,
       "no node is left behind");
    subi_channel_drop(c);
    c = new_channel(1);
    ok(send_until(c, 1) == SUBI_OK && recv_until(c, 1) == SUBI_OK,
       "what can go ahead does, even past the deadline");
    subi_channel_drop(c);
}

static void
test_50_ms(void)
{
    subi_channel *c = new_channel(SUBI_RENDEZVOUS);
    for (int i = 0; i < 2; i++) {
        int64_t start = subi_now(), deadline = start + 50 * MS;
        subi_result r = i == 0 ? recv_until(c, deadline) : send_until(c, deadline);
        int64_t took = subi_now() - start;
        ok(r == SUBI_TIMEOUT && took >= 50 * MS, "%s: not before 50 ms", i == 0 ? "recv" : "send");
        // a generous bound: other work runs on this machine
        ok(took < 1000 * MS, "and not much after: %.1f ms", (double)took / MS);
    }
    subi_channel_drop(c);
}

// ---- signals -----------------------------------------------------------------------------------

static atomic_int signals;

static void
on_signal(int number)
{
    (void)number;
    atomic_fetch_add(&signals, 1);
}

typedef struct waiter {
    subi_channel *channel;
    subi_end end;
    subi_result result;
    atomic_bool back;
} waiter;

static void *
wait_forever(void *arg)
{
    waiter *w = arg;
    w->result = w->end == SUBI_SEND ? send_until(w->channel, SUBI_FOREVER)
                                    : recv_until(w->channel, SUBI_FOREVER);
    atomic_store(&w->back, true);
    return NULL;
}

// Signals are sent until the thread is back: one that arrives before it sleeps is only counted.
static void
test_signal(subi_end end)
{
    waiter w = {.channel = new_channel(SUBI_RENDEZVOUS), .end = end};
    pthread_t t = tap_thread(wait_forever, &w);
    await_waiting(w.channel, end, 1);
    int before = atomic_load(&signals);
    await((pthread_kill(t, SIGUSR1), sched_yield(), atomic_load(&w.back)));
    tap_join(t);
    ok(w.result == SUBI_INTERRUPTED && atomic_load(&signals) > before,
       "a signal interrupts a parked %s", end == SUBI_SEND ? "send" : "recv");
    ok(peek_waiting(w.channel, end) == 0, "and no node is left behind");
    subi_channel_drop(w.channel);
}

// A message that arrives together with signals is received or still queued, never lost.
static void *
recv_through_signals(void *arg)
{
    waiter *w = arg;
    for (int i = 0; i < 20000 / TAP_SLOW; i++) {
        subi_message m = subi_message_none();
        subi_result r;
        do {
            r = subi_channel_recv(w->channel, SUBI_NOBODY, &m, SUBI_FOREVER);
        } while (r == SUBI_INTERRUPTED);
        must(r == SUBI_OK && m.u.integer == i);
    }
    atomic_store(&w->back, true);
    return NULL;
}

static void
test_signals_and_messages(void)
{
    waiter w = {.channel = new_channel(1)};
    pthread_t t = tap_thread(recv_through_signals, &w);
    for (int i = 0; i < 20000 / TAP_SLOW; i++) {
        subi_message m = subi_message_integer(i);
        if (i % 8 == 0) {
            pthread_kill(t, SIGUSR1);
        }
        must(subi_channel_send(w.channel, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_OK);
    }
    tap_join(t);
    ok(atomic_load(&w.back), "no message is lost to a signal");
    subi_channel_drop(w.channel);
}

// ---- signals that came before the sleep --------------------------------------------------------

static atomic_bool pending;
static atomic_int looked;

static bool
are_pending(void)
{
    atomic_fetch_add(&looked, 1);
    return atomic_load(&pending);
}

static void *
let_one_come(void *arg)
{
    subi_channel *c = arg;
    await_waiting(c, SUBI_RECV, 1);
    await(atomic_load(&looked) > 3);  // it has been asleep for some time
    atomic_store(&pending, true);     // what nobody wakes the thread for
    return NULL;
}

static void
test_pending(void)
{
    subi_channel *c = new_channel(SUBI_RENDEZVOUS);
    waiter w = {.channel = c};
    subi_signals_set(are_pending);

    atomic_store(&pending, true);
    int64_t start = subi_now();
    ok(recv_until(c, start + 20 * MS) == SUBI_TIMEOUT && subi_now() - start >= 20 * MS,
       "a signal that came before, of one that does not heed them");
    ok(!subi_signals_heed(true) && recv_until(c, SUBI_FOREVER) == SUBI_INTERRUPTED,
       "and of one that does");
    ok(recv_until(c, SUBI_TRY) == SUBI_EMPTY, "a try does not care for it");
    pthread_t t = tap_thread(wait_forever, &w);
    await_waiting(c, SUBI_RECV, 1);
    ok(send_until(c, SUBI_FOREVER) == SUBI_OK, "nor what need not wait");
    tap_join(t);
    ok(w.result == SUBI_OK, "nor another thread");
    atomic_store(&pending, false);
    ok(recv_until(c, subi_now() + 20 * MS) == SUBI_TIMEOUT, "none");

    atomic_store(&pending, false);
    atomic_store(&looked, 0);
    t = tap_thread(let_one_come, c);
    ok(recv_until(c, SUBI_FOREVER) == SUBI_INTERRUPTED, "one in the moment of falling asleep");
    tap_join(t);
    ok(peek_waiting(c, SUBI_RECV) == 0, "no node is left behind");
    atomic_store(&pending, false);
    atomic_store(&looked, 0);
    must(recv_until(c, subi_now() + 300 * MS) == SUBI_TIMEOUT);
    ok(atomic_load(&looked) < 16, "looked for %d times in 300 ms", atomic_load(&looked));
    ok(subi_signals_heed(false), "it heeded them");
    subi_signals_set(NULL);
    subi_channel_drop(c);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    struct sigaction action = {.sa_handler = on_signal};  // without SA_RESTART
    sigaction(SIGUSR1, &action, NULL);
    test_seconds();
    test_past();
    test_50_ms();
    test_signal(SUBI_RECV);
    test_signal(SUBI_SEND);
    test_signals_and_messages();
    test_pending();
    return tap_done();
}
