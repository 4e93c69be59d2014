// SPDX-License-Identifier: MIT
//
// Event loops whose operations are given up at random, and threads that block, over the same few
// channels: what comes out is what went in, each value once.
#include <poll.h>

#include "peek.h"

#define CHANNELS   5
#define LOOPS      3
#define THREADS    3
#define OPERATIONS 40  // of one loop at a time
#define CASES_MOST 3

static const size_t capacities[CHANNELS] = {SUBI_RENDEZVOUS, 1, 2, SUBI_UNBOUNDED, SUBI_RENDEZVOUS};
static subi_channel *channels[CHANNELS];
static atomic_llong sent, received, sent_sum, received_sum;
static atomic_llong told_and_given_up;

typedef struct operation {
    subi_waiter *waiter;  // NULL: none
    subi_case cases[CASES_MOST];
    subi_message messages[CASES_MOST];
    bool told;
} operation;

typedef struct worker {
    int64_t steps;
    uint64_t random;
    subi_notifier *notifier;
    operation operations[OPERATIONS];
} worker;

static size_t
choose_cases(subi_case *cases, subi_message *messages, uint64_t *random)
{
    size_t count = 1 + tap_random(random) % CASES_MOST;
    for (size_t i = 0; i < count; i++) {
        uint64_t r = tap_random(random);
        bool send = r % 2 == 0;
        messages[i] = send ? subi_message_integer((int64_t)(r >> 40)) : subi_message_none();
        cases[i] = (subi_case){.channel = channels[(r >> 8) % CHANNELS],
                               .end = send ? SUBI_SEND : SUBI_RECV,
                               .message = &messages[i]};
    }
    return count;
}

// Now and then a message that was received goes back, and then does not count.
static bool
goes_back(const subi_case *k, uint64_t *random)
{
    return k->end == SUBI_RECV && tap_random(random) % 8 == 0 &&
           subi_channel_put_back(k->channel, k->message) == SUBI_OK;
}

static void
count_message(subi_end end, int64_t value)
{
    atomic_fetch_add(end == SUBI_SEND ? &sent : &received, 1);
    atomic_fetch_add(end == SUBI_SEND ? &sent_sum : &received_sum, value);
}

// ---- event loops ------------------------------------------------------------------------------

static void
give_up(operation *o)
{
    subi_waiter_free(o->waiter);
    o->waiter = NULL;
    atomic_fetch_add(&told_and_given_up, o->told);
}

static void
try_it(operation *o, uint64_t *random)
{
    int64_t values[CASES_MOST];
    size_t chosen = CASES_MOST;
    for (size_t i = 0; i < CASES_MOST; i++) {
        values[i] = o->messages[i].u.integer;
    }
    subi_result r = subi_waiter_try(o->waiter, &chosen);
    o->told = false;
    if (r == SUBI_OK) {
        const subi_case *k = &o->cases[chosen];
        if (!goes_back(k, random)) {
            bool send = k->end == SUBI_SEND;
            count_message(k->end, send ? values[chosen] : o->messages[chosen].u.integer);
        }
        give_up(o);
    }
    else {
        must(r == SUBI_EMPTY);
    }
}

static void
begin(worker *w, operation *o)
{
    size_t count = choose_cases(o->cases, o->messages, &w->random);
    must(subi_waiter_new(w->notifier, o->cases, count, SUBI_NOBODY, o, &o->waiter) == SUBI_OK);
    try_it(o, &w->random);
}

// One turn of the loop: some of those that were told try again, later.
static void
turn(worker *w)
{
    operation *o;
    struct pollfd p = {.fd = subi_notifier_fd(w->notifier), .events = POLLIN};
    if (poll(&p, 1, 0) == 1) {
        subi_notifier_clear(w->notifier);
        while ((o = subi_notifier_next(w->notifier)) != NULL) {
            must(o->waiter != NULL);
            o->told = true;
        }
    }
    for (int k = 0; k < 8; k++) {
        uint64_t r = tap_random(&w->random);
        o = &w->operations[r % OPERATIONS];
        if (o->waiter == NULL) {
            begin(w, o);
        }
        else if ((r >> 16) % 3 == 0) {
            give_up(o);
        }
        else if (o->told) {
            try_it(o, &w->random);
        }
    }
}

static void *
run_loop(void *arg)
{
    worker *w = arg;
    must(subi_notifier_new(0, &w->notifier) == SUBI_OK);
    for (int64_t i = 0; i < w->steps; i++) {
        turn(w);
    }
    for (int i = 0; i < OPERATIONS; i++) {
        if (w->operations[i].waiter != NULL) {
            give_up(&w->operations[i]);
        }
    }
    subi_notifier_drop(w->notifier);
    return NULL;
}

// ---- threads ----------------------------------------------------------------------------------

static void *
run_thread(void *arg)
{
    worker *w = arg;
    for (int64_t i = 0; i < w->steps; i++) {
        subi_case cases[CASES_MOST];
        subi_message messages[CASES_MOST];
        int64_t values[CASES_MOST];
        size_t chosen;
        size_t count = choose_cases(cases, messages, &w->random);
        for (size_t k = 0; k < count; k++) {
            values[k] = messages[k].u.integer;
        }
        uint64_t r = tap_random(&w->random);
        int64_t deadline = r % 2 ? SUBI_TRY : subi_now() + (int64_t)(r >> 8) % (MS / 4);
        if (subi_select(cases, count, SUBI_NOBODY, deadline, &chosen) == SUBI_OK &&
            !goes_back(&cases[chosen], &w->random)) {
            bool send = cases[chosen].end == SUBI_SEND;
            count_message(cases[chosen].end, send ? values[chosen] : messages[chosen].u.integer);
        }
    }
    return NULL;
}

