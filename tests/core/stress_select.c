// SPDX-License-Identifier: MIT
//
// Selects with random cases over the same few channels by several threads: what comes out is what
// went in.
#include "tap.h"

#define CHANNELS   5
#define THREADS    6
#define CASES_MOST 12

static const size_t capacities[CHANNELS] = {SUBI_RENDEZVOUS, 1, 2, SUBI_UNBOUNDED, SUBI_RENDEZVOUS};
static subi_channel *channels[CHANNELS];
static atomic_llong sent, received, sent_sum, received_sum;

typedef struct worker {
    int64_t selects;
    uint64_t random;
} worker;

typedef struct choice {
    subi_case cases[CASES_MOST];
    subi_message messages[CASES_MOST];
    size_t count;
} choice;

// The same channel may well come twice, and in both directions.
static void
choose_cases(choice *c, uint64_t *random)
{
    c->count = 1 + tap_random(random) % (tap_random(random) % 8 == 0 ? CASES_MOST : 4);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t r = tap_random(random);
        bool send = r % 2 == 0;
        int64_t value = (int64_t)(r >> 40);
        c->messages[i] = send ? subi_message_integer(value) : subi_message_none();
        c->cases[i] = (subi_case){.channel = channels[(r >> 8) % CHANNELS],
                                  .end = send ? SUBI_SEND : SUBI_RECV,
                                  .message = &c->messages[i]};
    }
}

// Nobody waits for ever: it is random whether anybody would come.
static int64_t
random_deadline(uint64_t *random)
{
    uint64_t r = tap_random(random);
    return r % 4 == 0 ? SUBI_TRY : subi_now() + (int64_t)(r >> 8) % (MS / 4);
}

// Only the chosen case may have happened.
static void
count_choice(const choice *before, const choice *after, size_t chosen)
{
    for (size_t i = 0; i < after->count; i++) {
        if (i != chosen) {
            must(after->messages[i].tag == before->messages[i].tag);
            must(after->messages[i].u.integer == before->messages[i].u.integer);
        }
    }
    if (after->cases[chosen].end == SUBI_SEND) {
        must(after->messages[chosen].tag == SUBI_TAG_NONE);
        atomic_fetch_add(&sent, 1);
        atomic_fetch_add(&sent_sum, before->messages[chosen].u.integer);
    }
    else {
        must(after->messages[chosen].tag == SUBI_TAG_INTEGER);
        atomic_fetch_add(&received, 1);
        atomic_fetch_add(&received_sum, after->messages[chosen].u.integer);
    }
}

static void *
work(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->selects; i++) {
        choice c, before;
        size_t chosen = CASES_MOST;
        choose_cases(&c, &w->random);
        before = c;
        int64_t deadline = random_deadline(&w->random);
        subi_result r = subi_select(c.cases, c.count, SUBI_NOBODY, deadline, &chosen);
        if (r == SUBI_OK) {
            count_choice(&before, &c, chosen);
        }
        else {
            must(r == (deadline == SUBI_TRY ? SUBI_EMPTY : SUBI_TIMEOUT) && chosen == CASES_MOST);
        }
    }
    return NULL;
}

static void
drain(void)
{
    for (int i = 0; i < CHANNELS; i++) {
        subi_message m = subi_message_none();
        while (subi_channel_recv(channels[i], SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK) {
            received++;
            received_sum += m.u.integer;
        }
        subi_channel_drop(channels[i]);
    }
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    pthread_t t[THREADS];
    worker w[THREADS];
    for (int i = 0; i < CHANNELS; i++) {
        must(subi_channel_new(capacities[i], &channels[i]) == SUBI_OK);
    }
    for (int i = 0; i < THREADS; i++) {
        w[i] = (worker){.selects = 300000 / TAP_SLOW, .random = tap_seed + (uint64_t)i * 104729};
        t[i] = tap_thread(work, &w[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        tap_join(t[i]);
    }
    long long by_selects = atomic_load(&received);
    drain();
    ok(received == sent && received_sum == sent_sum,
       "%lld messages sent, %lld received by selects, the rest drained", (long long)sent,
       by_selects);
    return tap_done();
}
