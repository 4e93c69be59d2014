// SPDX-License-Identifier: MIT
//
// Waiters of event loops: each is told in its turn, among blocked threads; what was reserved for one that
// gives up goes to the next.
#include <poll.h>
#include <sys/wait.h>

#include "peek.h"

static subi_notifier *notifier;

// One operation of the event loop that this program is.
typedef struct operation {
    subi_message message;
    subi_case k;
    subi_waiter *waiter;
    size_t chosen;
} operation;

static operation
begin(subi_channel *c, subi_end end, int64_t value)
{
    operation o = {.k = {.channel = c, .end = end}};
    o.message = end == SUBI_SEND ? subi_message_integer(value) : subi_message_none();
    return o;
}

// The first try; o stays where it is.
static subi_result
first_try(operation *o)
{
    o->k.message = &o->message;
    must(subi_waiter_new(notifier, &o->k, 1, SUBI_NOBODY, o, &o->waiter) == SUBI_OK);
    return subi_waiter_try(o->waiter, &o->chosen);
}

static subi_result
again(operation *o)
{
    return subi_waiter_try(o->waiter, &o->chosen);
}

static void
end(operation *o)
{
    subi_waiter_free(o->waiter);
    subi_message_fini(&o->message);
}

static bool
is_signalled(int64_t timeout)
{
    struct pollfd p = {.fd = subi_notifier_fd(notifier), .events = POLLIN};
    return poll(&p, 1, (int)(timeout / MS)) == 1;
}

// The next that was told; waits for it.
static operation *
next_told(void)
{
    operation *o = subi_notifier_next(notifier);
    while (o == NULL) {
        must(is_signalled(PATIENCE));
        subi_notifier_clear(notifier);
        o = subi_notifier_next(notifier);
    }
    return o;
}

static bool
nobody_told(void)
{
    subi_notifier_clear(notifier);
    return subi_notifier_next(notifier) == NULL;
}

static subi_channel *
channel(size_t capacity)
{
    subi_channel *c;
    must(subi_channel_new(capacity, &c) == SUBI_OK);
    return c;
}

static subi_result
put(subi_channel *c, int64_t value)
{
    subi_message m = subi_message_integer(value);
    return subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY);
}

// -1: nothing, -2: closed.
static int64_t
take(subi_channel *c)
{
    subi_message m = subi_message_none();
    subi_result r = subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY);
    return r == SUBI_OK ? m.u.integer : r == SUBI_EMPTY ? -1 : -2;
}

static void
done(subi_channel *c)
{
    must(peek_waiting(c, SUBI_SEND) == 0 && peek_waiting(c, SUBI_RECV) == 0);
    must(c->promised == 0 && c->granted == 0);
    must(nobody_told());
    subi_channel_drop(c);
}

// ---- blocked threads ---------------------------------------------------------------------------

typedef struct blocked {
    pthread_t thread;
    subi_channel *channel;
    subi_end end;
    subi_message message;
    subi_result result;
} blocked;

static void *
block(void *arg)
{
    blocked *b = arg;
    b->result = b->end == SUBI_SEND
                    ? subi_channel_send(b->channel, SUBI_NOBODY, &b->message, SUBI_FOREVER)
                    : subi_channel_recv(b->channel, SUBI_NOBODY, &b->message, SUBI_FOREVER);
    return NULL;
}

// Returns when it is in the wait list.
static void
start(blocked *b, subi_channel *c, subi_end which, int64_t value)
{
    size_t before = peek_waiting(c, which);
    *b = (blocked){.channel = c, .end = which, .message = subi_message_integer(value)};
    b->thread = tap_thread(block, b);
    await_waiting(c, which, before + 1);
}

static subi_result
join(blocked *b)
{
    tap_join(b->thread);
    return b->result;
}

// ---- tests ------------------------------------------------------------------------------------

static void
test_at_once(void)
{
    subi_channel *c = channel(1);
    operation send = begin(c, SUBI_SEND, 5), recv = begin(c, SUBI_RECV, 0);
    ok(first_try(&send) == SUBI_OK && send.message.tag == SUBI_TAG_NONE, "a send at once");
    ok(first_try(&recv) == SUBI_OK && recv.message.u.integer == 5, "a receive at once");
    ok(nobody_told() && !is_signalled(0), "nobody is told");
    end(&send);
    end(&recv);
    done(c);
}

