// SPDX-License-Identifier: MIT
//
// Order, capacity, hand-off, closing and the table of channels. Users, release and handles are in
// test_release.c, deadlines in test_deadline.c.
#include "peek.h"

static atomic_int freed;

static void
count_free(void *unused)
{
    (void)unused;
    atomic_fetch_add(&freed, 1);
}

static subi_channel *
new_channel(size_t capacity)
{
    subi_channel *c;
    must(subi_channel_new(capacity, &c) == SUBI_OK);
    return c;
}

static subi_result
try_send(subi_channel *c, int64_t value)
{
    subi_message m = subi_message_integer(value);
    subi_result r = subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY);
    must(r == SUBI_OK ? m.tag == SUBI_TAG_NONE : m.u.integer == value);
    return r;
}

// A message whose freeing is counted.
static subi_result
send_counted(subi_channel *c)
{
    subi_block *b = subi_block_new(4);
    must(b != NULL && subi_block_attach(b, (subi_segment){.free = count_free}) == SUBI_OK);
    subi_message m = subi_message_block(b);
    subi_result r = subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY);
    subi_message_fini(&m);
    return r;
}

static subi_result
try_recv(subi_channel *c, int64_t *value)
{
    subi_message m = subi_message_none();
    subi_result r = subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY);
    *value = r == SUBI_OK && m.tag == SUBI_TAG_INTEGER ? m.u.integer : -1;
    subi_message_fini(&m);
    return r;
}

// Sends and receives bursts of changing sizes, so that the ring wraps around at every offset.
static void
test_order(size_t capacity, const char *name)
{
    subi_channel *c = new_channel(capacity);
    int64_t sent = 0, received = 0, value;
    bool in_order = true;
    uint64_t random = tap_seed;
    for (int burst = 0; burst < 2000 / TAP_SLOW; burst++) {
        for (uint64_t n = tap_random(&random) % 40; n > 0 && try_send(c, sent) == SUBI_OK; n--) {
            sent++;
        }
        for (uint64_t n = tap_random(&random) % 40; n > 0 && try_recv(c, &value) == SUBI_OK; n--) {
            in_order = in_order && value == received++;
        }
        in_order = in_order && subi_channel_count(c) == (size_t)(sent - received);
    }
    while (try_recv(c, &value) == SUBI_OK) {
        in_order = in_order && value == received++;
    }
    ok(in_order && sent == received, "%s: first in, first out", name);
    subi_channel_drop(c);
}

static void
test_capacity(void)
{
    int64_t value;
    subi_channel *c = new_channel(3);
    ok(subi_channel_capacity(c) == 3 && try_recv(c, &value) == SUBI_EMPTY, "bounded: empty");
    bool room = try_send(c, 1) == SUBI_OK && try_send(c, 2) == SUBI_OK && try_send(c, 3) == SUBI_OK;
    ok(room && try_send(c, 4) == SUBI_FULL, "bounded: full after its capacity");
    ok(try_recv(c, &value) == SUBI_OK && value == 1 && try_send(c, 4) == SUBI_OK,
       "bounded: room again");
    subi_channel_drop(c);
    c = new_channel(SUBI_RENDEZVOUS);
    ok(try_send(c, 1) == SUBI_FULL && try_recv(c, &value) == SUBI_EMPTY,
       "rendezvous: nobody there");
    subi_channel_drop(c);
    c = new_channel(SUBI_UNBOUNDED);
    for (int i = 0; i < 5000; i++) {
        must(try_send(c, i) == SUBI_OK);
    }
    for (int i = 0; i < 5000; i++) {
        must(try_recv(c, &value) == SUBI_OK && value == i);
    }
    ok(c->ring.room <= 8, "unbounded: the memory of a burst is given back");
    subi_channel_drop(c);
}

// ---- hand-off to parked threads ----------------------------------------------------------------