static void
drain(void)
{
    for (int i = 0; i < CHANNELS; i++) {
        subi_message m = subi_message_none();
        must(peek_waiting(channels[i], SUBI_SEND) == 0);
        must(peek_waiting(channels[i], SUBI_RECV) == 0);
        must(channels[i]->promised == 0 && channels[i]->granted == 0);
        while (subi_channel_recv(channels[i], SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK) {
            count_message(SUBI_RECV, m.u.integer);
        }
        subi_channel_drop(channels[i]);
    }
}

// ---- nobody is forgotten ----------------------------------------------------------------------

#define STREAM (200000 / TAP_SLOW)

static subi_channel *stream;

static void *
send_stream(void *unused)
{
    for (int64_t i = 0; i < STREAM; i++) {
        subi_message m = subi_message_integer(i);
        must(subi_channel_send(stream, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_OK);
    }
    subi_channel_close(stream, SUBI_SEND, false);
    return unused;
}

// Two operations of one loop receive; now and then one that was told gives up, and begins again. If what it
// gives back were forgotten, this would not end.
static void *
receive_stream(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    subi_notifier *n;
    operation o[2] = {{.waiter = NULL}, {.waiter = NULL}};
    int open = 2;
    must(subi_notifier_new(0, &n) == SUBI_OK);
    while (open > 0) {
        for (int i = 0; i < 2; i++) {
            size_t chosen;
            subi_result r = SUBI_OK;
            bool again = o[i].told && tap_random(&random) % 4 == 0;
            if (o[i].waiter != NULL && again) {
                subi_waiter_free(o[i].waiter);
                o[i].waiter = NULL;
            }
            if (o[i].waiter == NULL && o[i].cases[0].end != SUBI_SEND) {
                o[i].cases[0] = (subi_case){stream, SUBI_RECV, &o[i].messages[0]};
                must(subi_waiter_new(n, o[i].cases, 1, SUBI_NOBODY, &o[i], &o[i].waiter) ==
                     SUBI_OK);
                o[i].told = true;
            }
            while (o[i].told && (r = subi_waiter_try(o[i].waiter, &chosen)) == SUBI_OK) {
                if (!goes_back(&o[i].cases[0], &random)) {
                    count_message(SUBI_RECV, o[i].messages[0].u.integer);
                }
            }
            o[i].told = false;
            if (r == SUBI_CLOSED) {
                subi_waiter_free(o[i].waiter);
                o[i].waiter = NULL;
                o[i].cases[0].end = SUBI_SEND;  // it is done
                open--;
            }
        }
        struct pollfd p = {.fd = subi_notifier_fd(n), .events = POLLIN};
        must(open == 0 || poll(&p, 1, (int)(PATIENCE / MS)) == 1);
        subi_notifier_clear(n);
        for (operation *told; (told = subi_notifier_next(n)) != NULL;) {
            told->told = true;
        }
    }
    subi_notifier_drop(n);
    return NULL;
}

static void
test_stream(size_t capacity, const char *name)
{
    pthread_t t[3];
    uint64_t seeds[2] = {tap_seed, tap_seed + 1};
    received = 0;
    received_sum = 0;
    must(subi_channel_new(capacity, &stream) == SUBI_OK);
    t[0] = tap_thread(send_stream, NULL);
    t[1] = tap_thread(receive_stream, &seeds[0]);
    t[2] = tap_thread(receive_stream, &seeds[1]);
    for (int i = 0; i < 3; i++) {
        tap_join(t[i]);
    }
    ok(received == STREAM && received_sum == (long long)STREAM * (STREAM - 1) / 2,
       "%s: %d messages through two loops that keep giving up", name, STREAM);
    subi_channel_drop(stream);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    pthread_t t[LOOPS + THREADS];
    static worker w[LOOPS + THREADS];
    for (int i = 0; i < CHANNELS; i++) {
        must(subi_channel_new(capacities[i], &channels[i]) == SUBI_OK);
    }
    for (int i = 0; i < LOOPS + THREADS; i++) {
        w[i].steps = (i < LOOPS ? 300000 : 60000) / TAP_SLOW;
        w[i].random = tap_seed + (uint64_t)i * 104729;
        t[i] = tap_thread(i < LOOPS ? run_loop : run_thread, &w[i]);
    }
    for (int i = 0; i < LOOPS + THREADS; i++) {
        tap_join(t[i]);
    }
    drain();
    ok(received == sent && received_sum == sent_sum && sent > 0,
       "%lld messages sent, all received; %lld told waiters gave up", (long long)sent,
       (long long)told_and_given_up);
    test_stream(SUBI_UNBOUNDED, "unbounded");
    test_stream(3, "bounded");
    test_stream(SUBI_RENDEZVOUS, "rendezvous");
    return tap_done();
}