static void
test_told(size_t capacity, const char *name)
{
    subi_channel *c = channel(capacity);
    operation recv = begin(c, SUBI_RECV, 0);
    must(first_try(&recv) == SUBI_EMPTY);
    ok(again(&recv) == SUBI_EMPTY && peek_waiting(c, SUBI_RECV) == 1,
       "%s: a try before it is told changes nothing", name);
    ok(!is_signalled(0) && put(c, 7) == SUBI_OK && is_signalled(0), "%s: a send signals", name);
    ok(take(c) == -1, "%s: the message is reserved", name);
    ok(next_told() == &recv && nobody_told() && !is_signalled(0), "%s: told once", name);
    ok(again(&recv) == SUBI_OK && recv.message.u.integer == 7, "%s: it is there", name);
    end(&recv);
    done(c);
}

static void
test_told_of_room(void)
{
    subi_channel *c = channel(1);
    operation send = begin(c, SUBI_SEND, 2);
    must(put(c, 1) == SUBI_OK && first_try(&send) == SUBI_EMPTY);
    must(take(c) == 1);
    ok(next_told() == &send, "a sender is told of room");
    ok(put(c, 9) == SUBI_FULL && take(c) == -1, "which is reserved");
    ok(again(&send) == SUBI_OK && take(c) == 2, "and used");
    end(&send);
    done(c);
}

// Threads and operations wait in one list, and are served in the order in which they came.
static void
test_order_of_receivers(size_t capacity, const char *name)
{
    subi_channel *c = channel(capacity);
    operation a = begin(c, SUBI_RECV, 0), b = begin(c, SUBI_RECV, 0);
    blocked t, u;
    must(first_try(&a) == SUBI_EMPTY);
    start(&t, c, SUBI_RECV, 0);
    must(first_try(&b) == SUBI_EMPTY);
    start(&u, c, SUBI_RECV, 0);
    for (int64_t i = 0; i < 4; i++) {
        must(put(c, i) == SUBI_OK);
    }
    ok(put(c, 4) == (capacity == 0 ? SUBI_FULL : SUBI_OK), "%s: four waited", name);
    ok(join(&t) == SUBI_OK && t.message.u.integer == 1, "%s: the second was a thread", name);
    ok(join(&u) == SUBI_OK && u.message.u.integer == 3, "%s: so was the fourth", name);
    ok(next_told() == &a && next_told() == &b, "%s: the others are told in their order", name);
    must(again(&a) == SUBI_OK && again(&b) == SUBI_OK);
    ok(a.message.u.integer == 0 && b.message.u.integer == 2, "%s: and get theirs", name);
    must(capacity == 0 || take(c) == 4);
    end(&a);
    end(&b);
    done(c);
}

static void
test_order_of_senders(void)
{
    subi_channel *c = channel(1);
    operation a = begin(c, SUBI_SEND, 1), b = begin(c, SUBI_SEND, 3);
    blocked t;
    must(put(c, 0) == SUBI_OK && first_try(&a) == SUBI_EMPTY);
    start(&t, c, SUBI_SEND, 2);
    must(first_try(&b) == SUBI_EMPTY);
    must(take(c) == 0 && next_told() == &a && again(&a) == SUBI_OK);
    must(take(c) == 1 && join(&t) == SUBI_OK && nobody_told());
    must(take(c) == 2 && next_told() == &b && again(&b) == SUBI_OK);
    ok(take(c) == 3, "senders, too, are served in their order");
    end(&a);
    end(&b);
    done(c);
}

static void
test_rendezvous(void)
{
    subi_channel *c = channel(SUBI_RENDEZVOUS);
    operation send = begin(c, SUBI_SEND, 1), recv = begin(c, SUBI_RECV, 0);
    blocked t;

    start(&t, c, SUBI_SEND, 5);
    ok(first_try(&recv) == SUBI_OK && recv.message.u.integer == 5 && join(&t) == SUBI_OK,
       "rendezvous: a blocked sender, then an event loop");
    end(&recv);

    must(first_try(&send) == SUBI_EMPTY);
    ok(take(c) == -1 && nobody_told(), "a receiver that does not wait is none");
    start(&t, c, SUBI_RECV, 0);
    ok(next_told() == &send && again(&send) == SUBI_OK && join(&t) == SUBI_OK &&
           t.message.u.integer == 1,
       "a sending event loop, then a blocked receiver");
    end(&send);

    send = begin(c, SUBI_SEND, 2);
    recv = begin(c, SUBI_RECV, 0);
    must(first_try(&send) == SUBI_EMPTY && first_try(&recv) == SUBI_EMPTY);
    must(next_told() == &send && again(&send) == SUBI_OK);
    ok(next_told() == &recv && again(&recv) == SUBI_OK && recv.message.u.integer == 2,
       "two event loops, the sender first");
    end(&send);
    end(&recv);

    send = begin(c, SUBI_SEND, 3);
    recv = begin(c, SUBI_RECV, 0);
    must(first_try(&recv) == SUBI_EMPTY && first_try(&send) == SUBI_OK);
    ok(next_told() == &recv && again(&recv) == SUBI_OK && recv.message.u.integer == 3,
       "two event loops, the receiver first");
    end(&send);
    end(&recv);
    done(c);
}

