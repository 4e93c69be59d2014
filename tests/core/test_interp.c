// SPDX-License-Identifier: MIT
#include <string.h>

#include "peek.h"

static subi_interp *
new_interp(const char *name)
{
    subi_interp *i;
    must(subi_interp_new(SUBI_KIND_OWN, name, 0, &i) == SUBI_OK);
    return i;
}

static void
close_and_drop(subi_interp *i)
{
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

static void
test_main(void)
{
    subi_interp *m = subi_interp_main(), *again = subi_interp_main();
    ok(m == again && subi_interp_id(m) == 0, "the main interpreter has id 0");
    ok(subi_interp_kind(m) == SUBI_KIND_MAIN && subi_interp_owner(m) == SUBI_NOBODY,
       "and no owner");
    ok(subi_interp_state(m) == SUBI_STATE_RUNNING, "it is always running");
    ok(subi_interp_enter(m, SUBI_TRY) == SUBI_BUSY, "so nobody enters it");
    subi_interp_drop(m);
    subi_interp_drop(again);
}

static void
test_states(void)
{
    subi_interp *i = new_interp("worker");
    ok(strcmp(subi_interp_name(i), "worker") == 0 && subi_interp_owner(i) == 0 &&
           subi_interp_kind(i) == SUBI_KIND_OWN,
       "a record keeps what it was made with");
    ok(subi_interp_state(i) == SUBI_STATE_RUNNING, "a new one is running: it is being made");
    ok(subi_interp_enter(i, SUBI_TRY) == SUBI_BUSY, "nobody else can enter");
    ok(!subi_interp_leave(i) && subi_interp_state(i) == SUBI_STATE_IDLE, "then it is idle");
    ok(subi_interp_enter(i, SUBI_TRY) == SUBI_OK && subi_interp_enter(i, SUBI_TRY) == SUBI_BUSY,
       "one run at a time");
    ok(subi_interp_begin_close(i, SUBI_TRY) == SUBI_BUSY, "a running one does not close");
    ok(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_BUSY, "nor waits for its own thread's run");
    subi_interp_leave(i);
    ok(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK, "an idle one closes");
    ok(subi_interp_state(i) == SUBI_STATE_CLOSING && subi_interp_enter(i, SUBI_TRY) == SUBI_CLOSED,
       "closing");
    ok(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_CLOSED, "one closing at a time");
    subi_interp_end_close(i, false);
    ok(subi_interp_enter(i, SUBI_TRY) == SUBI_OK, "a failed closing gives it back");
    subi_interp_leave(i);
    must(subi_interp_begin_close(i, SUBI_FOREVER) == SUBI_OK);
    subi_interp_end_close(i, true);
    ok(subi_interp_state(i) == SUBI_STATE_CLOSED && subi_interp_enter(i, SUBI_TRY) == SUBI_CLOSED &&
           subi_interp_begin_close(i, SUBI_TRY) == SUBI_CLOSED,
       "closed is closed");
    subi_interp_drop(i);
    i = new_interp(NULL);
    ok(strcmp(subi_interp_name(i), "") == 0, "no name is the empty name");
    subi_interp_leave(i);
    close_and_drop(i);
}

static bool
list_has(int64_t id)
{
    int64_t *ids;
    size_t count;
    bool has = false, ascending = true;
    must(subi_interp_list(&ids, &count) == SUBI_OK);
    for (size_t k = 0; k < count; k++) {
        has = has || ids[k] == id;
        ascending = ascending && (k == 0 || ids[k - 1] < ids[k]);
    }
    free(ids);
    must(ascending);
    return has;
}

static void
test_finding(void)
{
    int native, data;
    subi_interp *i = new_interp("a"), *found;
    int64_t id = subi_interp_id(i);
    ok(subi_interp_find(NULL) == NULL, "no pointer finds nothing");
    ok(subi_interp_find(&native) == NULL, "nor does an unknown one");
    subi_interp_set_native(i, &native, &data);
    found = subi_interp_find(&native);
    ok(found == i && subi_interp_native(i) == &native && subi_interp_data(i) == &data,
       "by pointer");
    subi_interp_drop(found);
    found = subi_interp_lookup(id);
    ok(found == i && list_has(id) && list_has(0), "by id, and in the list");
    subi_interp_drop(found);
    subi_interp_leave(i);
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    ok(subi_interp_lookup(id) == NULL && !list_has(id), "not while it is closing");
    subi_interp_end_close(i, false);
    found = subi_interp_lookup(id);
    ok(found == i && list_has(id), "again when that failed");
    subi_interp_drop(found);
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    subi_interp_end_close(i, true);
    ok(subi_interp_lookup(id) == NULL && subi_interp_find(&native) == NULL && !list_has(id),
       "never when it is closed");
    subi_interp_drop(i);
    i = new_interp("b");
    ok(subi_interp_id(i) == id + 1, "ids are not used again");
    subi_interp_drop(i);
    ok(subi_interp_lookup(id + 1) == NULL, "the last drop takes a record out");
}

static void
test_users(void)
{
    subi_interp *i = new_interp("u");
    subi_interp_leave(i);
    subi_interp_hold_user(i);
    subi_interp_hold_user(i);
    ok(!subi_interp_drop_user(i) && subi_interp_drop_user(i),
       "the last user of an idle one closes");
    subi_interp_hold_user(i);
    must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
    ok(!subi_interp_drop_user(i), "while it runs the last user does not");
    ok(subi_interp_leave(i), "the end of the run does");
    must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
    ok(!subi_interp_leave(i), "and only that run");
    subi_interp_hold_user(i);
    must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK && !subi_interp_drop_user(i));
    subi_interp_hold_user(i);
    ok(!subi_interp_leave(i), "a user who comes in time keeps it open");
    must(subi_interp_drop_user(i));
    close_and_drop(i);
}

