// SPDX-License-Identifier: MIT
//
// The end of the process: every parked thread comes back.
#include "peek.h"

#define PARKED 8

static subi_channel *rendezvous, *full;
static atomic_bool shutting;
static atomic_int new_open;

typedef struct waiter {
    int kind;
    subi_result result;
} waiter;

static void *
wait_forever(void *arg)
{
    waiter *w = arg;
    subi_message m = subi_message_integer(1), n = subi_message_none();
    subi_case cases[2] = {{rendezvous, SUBI_RECV, &n}, {full, SUBI_SEND, &m}};
    size_t chosen;
    w->result = w->kind == 0   ? subi_channel_recv(rendezvous, 1, &n, SUBI_FOREVER)
                : w->kind == 1 ? subi_channel_send(full, 1, &m, SUBI_FOREVER)
                               : subi_select(cases, 2, 1, SUBI_FOREVER, &chosen);
    return NULL;
}

// Makes channels during the shutdown and waits on the first that comes after it: it must not hang.
static void *
make_channels(void *unused)
{
    subi_result r = SUBI_EMPTY;
    while (r == SUBI_EMPTY) {
        subi_channel *c;
        subi_message m = subi_message_none();
        bool after = atomic_load(&shutting);
        must(subi_channel_new(1, &c) == SUBI_OK);
        r = subi_channel_recv(c, SUBI_NOBODY, &m, after ? subi_now() + PATIENCE : SUBI_TRY);
        subi_channel_drop(c);
    }
    atomic_fetch_add(&new_open, r != SUBI_CLOSED);
    return unused;
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    pthread_t t[PARKED + 2];
    waiter w[PARKED];
    subi_message m = subi_message_integer(0);
    must(subi_channel_new(SUBI_RENDEZVOUS, &rendezvous) == SUBI_OK);
    must(subi_channel_new(1, &full) == SUBI_OK);
    must(subi_channel_send(full, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
    for (int i = 0; i < PARKED; i++) {
        w[i].kind = i % 3;
        t[i] = tap_thread(wait_forever, &w[i]);
    }
    t[PARKED] = tap_thread(make_channels, NULL);
    t[PARKED + 1] = tap_thread(make_channels, NULL);
    await_waiting(rendezvous, SUBI_RECV, 5);  // kinds 0, 2
    await_waiting(full, SUBI_SEND, 5);        // kinds 1, 2
    subi_shutdown();
    atomic_store(&shutting, true);
    bool closed = true;
    for (int i = 0; i < PARKED + 2; i++) {
        tap_join(t[i]);
        closed = closed && (i >= PARKED || w[i].result == SUBI_CLOSED);
    }
    ok(closed, "all parked threads come back: closed");
    ok(atomic_load(&new_open) == 0, "channels made during and after it are closed too");
    ok(subi_channel_send(full, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_CLOSED, "so are old ones");
    ok(subi_channel_count(full) == 0, "what was queued is gone");
    subi_shutdown();
    ok(true, "a second shutdown does nothing");
    subi_channel_drop(rendezvous);
    subi_channel_drop(full);
    return tap_done();
}