// The receiver that a sender was told of goes away.
static void
test_rendezvous_in_vain(void)
{
    subi_channel *c = channel(SUBI_RENDEZVOUS);
    operation a = begin(c, SUBI_SEND, 1), b = begin(c, SUBI_SEND, 2);
    operation recv = begin(c, SUBI_RECV, 0);
    must(first_try(&a) == SUBI_EMPTY && first_try(&b) == SUBI_EMPTY);
    subi_message m;
    must(subi_channel_recv(c, SUBI_NOBODY, &m, subi_now() + MS) == SUBI_TIMEOUT);
    ok(next_told() == &a && nobody_told(), "rendezvous: one receiver, one sender is told");
    ok(again(&a) == SUBI_EMPTY, "in vain, when the receiver has gone");
    must(first_try(&recv) == SUBI_EMPTY);
    ok(next_told() == &a, "it keeps its place");
    end(&a);
    ok(next_told() == &b && again(&b) == SUBI_OK,
       "one that gives up leaves the receiver to the next");
    ok(next_told() == &recv && again(&recv) == SUBI_OK && recv.message.u.integer == 2,
       "which serves it");
    end(&b);
    end(&recv);

    blocked t, u;
    a = begin(c, SUBI_SEND, 1);
    must(first_try(&a) == SUBI_EMPTY);
    start(&t, c, SUBI_SEND, 2);
    start(&u, c, SUBI_RECV, 0);
    must(next_told() == &a);
    end(&a);
    ok(join(&t) == SUBI_OK && join(&u) == SUBI_OK && u.message.u.integer == 2,
       "so it does to a blocked one");
    done(c);
}

static void
test_giving_up(size_t capacity, const char *name)
{
    subi_channel *c = channel(capacity);
    operation a = begin(c, SUBI_RECV, 0), b = begin(c, SUBI_RECV, 0);
    blocked t;
    must(first_try(&a) == SUBI_EMPTY);
    end(&a);
    ok(peek_waiting(c, SUBI_RECV) == 0, "%s: giving up unlinks", name);

    a = begin(c, SUBI_RECV, 0);
    must(first_try(&a) == SUBI_EMPTY && first_try(&b) == SUBI_EMPTY);
    start(&t, c, SUBI_RECV, 0);
    must(put(c, 1) == SUBI_OK);
    end(&a);  // it has been told, and is in the notifier's list
    ok(next_told() == &b && nobody_told(), "%s: the message goes to the next", name);
    end(&b);
    ok(join(&t) == SUBI_OK && t.message.u.integer == 1, "%s: or to a thread", name);

    a = begin(c, SUBI_RECV, 0);
    must(first_try(&a) == SUBI_EMPTY && put(c, 2) == SUBI_OK && next_told() == &a);
    end(&a);
    ok(subi_channel_count(c) == 1 && take(c) == 2, "%s: or stays in the channel", name);
    done(c);
}

static void
test_giving_up_to_send(void)
{
    subi_channel *c = channel(1);
    operation a = begin(c, SUBI_SEND, 1), b = begin(c, SUBI_SEND, 2);
    blocked t;
    must(put(c, 0) == SUBI_OK && first_try(&a) == SUBI_EMPTY && first_try(&b) == SUBI_EMPTY);
    start(&t, c, SUBI_SEND, 3);
    must(take(c) == 0 && next_told() == &a);
    end(&a);
    ok(next_told() == &b, "the room goes to the next");
    end(&b);
    ok(join(&t) == SUBI_OK && take(c) == 3, "or to a thread");
    done(c);
}

