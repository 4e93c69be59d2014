// SPDX-License-Identifier: MIT
//
// Producers and consumers in numbers: nothing lost, nothing twice, each producer's messages in
// order. Each operation picks at random whether it tries, waits for a moment or waits for ever.
#include "tap.h"

#define THREADS_MOST 8
#define SEQ_BITS     40  // of a message; the producer's number is above them

typedef struct run {
    subi_channel *channel;
    int producers, consumers;
    bool put_back;          // some messages, to be received again
    int64_t each;           // messages of one producer
    _Atomic uint8_t *seen;  // [producer * each + seq]
    atomic_llong received, sum;
} run;

typedef struct worker {
    run *run;
    int64_t index;
    uint64_t random;
} worker;

// Most waits are for ever, so that waits are hand-offs rather than polling.
static int64_t
random_deadline(uint64_t *random)
{
    uint64_t r = tap_random(random);
    if (r % 16 == 0) {
        return SUBI_TRY;
    }
    return r % 16 == 1 ? subi_now() + (int64_t)(r >> 8) % (MS / 5) : SUBI_FOREVER;
}

static void *
produce(void *arg)
{
    worker *w = arg;
    for (int64_t seq = 0; seq < w->run->each; seq++) {
        subi_message m = subi_message_integer(w->index << SEQ_BITS | seq);
        subi_result r;
        do {
            r = subi_channel_send(w->run->channel, w->index, &m, random_deadline(&w->random));
            must(r == SUBI_OK || r == SUBI_FULL || r == SUBI_TIMEOUT);
        } while (r != SUBI_OK);
    }
    subi_channel_drop_end(w->run->channel, SUBI_SEND);
    return NULL;
}

// One consumer sees the messages of each producer in order, unless another one puts some back.
static void
take(run *r, int64_t value, int64_t *last)
{
    int64_t producer = value >> SEQ_BITS, seq = value & ((INT64_C(1) << SEQ_BITS) - 1);
    must(producer < r->producers && seq < r->each);
    must(seq > last[producer] || (r->put_back && r->consumers > 1));
    last[producer] = seq;
    _Atomic uint8_t *seen = &r->seen[producer * r->each + seq];
    must(atomic_exchange_explicit(seen, 1, memory_order_relaxed) == 0);
}

static void *
consume(void *arg)
{
    worker *w = arg;
    int64_t last[THREADS_MOST], received = 0, sum = 0;
    for (int i = 0; i < THREADS_MOST; i++) {
        last[i] = -1;
    }
    for (;;) {
        subi_message m = subi_message_none();
        int64_t interp = 100 + w->index;
        subi_result r = subi_channel_recv(w->run->channel, interp, &m, random_deadline(&w->random));
        if (r == SUBI_CLOSED) {
            break;
        }
        must(r == SUBI_OK || r == SUBI_EMPTY || r == SUBI_TIMEOUT);
        if (r == SUBI_OK && w->run->put_back && tap_random(&w->random) % 8 == 0) {
            must(subi_channel_put_back(w->run->channel, &m) == SUBI_OK);
        }
        else if (r == SUBI_OK) {
            take(w->run, m.u.integer, last);
            received++;
            sum += m.u.integer & ((INT64_C(1) << SEQ_BITS) - 1);
        }
    }
    atomic_fetch_add(&w->run->received, received);
    atomic_fetch_add(&w->run->sum, sum);
    return NULL;
}

static void
run_threads(run *r)
{
    pthread_t threads[2 * THREADS_MOST];
    worker workers[2 * THREADS_MOST];
    int count = r->producers + r->consumers;
    for (int i = 0; i < r->producers; i++) {
        subi_channel_hold_end(r->channel, SUBI_SEND);
    }
    for (int i = 0; i < count; i++) {
        bool producer = i < r->producers;
        workers[i] = (worker){.run = r,
                              .index = producer ? i : i - r->producers,
                              .random = tap_seed + (uint64_t)i * 7919};
        threads[i] = tap_thread(producer ? produce : consume, &workers[i]);
    }
    for (int i = 0; i < count; i++) {
        tap_join(threads[i]);
    }
}

static void
stress_run(run r, size_t capacity, int64_t total, const char *name)
{
    r.each = total / r.producers / TAP_SLOW;
    int producers = r.producers;
    int64_t sent = r.each * producers, start = subi_now();
    must(subi_channel_new(capacity, &r.channel) == SUBI_OK);
    r.seen = calloc((size_t)sent, 1);
    must(r.seen != NULL);
    run_threads(&r);
    int64_t sum = producers * (r.each * (r.each - 1) / 2);
    ok(atomic_load(&r.received) == sent && atomic_load(&r.sum) == sum,
       "%s, %dx%d%s: %lld messages, none lost (%.1f s)", name, producers, r.consumers,
       r.put_back ? ", put back" : "", (long long)sent, (double)(subi_now() - start) / 1e9);
    free((void *)r.seen);
    subi_channel_drop(r.channel);
}

static void
stress(size_t capacity, int producers, int consumers, int64_t total, const char *name)
{
    stress_run((run){.producers = producers, .consumers = consumers}, capacity, total, name);
}

static void
stress_put_back(size_t capacity, int producers, int consumers, int64_t total, const char *name)
{
    run r = {.producers = producers, .consumers = consumers, .put_back = true};
    stress_run(r, capacity, total, name);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    stress(SUBI_UNBOUNDED, 1, 1, 3000000, "unbounded");
    stress(SUBI_UNBOUNDED, 4, 4, 3000000, "unbounded");
    stress(16, 1, 1, 1500000, "capacity 16");
    stress(16, 3, 2, 1500000, "capacity 16");
    stress(1, 1, 1, 500000, "capacity 1");
    stress(1, 2, 4, 500000, "capacity 1");
    stress(SUBI_RENDEZVOUS, 1, 1, 500000, "rendezvous");
    stress(SUBI_RENDEZVOUS, 4, 2, 500000, "rendezvous");
    stress_put_back(SUBI_UNBOUNDED, 2, 1, 500000, "unbounded");
    stress_put_back(SUBI_UNBOUNDED, 2, 3, 500000, "unbounded");
    stress_put_back(3, 2, 1, 300000, "capacity 3");
    stress_put_back(3, 2, 3, 300000, "capacity 3");
    stress_put_back(SUBI_RENDEZVOUS, 2, 3, 200000, "rendezvous");
    return tap_done();
}
