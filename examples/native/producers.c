// SPDX-License-Identifier: MIT
//
// Native threads that feed a channel. None of them has a GIL, a thread state, or anything else of
// Python: the file is compiled against subinterp.h and linked with libsubinterp only. See feed.py.
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <subinterp.h>

// What is sent with `ticks`: receivers get it as bytes. It fits into a message, so nothing is allocated.
typedef struct tick {
    uint32_t producer;
    uint32_t number;
    double value;
} tick;

_Static_assert(sizeof(tick) <= SUBI_SMALL_MAX, "it travels inside the message");

typedef struct producer {
    pthread_t thread;
    subi_channel *channel;  // a handle on its sending end
    uint32_t index;
    uint32_t count;  // how many to send
    bool ticks;
    uint64_t sum;  // of the numbers that were sent
} producer;

typedef struct producers {
    unsigned count;
    producer each[];
} producers;

static subi_message
tick_message(const producer *p, uint32_t number)
{
    tick t = {.producer = p->index, .number = number, .value = number / 2.0};
    subi_message m = {.tag = SUBI_TAG_BYTES, .size = sizeof(t)};
    memcpy(m.u.small, &t, sizeof(t));
    return m;
}

static void *
produce(void *arg)
{
    producer *p = arg;
    for (uint32_t number = 0; number < p->count; number++) {
        subi_message m = p->ticks ? tick_message(p, number) : subi_message_integer(number);
        // On SUBI_INTERRUPTED a signal handler has run here: the message has not been sent yet.
        subi_result r;
        do {
            r = subi_channel_send(p->channel, SUBI_NOBODY, &m, SUBI_FOREVER);
        } while (r == SUBI_INTERRUPTED);
        if (r != SUBI_OK) {
            break;  // nobody receives any more
        }
        p->sum += number;
    }
    subi_channel_drop_end(p->channel, SUBI_SEND);  // with the last handle the channel closes
    return NULL;
}

static bool
start(producer *p)
{
    subi_channel_hold_end(p->channel, SUBI_SEND);
    bool started = pthread_create(&p->thread, NULL, produce, p) == 0;
    if (!started) {
        subi_channel_drop_end(p->channel, SUBI_SEND);
    }
    return started;
}

// Starts `threads` threads that send `count` messages each into the channel with that id. NULL:
// there is no such channel, no memory, or no thread. It may have fewer threads than asked for.
SUBI_EXPORT producers *
producers_start(int64_t channel_id, unsigned threads, uint32_t count, bool ticks)
{
    subi_channel *channel = subi_channel_lookup(channel_id);
    producers *all = calloc(1, sizeof(*all) + threads * sizeof(*all->each));
    while (channel != NULL && all != NULL && all->count < threads) {
        producer *p = &all->each[all->count];
        *p = (producer){.channel = channel, .index = all->count, .count = count, .ticks = ticks};
        if (!start(p)) {
            break;
        }
        all->count++;
    }
    if (channel != NULL) {
        subi_channel_drop(channel);
    }
    if (all != NULL && all->count == 0) {
        free(all);
        return NULL;
    }
    return all;
}

// Waits for the threads and frees all. The sum of the numbers that were sent.
SUBI_EXPORT uint64_t
producers_join(producers *all)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < all->count; i++) {
        pthread_join(all->each[i].thread, NULL);
        sum += all->each[i].sum;
    }
    free(all);
    return sum;
}