typedef struct parked {
    subi_channel *channel;
    int64_t value;  // to send, or received
    bool in_front;  // whether it receives in front
    subi_result result;
    pthread_t thread;
} parked;

static void *
send_forever(void *arg)
{
    parked *p = arg;
    subi_message m = subi_message_integer(p->value);
    p->result = subi_channel_send(p->channel, SUBI_NOBODY, &m, SUBI_FOREVER);
    must(p->result == SUBI_OK ? m.tag == SUBI_TAG_NONE : m.u.integer == p->value);
    return NULL;
}

static void *
recv_forever(void *arg)
{
    parked *p = arg;
    subi_message m = subi_message_none();
    p->result = (p->in_front ? subi_channel_recv_in_front
                             : subi_channel_recv)(p->channel, SUBI_NOBODY, &m, SUBI_FOREVER);
    p->value = m.tag == SUBI_TAG_INTEGER ? m.u.integer : -1;
    subi_message_fini(&m);
    return NULL;
}

// Starts n threads, each only when the one before it is parked: their order is known.
static void
park(parked *p, int n, subi_channel *c, subi_end end)
{
    for (int i = 0; i < n; i++) {
        p[i] = (parked){.channel = c, .value = 100 + i};
        p[i].thread = tap_thread(end == SUBI_SEND ? send_forever : recv_forever, &p[i]);
        await_waiting(c, end, (size_t)i + 1);
    }
}

static bool
join_all(parked *p, int n, subi_result result)
{
    bool all = true;
    for (int i = 0; i < n; i++) {
        tap_join(p[i].thread);
        all = all && p[i].result == result;
    }
    return all;
}

static void
test_parked_receivers(size_t capacity, const char *name)
{
    parked p[3];
    subi_channel *c = new_channel(capacity);
    park(p, 3, c, SUBI_RECV);
    for (int i = 0; i < 3; i++) {
        must(try_send(c, 7 + i) == SUBI_OK);
    }
    ok(subi_channel_count(c) == 0, "%s: with receivers parked nothing is queued", name);
    ok(join_all(p, 3, SUBI_OK) && p[0].value == 7 && p[1].value == 8 && p[2].value == 9,
       "%s: parked receivers are served in the order they came", name);
    subi_channel_drop(c);
}