// ---- threads -----------------------------------------------------------------------------------

typedef struct closer {
    subi_interp *interp;
    int64_t deadline;
    subi_result result;
    atomic_bool started;
} closer;

static void *
begin_close(void *arg)
{
    closer *c = arg;
    atomic_store(&c->started, true);
    c->result = subi_interp_begin_close(c->interp, c->deadline);
    return NULL;
}

static void
test_close_waits(void)
{
    subi_interp *i = new_interp("w");
    closer c = {.interp = i, .deadline = subi_now() + 50 * MS};
    pthread_t t = tap_thread(begin_close, &c);
    tap_join(t);
    ok(c.result == SUBI_TIMEOUT && subi_now() >= c.deadline, "closing waits for a run, for 50 ms");
    ok(subi_interp_state(i) == SUBI_STATE_RUNNING, "and leaves it running");
    subi_interp_leave(i);
    bool all = true;
    for (int round = 0; round < 1000 / TAP_SLOW; round++) {
        must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
        closer w = {.interp = i, .deadline = SUBI_FOREVER};
        t = tap_thread(begin_close, &w);
        await(atomic_load(&w.started));
        for (int k = 0; k < round % 32; k++) {
            sched_yield();  // from "has not looked yet" to "is parked"
        }
        subi_interp_leave(i);
        tap_join(t);
        all = all && w.result == SUBI_OK;
        subi_interp_end_close(i, false);
    }
    ok(all, "the end of the run lets the closing begin, every time");
    close_and_drop(i);
}

typedef struct enterer {
    subi_interp *interp;
    int64_t deadline;
    subi_result result;
    atomic_bool started;
} enterer;

static void *
enter(void *arg)
{
    enterer *e = arg;
    atomic_store(&e->started, true);
    e->result = subi_interp_enter(e->interp, e->deadline);
    return NULL;
}

static void *
enter_and_leave(void *arg)
{
    enterer *e = arg;
    for (int round = 0; round < 500 / TAP_SLOW; round++) {
        must(subi_interp_enter(e->interp, SUBI_FOREVER) == SUBI_OK);
        must(!atomic_exchange(&e->started, true));
        must(atomic_exchange(&e->started, false));
        subi_interp_leave(e->interp);
    }
    return NULL;
}

static void
test_enter_waits(void)
{
    subi_interp *i = new_interp("e"), *m = subi_interp_main();
    subi_interp_leave(i);
    must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
    ok(subi_interp_enter(i, SUBI_FOREVER) == SUBI_BUSY, "nobody waits for a run of its own");
    ok(subi_interp_enter(m, SUBI_FOREVER) == SUBI_BUSY, "nor for the main interpreter");
    subi_interp_drop(m);
    enterer e = {.interp = i, .deadline = subi_now() + 50 * MS};
    pthread_t t = tap_thread(enter, &e);
    tap_join(t);
    ok(e.result == SUBI_TIMEOUT && subi_now() >= e.deadline, "entering waits for a run, for 50 ms");
    e = (enterer){.interp = i, .deadline = 1};
    t = tap_thread(enter, &e);
    tap_join(t);
    ok(e.result == SUBI_TIMEOUT, "and not at all when the deadline is long past");
    subi_interp_leave(i);
    ok(subi_interp_enter(i, 1) == SUBI_OK, "but then it enters an idle one");
    bool all = true;
    for (int round = 0; round < 1000 / TAP_SLOW; round++) {
        enterer w = {.interp = i, .deadline = SUBI_FOREVER};
        t = tap_thread(enter, &w);
        await(atomic_load(&w.started));
        for (int k = 0; k < round % 32; k++) {
            sched_yield();
        }
        subi_interp_leave(i);
        tap_join(t);
        all = all && w.result == SUBI_OK && subi_interp_state(i) == SUBI_STATE_RUNNING;
        subi_interp_leave(i);  // in the place of that thread
        must(subi_interp_enter(i, SUBI_TRY) == SUBI_OK);
    }
    ok(all, "the end of the run lets the next one begin, every time");
    enterer w = {.interp = i, .deadline = SUBI_FOREVER};
    subi_interp_leave(i);
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    t = tap_thread(enter, &w);
    tap_join(t);
    ok(w.result == SUBI_CLOSED, "nobody waits for one that is closing");
    subi_interp_end_close(i, true);
    subi_interp_drop(i);
}

#define ENTERERS 4

