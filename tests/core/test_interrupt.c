// SPDX-License-Identifier: MIT
//
// subi_thread_interrupt: a thread that waits on a channel comes back, and loses nothing.
#include "tap.h"

typedef struct receiver {
    subi_channel *channel;
    subi_thread *_Atomic thread;  // atomic: set when it has begun
    atomic_bool go, again;
    subi_result result, second;
    subi_message message;
} receiver;

static void *
receive(void *arg)
{
    receiver *r = arg;
    subi_thread *self = subi_thread_self();
    must(self != NULL);
    subi_thread_hold(self);
    atomic_store(&r->thread, self);
    await(atomic_load(&r->go));
    r->result = subi_channel_recv(r->channel, SUBI_NOBODY, &r->message, SUBI_FOREVER);
    return NULL;
}

static void *
receive_twice(void *arg)
{
    receiver *r = arg;
    receive(r);
    atomic_store(&r->again, true);
    r->second = subi_channel_recv(r->channel, SUBI_NOBODY, &r->message, SUBI_FOREVER);
    return NULL;
}

static void
begin(receiver *r, subi_channel *c, void *(*run)(void *), pthread_t *t)
{
    *r = (receiver){.channel = c};
    *t = tap_thread(run, r);
    await(atomic_load(&r->thread) != NULL);
}

static void
end(receiver *r, pthread_t t)
{
    tap_join(t);
    subi_thread_drop(atomic_load(&r->thread));
}

static subi_channel *
new_channel(void)
{
    subi_channel *c;
    must(subi_channel_new(SUBI_UNBOUNDED, &c) == SUBI_OK);
    return c;
}

static void
test_parked(void)
{
    subi_channel *c = new_channel();
    bool all = true;
    for (int round = 0; round < 500 / TAP_SLOW; round++) {
        receiver r;
        pthread_t t;
        begin(&r, c, receive, &t);
        uint32_t waiting = subi_waiting();
        atomic_store(&r.go, true);
        await(subi_waiting() > waiting);  // it spins, or sleeps
        for (int k = 0; k < round % 64; k++) {
            sched_yield();
        }
        subi_thread_interrupt(atomic_load(&r.thread));
        end(&r, t);
        all = all && r.result == SUBI_INTERRUPTED;
    }
    ok(all, "a thread that waits is interrupted, whether it spins yet or sleeps");
    subi_channel_drop(c);
}

static void
test_before_and_once(void)
{
    subi_channel *c = new_channel();
    receiver r;
    pthread_t t;
    begin(&r, c, receive_twice, &t);
    subi_thread_interrupt(atomic_load(&r.thread));
    subi_thread_interrupt(atomic_load(&r.thread));
    atomic_store(&r.go, true);
    await(atomic_load(&r.again));
    subi_message m = subi_message_integer(7);
    must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
    end(&r, t);
    ok(r.result == SUBI_INTERRUPTED, "two that come before the wait end it");
    ok(r.second == SUBI_OK && r.message.u.integer == 7, "and only that one");
    subi_channel_drop(c);
}

static void
test_ready(void)
{
    subi_channel *c = new_channel();
    subi_message m = subi_message_integer(1), got;
    must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
    subi_thread_interrupt(subi_thread_self());
    ok(subi_channel_recv(c, SUBI_NOBODY, &got, SUBI_FOREVER) == SUBI_OK && got.u.integer == 1,
       "what need not wait is not interrupted");
    ok(subi_channel_recv(c, SUBI_NOBODY, &got, subi_now() + 20000 * MS) == SUBI_INTERRUPTED,
       "but the next wait is");
    int64_t until = subi_now() + 10 * MS;
    ok(subi_channel_recv(c, SUBI_NOBODY, &got, until) == SUBI_TIMEOUT && subi_now() >= until,
       "and no later one");
    subi_channel_drop(c);
}

// A message and an interruption at the same time: whoever does not get the message leaves it there.
static void
test_race(void)
{
    subi_channel *c = new_channel();
    int interrupted = 0, lost = 0, rounds = 2000 / TAP_SLOW;
    uint64_t random = tap_seed;
    for (int round = 0; round < rounds; round++) {
        receiver r;
        pthread_t t;
        begin(&r, c, receive, &t);
        uint32_t waiting = subi_waiting();
        atomic_store(&r.go, true);
        if (tap_random(&random) % 4 > 0) {
            await(subi_waiting() > waiting);
        }
        for (uint64_t k = tap_random(&random) % 8; k > 0; k--) {
            sched_yield();
        }
        bool first = tap_random(&random) % 2 == 0;
        subi_message m = subi_message_integer(round), got;
        if (first) {
            subi_thread_interrupt(atomic_load(&r.thread));
        }
        must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
        if (!first) {
            subi_thread_interrupt(atomic_load(&r.thread));
        }
        end(&r, t);
        if (r.result == SUBI_INTERRUPTED) {
            interrupted++;
            lost += subi_channel_recv(c, SUBI_NOBODY, &got, SUBI_TRY) != SUBI_OK ||
                    got.u.integer != round;
        }
        else {
            must(r.result == SUBI_OK && r.message.u.integer == round);
        }
        must(subi_channel_count(c) == 0);
    }
    ok(lost == 0, "no message is lost (%d of %d were interrupted)", interrupted, rounds);
    subi_channel_drop(c);
}

static void
test_ended(void)
{
    subi_channel *c = new_channel();
    subi_message m = subi_message_integer(1);
    receiver r;
    pthread_t t;
    must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
    begin(&r, c, receive, &t);
    atomic_store(&r.go, true);
    tap_join(t);
    subi_thread_interrupt(atomic_load(&r.thread));
    ok(!subi_thread_alive(atomic_load(&r.thread)), "a thread that has ended does not mind");
    subi_thread_drop(atomic_load(&r.thread));
    subi_channel_drop(c);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_parked();
    test_before_and_once();
    test_ready();
    test_race();
    test_ended();
    return tap_done();
}
