// SPDX-License-Identifier: MIT
//
// What a channel costs. Not a test: it prints figures, each the best of several rounds, because
// whatever else runs on the machine only ever adds to them.
#include "tap.h"

#define ROUNDS 5

typedef struct bench {
    subi_channel *there, *back;
    int64_t count;
    int64_t think;  // ns of sleep before each message
} bench;

static void
send_one(subi_channel *c, int64_t value)
{
    subi_message m = subi_message_integer(value);
    must(subi_channel_send(c, 1, &m, SUBI_FOREVER) == SUBI_OK);
}

static int64_t
recv_one(subi_channel *c)
{
    subi_message m = subi_message_none();
    must(subi_channel_recv(c, 2, &m, SUBI_FOREVER) == SUBI_OK);
    return m.u.integer;
}

static double
best_of(double (*measure)(bench *), bench *b, size_t capacity)
{
    double best = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        must(subi_channel_new(capacity, &b->there) == SUBI_OK);
        must(subi_channel_new(capacity, &b->back) == SUBI_OK);
        double ns = measure(b);
        best = ns < best ? ns : best;
        subi_channel_drop(b->there);
        subi_channel_drop(b->back);
    }
    return best;
}

static double
uncontended(bench *b)
{
    int64_t start = subi_now();
    for (int64_t i = 0; i < b->count; i++) {
        send_one(b->there, i);
        recv_one(b->there);
    }
    return (double)(subi_now() - start) / (double)b->count;
}

static double
uncontended_select(bench *b)
{
    int64_t start = subi_now();
    for (int64_t i = 0; i < b->count; i++) {
        subi_message m = subi_message_none();
        subi_case cases[2] = {{b->there, SUBI_RECV, &m}, {b->back, SUBI_RECV, &m}};
        size_t chosen;
        send_one(b->there, i);
        must(subi_select(cases, 2, 2, SUBI_FOREVER, &chosen) == SUBI_OK);
    }
    return (double)(subi_now() - start) / (double)b->count;
}

static void *
echo(void *arg)
{
    bench *b = arg;
    for (int64_t i = 0; i < b->count; i++) {
        send_one(b->back, recv_one(b->there));
    }
    return NULL;
}

static double
ping_pong(bench *b)
{
    pthread_t t = tap_thread(echo, b);
    int64_t spent = 0;
    for (int64_t i = 0; i < b->count; i++) {
        if (b->think > 0) {
            usleep((useconds_t)(b->think / 1000));
        }
        int64_t start = subi_now();
        send_one(b->there, i);
        recv_one(b->back);
        spent += subi_now() - start;
    }
    tap_join(t);
    return (double)spent / (double)b->count;
}

static void *
send_many(void *arg)
{
    bench *b = arg;
    for (int64_t i = 0; i < b->count; i++) {
        send_one(b->there, i);
    }
    return NULL;
}

static void *
recv_many(void *arg)
{
    bench *b = arg;
    for (int64_t i = 0; i < b->count; i++) {
        recv_one(b->there);
    }
    return NULL;
}

static int pairs;

static double
throughput(bench *b)
{
    pthread_t t[16];
    int64_t start = subi_now();
    for (int i = 0; i < 2 * pairs; i++) {
        t[i] = tap_thread(i % 2 == 0 ? send_many : recv_many, b);
    }
    for (int i = 0; i < 2 * pairs; i++) {
        tap_join(t[i]);
    }
    return (double)(subi_now() - start) / (double)(b->count * pairs);
}

static void
report_throughput(size_t capacity, const char *name, int64_t count)
{
    for (pairs = 1; pairs <= 4; pairs *= 4) {
        bench b = {.count = count / pairs};
        double ns = best_of(throughput, &b, capacity);
        printf("%dx%d %-12s %8.0f ns/message, %6.2f million/s\n", pairs, pairs, name, ns, 1e3 / ns);
    }
}

int
main(void)
{
    bench many = {.count = 1000000}, some = {.count = 100000}, few = {.count = 200, .think = MS};
    printf("send + recv, one thread     %8.1f ns\n", best_of(uncontended, &many, SUBI_UNBOUNDED));
    printf("send + select of 2          %8.1f ns\n",
           best_of(uncontended_select, &many, SUBI_UNBOUNDED));
    printf("round trip, hot             %8.0f ns\n", best_of(ping_pong, &some, SUBI_UNBOUNDED));
    printf("round trip, hot, rendezvous %8.0f ns\n", best_of(ping_pong, &some, SUBI_RENDEZVOUS));
    printf("round trip, 1 ms apart      %8.0f ns\n", best_of(ping_pong, &few, SUBI_UNBOUNDED));
    report_throughput(SUBI_UNBOUNDED, "unbounded", 1000000);
    report_throughput(128, "capacity 128", 1000000);
    report_throughput(SUBI_RENDEZVOUS, "rendezvous", 400000);
    return 0;
}