static void
test_enter_in_turn(void)
{
    subi_interp *i = new_interp("t");
    subi_interp_leave(i);
    enterer e = {.interp = i};
    pthread_t t[ENTERERS];
    for (int k = 0; k < ENTERERS; k++) {
        t[k] = tap_thread(enter_and_leave, &e);
    }
    for (int k = 0; k < ENTERERS; k++) {
        tap_join(t[k]);
    }
    ok(subi_interp_state(i) == SUBI_STATE_IDLE, "threads that wait for it enter it one at a time");
    close_and_drop(i);
}

#define CLOSERS 4

static void
test_one_owner(void)
{
    bool one = true;
    for (int round = 0; round < 500 / TAP_SLOW; round++) {
        subi_interp *i = new_interp("c");
        closer c[CLOSERS];
        pthread_t t[CLOSERS];
        for (int k = 0; k < CLOSERS; k++) {
            c[k] = (closer){.interp = i, .deadline = SUBI_FOREVER};
            t[k] = tap_thread(begin_close, &c[k]);
        }
        subi_interp_leave(i);
        int owners = 0;
        for (int k = 0; k < CLOSERS; k++) {
            tap_join(t[k]);
            owners += c[k].result == SUBI_OK;
            one = one && (c[k].result == SUBI_OK || c[k].result == SUBI_CLOSED);
        }
        one = one && owners == 1;
        subi_interp_end_close(i, true);
        subi_interp_drop(i);
    }
    ok(one, "of closings at the same time, exactly one owns it; the others see it closed");
}

static void
test_pins(void)
{
    subi_interp *i = new_interp("p");
    ok(subi_interp_pin(i) && subi_interp_pin(i), "a running interpreter can be pinned, twice");
    subi_interp_leave(i);
    ok(subi_interp_begin_close(i, SUBI_TRY) == SUBI_BUSY, "a pinned one does not close");
    closer c = {.interp = i, .deadline = SUBI_FOREVER};
    pthread_t t = tap_thread(begin_close, &c);
    await(atomic_load(&c.started));
    subi_interp_unpin(i);
    ok(subi_interp_state(i) == SUBI_STATE_IDLE, "while there is a pin left");
    subi_interp_unpin(i);
    tap_join(t);
    ok(c.result == SUBI_OK, "the last one lets the closing begin");
    ok(!subi_interp_pin(i), "and nobody pins any more");
    subi_interp_end_close(i, false);
    close_and_drop(i);
}

static void
send_from(subi_channel *c, const subi_interp *i, uint8_t note, int64_t value)
{
    subi_message m = subi_message_integer(value);
    m.note = note;
    m.from = (uint32_t)subi_interp_id(i);
    must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK);
}

static int64_t
next(subi_channel *c)
{
    subi_message m = subi_message_none();
    return subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) == SUBI_OK ? m.u.integer : -1;
}

static void *
send_for_ever(void *c)
{
    subi_message m = subi_message_integer(9);
    must(subi_channel_send(c, SUBI_NOBODY, &m, SUBI_FOREVER) == SUBI_OK);
    return NULL;
}

static void
test_messages_to_remove(void)
{
    subi_interp *i = new_interp("sender"), *other = new_interp("other");
    subi_channel *c, *closed;
    must(subi_channel_new(6, &c) == SUBI_OK && subi_channel_new(6, &closed) == SUBI_OK);
    send_from(c, other, SUBI_NOTE_REMOVE, 0);  // and out again, so that the ring wraps around
    must(next(c) == 0);
    send_from(c, i, SUBI_NOTE_REMOVE, 1);
    send_from(c, i, 0, 2);
    send_from(c, other, SUBI_NOTE_REMOVE, 3);
    send_from(c, i, SUBI_NOTE_REMOVE, 4);
    send_from(c, i, SUBI_NOTE_REMOVE + 1, 5);
    send_from(c, other, 0, 6);
    send_from(closed, i, SUBI_NOTE_REMOVE, 1);
    must(subi_channel_close(closed, SUBI_SEND, false) == SUBI_OK);
    pthread_t t = tap_thread(send_for_ever, c);
    await_waiting(c, SUBI_SEND, 1);
    subi_interp_leave(i);
    must(subi_interp_begin_close(i, SUBI_TRY) == SUBI_OK);
    subi_interp_end_close(i, false);
    ok(subi_channel_count(c) == 6, "a failed closing removes no messages");
    close_and_drop(i);
    tap_join(t);
    ok(subi_channel_count(c) == 5, "a closing removes the sender's, and there is room for others");
    ok(next(c) == 2 && next(c) == 3 && next(c) == 5 && next(c) == 6 && next(c) == 9,
       "the others are received in order");
    ok(subi_channel_is_closed(closed, SUBI_RECV), "a channel whose last message goes is drained");
    subi_channel_drop(c);
    subi_channel_drop(closed);
    subi_interp_leave(other);
    close_and_drop(other);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_main();
    test_states();
    test_finding();
    test_users();
    test_close_waits();
    test_enter_waits();
    test_enter_in_turn();
    test_pins();
    test_one_owner();
    test_messages_to_remove();
    return tap_done();
}
