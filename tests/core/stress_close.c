// SPDX-License-Identifier: MIT
//
// Channels closed in every way at random moments of their use: nobody hangs, and each message is
// received, given back to its sender or thrown away, and freed exactly once.
#include "tap.h"

#define SENDERS   2
#define RECEIVERS 2

static atomic_llong made, freed, sent, received;

typedef struct round {
    subi_channel *channel;
    pthread_barrier_t start;
    int how;        // of closing
    int64_t delay;  // of it, in operations
} round_state;

static void
count_free(void *number)
{
    (void)number;
    atomic_fetch_add(&freed, 1);
}

static subi_message
make_message(void)
{
    subi_block *b = subi_block_new(1);
    must(b != NULL && subi_block_attach(b, (subi_segment){.free = count_free}) == SUBI_OK);
    atomic_fetch_add(&made, 1);
    return subi_message_block(b);
}

static void *
send_until_closed(void *arg)
{
    round_state *s = arg;
    subi_result r = SUBI_OK;
    pthread_barrier_wait(&s->start);
    while (r != SUBI_CLOSED) {
        subi_message m = make_message();
        r = subi_channel_send(s->channel, 1, &m, SUBI_FOREVER);
        must(r == SUBI_OK || r == SUBI_CLOSED);
        atomic_fetch_add(&sent, r == SUBI_OK);
        subi_message_fini(&m);
    }
    return NULL;
}

static void *
recv_until_closed(void *arg)
{
    round_state *s = arg;
    subi_result r = SUBI_OK;
    pthread_barrier_wait(&s->start);
    while (r != SUBI_CLOSED) {
        subi_message m = subi_message_none();
        r = subi_channel_recv(s->channel, 2, &m, SUBI_FOREVER);
        must(r == SUBI_OK || r == SUBI_CLOSED);
        atomic_fetch_add(&received, r == SUBI_OK);
        subi_message_fini(&m);
    }
    return NULL;
}

// The seven ways for a channel to end.
static void
end_channel(subi_channel *c, int how)
{
    switch (how) {
    case 0:
        subi_channel_close(c, SUBI_SEND, false);
        break;
    case 1:
        subi_channel_close(c, SUBI_BOTH, true);
        break;
    case 2:
        subi_channel_close(c, SUBI_RECV, true);
        break;
    case 3:
        subi_channel_unlist(c);
        break;
    case 4:
        subi_channel_drop_end(c, SUBI_SEND);
        break;
    case 5:
        subi_channel_drop_end(c, SUBI_RECV);
        break;
    default:
        // senders who outrun the receivers may keep it from ever being empty
        for (int i = 0; i < 20 && subi_channel_close(c, SUBI_BOTH, false) == SUBI_NOT_EMPTY; i++) {
            sched_yield();
        }
        subi_channel_close(c, SUBI_SEND, false);
    }
}

static void *
close_some_time(void *arg)
{
    round_state *s = arg;
    pthread_barrier_wait(&s->start);
    for (int64_t i = 0; i < s->delay; i++) {
        subi_channel_count(s->channel);
    }
    end_channel(s->channel, s->how);
    return NULL;
}

static void
run_round(size_t capacity, int how, int64_t delay)
{
    pthread_t t[SENDERS + RECEIVERS + 1];
    round_state s = {.how = how, .delay = delay};
    must(subi_channel_new(capacity, &s.channel) == SUBI_OK);
    if (how == 4 || how == 5) {
        subi_channel_hold_end(s.channel, how == 4 ? SUBI_SEND : SUBI_RECV);
    }
    pthread_barrier_init(&s.start, NULL, SENDERS + RECEIVERS + 1);
    for (int i = 0; i < SENDERS + RECEIVERS; i++) {
        t[i] = tap_thread(i < SENDERS ? send_until_closed : recv_until_closed, &s);
    }
    t[SENDERS + RECEIVERS] = tap_thread(close_some_time, &s);
    for (int i = 0; i < SENDERS + RECEIVERS + 1; i++) {
        tap_join(t[i]);
    }
    pthread_barrier_destroy(&s.start);
    subi_channel_drop(s.channel);
}

static void
stress(size_t capacity, const char *name)
{
    uint64_t random = tap_seed + capacity;
    int rounds = 2100 / TAP_SLOW;
    bool drained = true, freed_once = true;
    for (int i = 0; i < rounds; i++) {
        atomic_store(&made, 0);
        atomic_store(&freed, 0);
        atomic_store(&sent, 0);
        atomic_store(&received, 0);
        int how = i % 7;
        run_round(capacity, how, (int64_t)(tap_random(&random) % 300));
        bool keeps_all = how == 0 || how == 4 || how == 6;
        drained = drained && (keeps_all ? received == sent : received <= sent);
        freed_once = freed_once && made == freed;
    }
    ok(drained, "%s: what was sent before a gentle end is received", name);
    ok(freed_once, "%s: each message is freed once", name);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    stress(SUBI_UNBOUNDED, "unbounded");
    stress(1, "capacity 1");
    stress(16, "capacity 16");
    stress(SUBI_RENDEZVOUS, "rendezvous");
    return tap_done();
}