static void
test_closing(void)
{
    subi_channel *c = channel(1);
    operation recv = begin(c, SUBI_RECV, 0), other = begin(c, SUBI_RECV, 0);
    blocked t;
    must(first_try(&recv) == SUBI_EMPTY && first_try(&other) == SUBI_EMPTY);
    start(&t, c, SUBI_RECV, 0);
    must(put(c, 1) == SUBI_OK && subi_channel_close(c, SUBI_SEND, false) == SUBI_OK);
    ok(!subi_channel_is_closed(c, SUBI_RECV) && peek_waiting(c, SUBI_RECV) == 2,
       "while a message is reserved, others may still get it");
    must(next_told() == &recv);
    end(&recv);
    must(next_told() == &other && again(&other) == SUBI_OK && other.message.u.integer == 1);
    ok(join(&t) == SUBI_CLOSED && take(c) == -2, "when it is taken, they are told that it is over");
    end(&other);
    done(c);

    c = channel(1);
    recv = begin(c, SUBI_RECV, 0);
    other = begin(c, SUBI_RECV, 0);
    must(first_try(&recv) == SUBI_EMPTY && first_try(&other) == SUBI_EMPTY);
    must(put(c, 1) == SUBI_OK && subi_channel_close(c, SUBI_RECV, true) == SUBI_OK);
    must(next_told() == &recv && next_told() == &other);
    ok(again(&recv) == SUBI_CLOSED && again(&other) == SUBI_CLOSED,
       "closing for good throws away what is reserved");
    end(&recv);
    end(&other);
    done(c);

    c = channel(1);
    operation send = begin(c, SUBI_SEND, 2);
    must(put(c, 1) == SUBI_OK && first_try(&send) == SUBI_EMPTY && take(c) == 1);
    must(subi_channel_close(c, SUBI_SEND, false) == SUBI_OK && next_told() == &send);
    ok(again(&send) == SUBI_CLOSED && send.message.u.integer == 2 && take(c) == -2,
       "a sender keeps its message");
    end(&send);
    done(c);
}

static void
test_select(void)
{
    enum { N = 12 };
    subi_channel *c[N];
    subi_case cases[N];
    subi_message messages[N];
    subi_waiter *w;
    size_t chosen = 77;
    for (size_t i = 0; i < N; i++) {
        c[i] = channel(i % 2);
        bool send = i % 3 == 0;
        must(!send || i % 2 == 0 || put(c[i], -5) == SUBI_OK);
        messages[i] = send ? subi_message_integer((int64_t)i) : subi_message_none();
        cases[i] = (subi_case){c[i], send ? SUBI_SEND : SUBI_RECV, &messages[i]};
    }
    must(subi_waiter_new(notifier, cases, N, SUBI_NOBODY, &w, &w) == SUBI_OK);
    must(subi_waiter_try(w, &chosen) == SUBI_EMPTY && chosen == 77);
    must(put(c[5], 55) == SUBI_OK && put(c[7], 77) == SUBI_OK);
    must(next_told() == (void *)&w && nobody_told());
    ok(subi_waiter_try(w, &chosen) == SUBI_OK && chosen == 5 && messages[5].u.integer == 55,
       "of many cases the first that could go ahead is done");
    ok(take(c[7]) == 77, "and no other");
    must(subi_waiter_try(w, &chosen) == SUBI_EMPTY);
    must(take(c[3]) == -5);
    must(next_told() == (void *)&w);
    ok(subi_waiter_try(w, &chosen) == SUBI_OK && chosen == 3 && take(c[3]) == 3, "a send, too");
    must(put(c[3], -5) == SUBI_OK);
    messages[3] = subi_message_integer(3);
    must(subi_waiter_try(w, &chosen) == SUBI_EMPTY);
    must(subi_channel_close(c[8], SUBI_BOTH, true) == SUBI_OK && next_told() == (void *)&w);
    ok(subi_waiter_try(w, &chosen) == SUBI_CLOSED && chosen == 8, "a closed channel is ready");
    subi_waiter_free(w);
    must(take(c[3]) == -5 && take(c[9]) == -5);
    for (size_t i = 0; i < N; i++) {
        done(c[i]);
    }
}

// Each could be its own partner, but must not be.
static void
test_both_ends(void)
{
    subi_channel *c = channel(SUBI_RENDEZVOUS);
    subi_message in[2], out[2];
    subi_waiter *w[2];
    size_t chosen[2];
    for (int i = 0; i < 2; i++) {
        in[i] = subi_message_none();
        out[i] = subi_message_integer(i);
        subi_case cases[2] = {{c, SUBI_RECV, &in[i]}, {c, SUBI_SEND, &out[i]}};
        must(subi_waiter_new(notifier, cases, 2, SUBI_NOBODY, &w[i], &w[i]) == SUBI_OK);
    }
    must(subi_waiter_try(w[0], &chosen[0]) == SUBI_EMPTY);
    ok(nobody_told(), "a select does not meet itself");
    must(subi_waiter_try(w[1], &chosen[1]) == SUBI_OK && next_told() == (void *)&w[0]);
    must(subi_waiter_try(w[0], &chosen[0]) == SUBI_OK);
    ok(chosen[0] != chosen[1] && (chosen[0] == 0 ? in[0].u.integer == 1 : in[1].u.integer == 0),
       "but another one");
    subi_waiter_free(w[0]);
    subi_waiter_free(w[1]);
    done(c);
}