static void
test_receiver_in_front(void)
{
    parked p[4];
    int64_t value;
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    subi_message m;
    park(p, 2, c, SUBI_RECV);
    for (int i = 2; i < 4; i++) {
        p[i] = (parked){.channel = c, .in_front = true};
        p[i].thread = tap_thread(recv_forever, &p[i]);
        await_waiting(c, SUBI_RECV, (size_t)i + 1);
    }
    for (int i = 0; i < 4; i++) {
        must(try_send(c, i) == SUBI_OK);
    }
    ok(join_all(p, 4, SUBI_OK) && p[3].value == 0 && p[2].value == 1 && p[0].value == 2 &&
           p[1].value == 3,
       "who receives in front is served before those that wait, the last one first");
    must(try_send(c, 5) == SUBI_OK);
    ok(subi_channel_recv_in_front(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK && m.u.integer == 5 &&
           subi_channel_recv_in_front(c, SUBI_NOBODY, &m, subi_deadline(0.001)) == SUBI_TIMEOUT,
       "it takes what is there, and has a deadline");
    must(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK && try_recv(c, &value) == SUBI_CLOSED);
    ok(subi_channel_recv_in_front(c, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_CLOSED,
       "of a closed channel it says so");
    subi_channel_drop(c);
}

static void
test_parked_senders(size_t capacity, const char *name)
{
    parked p[3];
    int64_t value;
    subi_channel *c = new_channel(capacity);
    for (size_t i = 0; i < capacity; i++) {
        must(try_send(c, (int64_t)i) == SUBI_OK);
    }
    park(p, 3, c, SUBI_SEND);
    ok(try_send(c, 55) == SUBI_FULL, "%s: nobody overtakes a parked sender", name);
    bool in_order = true;
    for (size_t i = 0; i < capacity + 3; i++) {
        must(try_recv(c, &value) == SUBI_OK);
        in_order = in_order && value == (i < capacity ? (int64_t)i : 100 + (int64_t)(i - capacity));
    }
    ok(in_order && join_all(p, 3, SUBI_OK), "%s: parked senders are admitted in order", name);
    subi_channel_drop(c);
}

// ---- closing -----------------------------------------------------------------------------------

static void
test_close_send_drains(void)
{
    int64_t value;
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    try_send(c, 1);
    try_send(c, 2);
    ok(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK, "closing the sending end");
    ok(try_send(c, 3) == SUBI_CLOSED, "no more sends");
    ok(subi_channel_is_closed(c, SUBI_SEND) && !subi_channel_is_closed(c, SUBI_RECV),
       "half closed");
    ok(subi_channel_close(c, SUBI_SEND, false) == SUBI_CLOSED, "closed twice");
    ok(subi_channel_close(c, SUBI_BOTH, false) == SUBI_NOT_EMPTY, "the rest is protected");
    ok(try_recv(c, &value) == SUBI_OK && value == 1, "the rest drains");
    ok(try_recv(c, &value) == SUBI_OK && value == 2, "to its end");
    ok(subi_channel_is_closed(c, SUBI_RECV), "a drained channel is closed at both ends");
    ok(try_recv(c, &value) == SUBI_CLOSED, "and then receives say so");
    ok(subi_channel_close(c, SUBI_BOTH, true) == SUBI_CLOSED, "nothing is left to close");
    subi_channel_drop(c);
}

static void
test_close_recv(void)
{
    int64_t value;
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    atomic_store(&freed, 0);
    must(send_counted(c) == SUBI_OK && send_counted(c) == SUBI_OK);
    ok(subi_channel_close(c, SUBI_RECV, false) == SUBI_NOT_EMPTY && subi_channel_count(c) == 2,
       "closing the receiving end of a filled channel fails");
    ok(try_send(c, 5) == SUBI_OK, "and changes nothing");
    ok(subi_channel_close(c, SUBI_RECV, true) == SUBI_OK && atomic_load(&freed) == 2,
       "with discard the messages are freed, once");
    ok(try_send(c, 1) == SUBI_CLOSED && try_recv(c, &value) == SUBI_CLOSED, "both ends are closed");
    ok(send_counted(c) == SUBI_CLOSED && atomic_load(&freed) == 3, "a refused message stays ours");
    subi_channel_drop(c);
    c = new_channel(2);
    ok(subi_channel_close(c, SUBI_BOTH, false) == SUBI_OK, "an empty channel closes");
    ok(subi_channel_is_closed(c, SUBI_SEND) && subi_channel_is_closed(c, SUBI_RECV),
       "at both ends");
    subi_channel_drop(c);
}

static void
test_close_wakes(void)
{
    parked p[3];
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    park(p, 3, c, SUBI_RECV);
    ok(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK && join_all(p, 3, SUBI_CLOSED),
       "closing the sending end ends parked receivers");
    subi_channel_drop(c);
    c = new_channel(SUBI_RENDEZVOUS);
    park(p, 3, c, SUBI_SEND);
    ok(subi_channel_close(c, SUBI_BOTH, false) == SUBI_OK && join_all(p, 3, SUBI_CLOSED),
       "closing ends parked senders; their messages stay theirs");
    subi_channel_drop(c);
    c = new_channel(1);
    try_send(c, 1);
    park(p, 3, c, SUBI_SEND);
    ok(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK && join_all(p, 3, SUBI_CLOSED) &&
           subi_channel_count(c) == 1,
       "the queued message outlives its parked successors");
    subi_channel_drop(c);
}

// ---- putting back ------------------------------------------------------------------------------

static subi_result
put_back(subi_channel *c, int64_t value)
{
    subi_message m = subi_message_integer(value);
    subi_result r = subi_channel_put_back(c, &m);
    must(r == SUBI_OK ? m.tag == SUBI_TAG_NONE : m.u.integer == value);
    return r;
}

// Takes a message out and puts it back, at every offset of the ring.
static bool
take_and_put_back(subi_channel *c, int64_t first, int64_t last)
{
    int64_t value;
    for (int64_t i = first; i <= last; i++) {
        must(try_recv(c, &value) == SUBI_OK);
        if (value != i || put_back(c, value) != SUBI_OK || try_recv(c, &value) != SUBI_OK ||
            value != i) {
            return false;
        }
    }
    return true;
}

static void
test_put_back(void)
{
    int64_t value;
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    bool in_order = true;
    for (int64_t i = 0; i < 100; i++) {
        for (int64_t k = 0; k <= i; k++) {
            must(try_send(c, k) == SUBI_OK);
        }
        in_order = in_order && take_and_put_back(c, 0, i) && subi_channel_count(c) == 0;
    }
    ok(in_order, "what is put back is the first again");
    subi_channel_drop(c);

    c = new_channel(1);
    must(try_send(c, 1) == SUBI_OK && try_recv(c, &value) == SUBI_OK && try_send(c, 2) == SUBI_OK);
    ok(put_back(c, 1) == SUBI_OK && subi_channel_count(c) == 2 && try_send(c, 3) == SUBI_FULL,
       "also above the capacity");
    ok(try_recv(c, &value) == SUBI_OK && value == 1 && try_send(c, 3) == SUBI_FULL,
       "where no room comes of it");
    ok(try_recv(c, &value) == SUBI_OK && value == 2 && try_send(c, 3) == SUBI_OK,
       "until there is less");
    subi_channel_drop(c);
}

static void
test_put_back_for_others(void)
{
    parked p[2];
    int64_t value;
    subi_channel *c = new_channel(1);
    must(try_send(c, 1) == SUBI_OK);
    park(p, 1, c, SUBI_SEND);
    must(try_recv(c, &value) == SUBI_OK && join_all(p, 1, SUBI_OK));
    ok(put_back(c, 1) == SUBI_OK && take_and_put_back(c, 1, 1), "before what a parked sender had");
    ok(try_recv(c, &value) == SUBI_OK && value == 100, "which comes next");
    must(try_send(c, 1) == SUBI_OK && try_recv(c, &value) == SUBI_OK);
    park(p, 2, c, SUBI_RECV);
    ok(put_back(c, 1) == SUBI_OK && subi_channel_count(c) == 0, "a parked receiver gets it");
    must(try_send(c, 2) == SUBI_OK);
    ok(join_all(p, 2, SUBI_OK) && p[0].value == 1 && p[1].value == 2, "the first one");
    subi_channel_drop(c);
    c = new_channel(SUBI_RENDEZVOUS);
    park(p, 1, c, SUBI_SEND);
    must(try_recv(c, &value) == SUBI_OK && join_all(p, 1, SUBI_OK));
    ok(put_back(c, value) == SUBI_OK && try_send(c, 2) == SUBI_FULL &&
           try_recv(c, &value) == SUBI_OK && value == 100,
       "rendezvous: it stays where it is");
    subi_channel_drop(c);
}

static void
test_put_back_and_close(void)
{
    parked p[2];
    int64_t value;
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    must(try_send(c, 1) == SUBI_OK && subi_channel_close(c, SUBI_SEND, false) == SUBI_OK);
    must(try_recv(c, &value) == SUBI_OK && subi_channel_is_closed(c, SUBI_RECV));
    ok(put_back(c, 1) == SUBI_OK && !subi_channel_is_closed(c, SUBI_RECV) &&
           subi_channel_is_closed(c, SUBI_SEND),
       "a channel that was drained is open again at one end");
    ok(subi_channel_close(c, SUBI_SEND, false) == SUBI_CLOSED && try_send(c, 2) == SUBI_CLOSED &&
           subi_channel_close(c, SUBI_RECV, false) == SUBI_NOT_EMPTY,
       "and nothing else has changed");
    ok(try_recv(c, &value) == SUBI_OK && value == 1 && subi_channel_is_closed(c, SUBI_RECV),
       "until it is drained");
    ok(subi_channel_close(c, SUBI_RECV, false) == SUBI_CLOSED && put_back(c, 1) == SUBI_CLOSED,
       "closing the receiving end is for what might come back, too");
    subi_channel_drop(c);
    c = new_channel(SUBI_UNBOUNDED);
    must(try_send(c, 1) == SUBI_OK && try_recv(c, &value) == SUBI_OK);
    park(p, 2, c, SUBI_RECV);
    must(subi_channel_close(c, SUBI_BOTH, false) == SUBI_OK && join_all(p, 2, SUBI_CLOSED));
    ok(put_back(c, 1) == SUBI_CLOSED, "one that was closed stays so");
    subi_channel_drop(c);
    atomic_store(&freed, 0);
    c = new_channel(SUBI_UNBOUNDED);
    subi_message m;
    must(send_counted(c) == SUBI_OK && subi_channel_recv(c, 1, &m, SUBI_TRY) == SUBI_OK);
    ok(subi_channel_put_back(c, &m) == SUBI_OK && atomic_load(&freed) == 0,
       "a message with memory");
    subi_channel_drop(c);
    ok(atomic_load(&freed) == 1, "is freed with the channel, once");
}

// ---- the table ---------------------------------------------------------------------------------

static void
test_table(void)
{
    int64_t *ids, value;
    size_t count;
    subi_channel *a = new_channel(1), *b = new_channel(1);
    int64_t id = subi_channel_id(a);
    ok(subi_channel_id(b) == id + 1, "ids count up");
    ok(subi_channel_list(&ids, &count) == SUBI_OK && count == 2 && ids[0] == id && ids[1] == id + 1,
       "the list has both, ascending");
    free(ids);
    subi_channel *found = subi_channel_lookup(id);
    ok(found == a && subi_channel_listed(a), "an id finds its channel");
    subi_channel_drop(found);
    atomic_store(&freed, 0);
    must(send_counted(a) == SUBI_OK);
    ok(subi_channel_unlist(a) == SUBI_OK && !subi_channel_listed(a), "a channel can be unlisted");
    ok(subi_channel_unlist(a) == SUBI_NOT_FOUND, "once");
    ok(subi_channel_lookup(id) == NULL, "then its id finds nothing");
    ok(try_recv(a, &value) == SUBI_CLOSED && atomic_load(&freed) == 1, "and it is closed");
    subi_channel_drop(a);
    must(send_counted(b) == SUBI_OK);
    subi_channel_drop(b);
    ok(atomic_load(&freed) == 2, "the last drop frees what is queued");
    ok(subi_channel_lookup(id + 1) == NULL && subi_channel_lookup(-1) == NULL &&
           subi_channel_lookup(INT64_MAX) == NULL,
       "stale and impossible ids find nothing");
    a = new_channel(1);
    ok(subi_channel_id(a) == id + 2, "ids are not used again");
    subi_channel_drop(a);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_order(SUBI_UNBOUNDED, "unbounded");
    test_order(1, "capacity 1");
    test_order(13, "capacity 13");
    test_capacity();
    test_parked_receivers(SUBI_UNBOUNDED, "unbounded");
    test_parked_receivers(2, "bounded");
    test_parked_receivers(SUBI_RENDEZVOUS, "rendezvous");
    test_receiver_in_front();
    test_parked_senders(2, "bounded");
    test_parked_senders(SUBI_RENDEZVOUS, "rendezvous");
    test_close_send_drains();
    test_close_recv();
    test_close_wakes();
    test_put_back();
    test_put_back_for_others();
    test_put_back_and_close();
    test_table();
    return tap_done();
}
