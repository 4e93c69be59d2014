// SPDX-License-Identifier: MIT
//
// Who uses a channel: association, release and counted handles.
#include "tap.h"

static subi_channel *
new_channel(size_t capacity)
{
    subi_channel *c;
    must(subi_channel_new(capacity, &c) == SUBI_OK);
    return c;
}

static subi_result
send_as(subi_channel *c, int64_t interp)
{
    subi_message m = subi_message_integer(interp);
    return subi_channel_send(c, interp, &m, SUBI_TRY);
}

static subi_result
recv_as(subi_channel *c, int64_t interp)
{
    subi_message m = subi_message_none();
    return subi_channel_recv(c, interp, &m, SUBI_TRY);
}

// Whether the users of that end are exactly `want`, in that order.
static bool
users_are(subi_channel *c, subi_end end, size_t n, const int64_t *want)
{
    int64_t *ids;
    size_t count;
    must(subi_channel_users(c, end, &ids, &count) == SUBI_OK);
    bool same = count == n;
    for (size_t i = 0; i < n && same; i++) {
        same = ids[i] == want[i];
    }
    free(ids);
    return same;
}

static void
test_users(void)
{
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    ok(users_are(c, SUBI_SEND, 0, NULL), "a new channel has no users");
    for (int64_t i = 1; i <= 5; i++) {
        must(send_as(c, i) == SUBI_OK && send_as(c, i) == SUBI_OK);
    }
    must(recv_as(c, 3) == SUBI_OK && send_as(c, SUBI_NOBODY) == SUBI_OK);
    ok(users_are(c, SUBI_SEND, 5, (int64_t[]){1, 2, 3, 4, 5}), "each sender is a user, once");
    ok(users_are(c, SUBI_RECV, 1, (int64_t[]){3}), "the receiver is one of the other end");
    subi_channel_release(c, 2, SUBI_SEND);
    ok(users_are(c, SUBI_SEND, 4, (int64_t[]){1, 3, 4, 5}), "until it releases the end");
    must(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK);
    int64_t *ids;
    size_t count;
    ok(subi_channel_users(c, SUBI_SEND, &ids, &count) == SUBI_CLOSED, "a closed end has no list");
    ok(users_are(c, SUBI_RECV, 1, (int64_t[]){3}), "the end that still drains has");
    subi_channel_drop(c);
}

static void
test_release(void)
{
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    must(send_as(c, 1) == SUBI_OK && send_as(c, 2) == SUBI_OK);
    ok(subi_channel_release(c, 1, SUBI_SEND) == SUBI_OK, "an interpreter releases its end");
    ok(send_as(c, 1) == SUBI_CLOSED, "and cannot use it any more");
    ok(recv_as(c, 1) == SUBI_OK, "but the other end it can");
    ok(send_as(c, 2) == SUBI_OK, "and others can use both");
    ok(subi_channel_release(c, 1, SUBI_RECV) == SUBI_OK && recv_as(c, 1) == SUBI_CLOSED,
       "it releases the other end");
    ok(!subi_channel_is_closed(c, SUBI_SEND), "2 still keeps the channel open");
    ok(subi_channel_release(c, 2, SUBI_BOTH) == SUBI_OK, "until it releases too");
    ok(subi_channel_is_closed(c, SUBI_SEND) && subi_channel_is_closed(c, SUBI_RECV) &&
           subi_channel_count(c) == 0,
       "then the channel is closed, with what was queued");
    ok(subi_channel_release(c, 2, SUBI_BOTH) == SUBI_CLOSED, "nothing is left to release");
    ok(send_as(c, SUBI_NOBODY) == SUBI_CLOSED, "nobody can send");
    subi_channel_drop(c);
    c = new_channel(1);
    ok(subi_channel_release(c, 9, SUBI_RECV) == SUBI_OK && subi_channel_is_closed(c, SUBI_SEND),
       "released by its only user before any use, the channel closes");
    subi_channel_drop(c);
}

static void
test_handles(void)
{
    subi_channel *c = new_channel(SUBI_UNBOUNDED);
    subi_channel_hold_end(c, SUBI_SEND);
    subi_channel_hold_end(c, SUBI_SEND);
    subi_channel_hold_end(c, SUBI_RECV);
    must(send_as(c, 1) == SUBI_OK && send_as(c, 1) == SUBI_OK);
    subi_channel_drop_end(c, SUBI_SEND);
    ok(send_as(c, 1) == SUBI_OK, "one handle of two gone: the end stays open");
    subi_channel_drop_end(c, SUBI_SEND);
    ok(send_as(c, 1) == SUBI_CLOSED && subi_channel_count(c) == 3, "the last one closes the end");
    ok(recv_as(c, 1) == SUBI_OK, "what is queued drains");
    subi_channel_drop_end(c, SUBI_RECV);
    ok(recv_as(c, 1) == SUBI_CLOSED && subi_channel_count(c) == 0,
       "the last receiving handle throws the rest away");
    int64_t id = subi_channel_id(c);
    subi_channel_drop(c);
    ok(subi_channel_lookup(id) == NULL, "handles count as references, and no more");
    c = new_channel(1);
    subi_channel_hold_end(c, SUBI_RECV);
    subi_channel_drop(c);
    must(send_as(c, 1) == SUBI_OK);
    subi_channel_drop_end(c, SUBI_RECV);
    ok(true, "a handle can be the last reference");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_users();
    test_release();
    test_handles();
    return tap_done();
}