static void
test_closed_interpreter(void)
{
    subi_channel *c = channel(SUBI_UNBOUNDED);
    subi_notifier *mine = notifier;
    operation a = begin(c, SUBI_RECV, 0), b = begin(c, SUBI_RECV, 0), d = begin(c, SUBI_RECV, 0);
    must(subi_notifier_new(77, &notifier) == SUBI_OK);
    must(first_try(&a) == SUBI_EMPTY && first_try(&b) == SUBI_EMPTY && put(c, 1) == SUBI_OK);
    subi_notifiers_close(77);
    ok(peek_waiting(c, SUBI_RECV) == 0 && take(c) == 1,
       "the end of an interpreter unlinks its waiters and gives back what they had");
    ok(again(&a) == SUBI_CLOSED && first_try(&d) == SUBI_CLOSED, "they can wait no more");
    subi_notifiers_close(77);
    end(&a);
    end(&b);
    end(&d);
    subi_notifier_drop(notifier);
    notifier = mine;
    done(c);
}

static void
test_fork(void)
{
    subi_channel *c = channel(1);
    operation a = begin(c, SUBI_RECV, 0), b = begin(c, SUBI_RECV, 0);
    int status = -1;
    must(first_try(&a) == SUBI_EMPTY && first_try(&b) == SUBI_EMPTY && put(c, 1) == SUBI_OK);
    pid_t pid = fork();
    if (pid == 0) {
        bool good = subi_notifier_next(notifier) == NULL && again(&a) == SUBI_FORKED;
        end(&a);
        end(&b);
        subi_notifier_drop(notifier);
        good = good && subi_notifier_new(1, &notifier) == SUBI_OK;
        operation d = begin(channel(1), SUBI_RECV, 0);
        good = good && first_try(&d) == SUBI_EMPTY && put(d.k.channel, 3) == SUBI_OK;
        good = good && next_told() == &d && again(&d) == SUBI_OK;
        _exit(good ? 0 : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    ok(status == 0, "the child of a fork leaves the parent's alone");
    ok(next_told() == &a && again(&a) == SUBI_OK, "the parent goes on");
    end(&a);
    end(&b);
    done(c);
}

static void
test_shutdown(void)
{
    subi_channel *c = channel(1);
    operation a = begin(c, SUBI_RECV, 0);
    must(first_try(&a) == SUBI_EMPTY);
    subi_shutdown();
    ok(next_told() == &a && again(&a) == SUBI_CLOSED, "the end of the process tells everybody");
    end(&a);
    done(c);
}

static void
test_disturbed(void)
{
    must(nobody_told());
    subi_notifiers_disturb(77);
    ok(!is_signalled(0), "loops of another interpreter are disturbed");
    subi_notifiers_disturb(0);
    ok(is_signalled(0) && nobody_told() && !is_signalled(0), "a loop that comes back for nothing");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    must(subi_notifier_new(0, &notifier) == SUBI_OK);
    test_at_once();
    test_told(SUBI_UNBOUNDED, "unbounded");
    test_told(1, "bounded");
    test_told(SUBI_RENDEZVOUS, "rendezvous");
    test_told_of_room();
    test_order_of_receivers(SUBI_UNBOUNDED, "unbounded");
    test_order_of_receivers(1, "bounded");
    test_order_of_receivers(SUBI_RENDEZVOUS, "rendezvous");
    test_order_of_senders();
    test_rendezvous();
    test_rendezvous_in_vain();
    test_giving_up(SUBI_UNBOUNDED, "unbounded");
    test_giving_up(1, "bounded");
    test_giving_up(SUBI_RENDEZVOUS, "rendezvous");
    test_giving_up_to_send();
    test_closing();
    test_disturbed();
    test_select();
    test_both_ends();
    test_closed_interpreter();
    test_fork();
    test_shutdown();
    subi_notifier_drop(notifier);
    return tap_done();
}
