// SPDX-License-Identifier: MIT
#include "channel.h"
#include "subinterp_runtime.h"

#include <assert.h>
#include <stdlib.h>

static subi__table channels = SUBI__TABLE_INIT;
static _Atomic bool shut_down;  // atomic: set once, by subi__channels_shutdown
static _Atomic bool removable;  // atomic: set once, before a message to remove is queued

// ---- life -------------------------------------------------------------------------------------

// How many messages are queued, or about to be, and promised to nobody.
static size_t
taken(const subi_channel *c)
{
    return c->ring.count - c->promised + c->granted;
}

// For one more. A receiver that waits is room, too, if no sender has been told of it.
static bool
has_room(const subi_channel *c)
{
    size_t n = taken(c);
    return n < c->capacity || subi__waitlist_longer(&c->receivers, n - c->capacity);
}

static inline bool  // inline: unused without assert
subi__channel_valid(const subi_channel *c)
{
    return c->promised <= c->ring.count && c->ring.count <= c->ring.room &&
           (c->ring.count == c->promised || subi__waitlist_empty(&c->receivers)) &&
           (taken(c) >= c->capacity || subi__waitlist_empty(&c->senders)) &&
           (!c->send_closed || subi__waitlist_empty(&c->senders)) &&
           c->recv_closed == (c->send_closed && c->ring.count == 0) &&
           (!c->recv_closed || subi__waitlist_empty(&c->receivers)) &&
           (!c->discards || c->recv_closed) &&
           (c->users.count == 0 || c->users.last < c->users.count);
}

static void
lock(subi_channel *c)
{
    subi__lock_acquire(&c->lock);
    assert(subi__channel_valid(c));
}

static void
unlock(subi_channel *c)
{
    assert(subi__channel_valid(c));
    subi__lock_release(&c->lock);
}

subi_result
subi_channel_new_labelled(size_t capacity, uint64_t label, subi_channel **out)
{
    subi_channel *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return SUBI_NOMEM;
    }
    subi__lock_init(&c->lock);
    c->capacity = capacity;
    c->label = label;
    subi__waitlist_init(&c->senders);
    subi__waitlist_init(&c->receivers);
    subi_result r = subi__table_add(&channels, &c->entry);
    if (r != SUBI_OK) {
        free(c);
        return r;
    }
    // Looked at only now that the channel is in the table: a shutdown either sees it there or is
    // seen here.
    if (atomic_load(&shut_down)) {
        subi_channel_close(c, SUBI_BOTH, true);
    }
    *out = c;
    return SUBI_OK;
}

void
subi_channel_hold(subi_channel *c)
{
    subi__entry_hold(&c->entry);
}

void
subi_channel_drop(subi_channel *c)
{
    if (subi__table_drop(&channels, &c->entry)) {
        // nobody can wait here: a waiter has a reference
        assert(subi__channel_valid(c));
        subi__ring_fini(&c->ring);
        subi__users_fini(&c->users);
        free(c);
    }
}

int64_t
subi_channel_id(const subi_channel *c)
{
    return c->entry.id;
}

subi_result
subi_channel_new(size_t capacity, subi_channel **out)
{
    return subi_channel_new_labelled(capacity, 0, out);
}

uint64_t
subi_channel_label(const subi_channel *c)
{
    return c->label;
}

size_t
subi_channel_capacity(const subi_channel *c)
{
    return c->capacity;
}

bool
subi__channel_stale(const subi_channel *c)
{
    return c->entry.generation != subi_generation();
}

subi_channel *
subi_channel_lookup(int64_t id)
{
    return (subi_channel *)subi__table_find(&channels, id);
}

subi_result
subi_channel_unlist(subi_channel *c)
{
    if (!subi__table_unlist(&channels, &c->entry)) {
        return SUBI_NOT_FOUND;
    }
    subi_channel_close(c, SUBI_BOTH, true);
    return SUBI_OK;
}

bool
subi_channel_listed(subi_channel *c)
{
    return subi__table_listed(&channels, &c->entry);
}

subi_result
subi_channel_list(int64_t **ids, size_t *count)
{
    return subi__table_ids(&channels, NULL, ids, count);
}

void
subi__channels_forget(void)
{
    subi__table_forget(&channels);
}

static subi_result
associate(subi_channel *c, int64_t interp, subi_end end)
{
    return interp == SUBI_NOBODY ? SUBI_OK : subi__users_associate(&c->users, interp, end);
}

subi_result
subi_channel_users(subi_channel *c, subi_end end, int64_t **ids, size_t *count)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi_result r = SUBI_CLOSED;
    lock(c);
    if (!c->recv_closed && !(end == SUBI_SEND && c->send_closed)) {
        r = subi__users_list(&c->users, end, ids, count);
    }
    unlock(c);
    return r;
}

// ---- send and receive -------------------------------------------------------------------------

static void
fail_waiters(subi__waitlist *l, subi__wakes *wakes)
{
    subi__node *n;
    while ((n = subi__waitlist_claim(l, NULL)) != NULL) {
        subi__node_finish(n, SUBI_CLOSED, wakes);
    }
}

// After a message was taken out: when that was the last one and nobody can send any more, it was
// the end; and memory that only a burst needed is given back.
static void
settle(subi_channel *c, subi__wakes *wakes)
{
    if (c->ring.count > 0) {
        return;
    }
    if (c->send_closed) {
        c->recv_closed = true;
        fail_waiters(&c->receivers, wakes);  // an event loop has the message they might have got
    }
    subi__ring_shrink(&c->ring);
}

// Gives the message to a receiver, or queues it. A receiver that is told finds it in the queue.
// SUBI_OK, SUBI_FULL, SUBI_NOMEM.
static subi_result
put(subi_channel *c, subi_message *m, subi__wakes *wakes)
{
    subi__node *receiver = subi__waitlist_claim(&c->receivers, NULL);
    if (receiver == NULL && taken(c) >= c->capacity) {
        return SUBI_FULL;
    }
    if (m->note == SUBI_NOTE_REMOVE) {
        atomic_store(&removable, true);
    }
    if (receiver != NULL && !subi__node_is_told(receiver)) {
        *receiver->message = *m;
        subi__node_finish(receiver, SUBI_OK, wakes);
    }
    else if (subi__ring_push(&c->ring, m) != SUBI_OK) {
        if (receiver != NULL) {
            subi__node_finish(receiver, SUBI_EMPTY, wakes);
        }
        return SUBI_NOMEM;
    }
    else if (receiver != NULL) {
        c->promised++;
        subi__node_finish(receiver, SUBI_OK, wakes);
    }
    *m = subi_message_none();
    return SUBI_OK;
}

// There may be room for messages of blocked senders, but those of the wait `but`.
static void
admit_senders(subi_channel *c, const subi__wait *but, subi__wakes *wakes)
{
    subi__node *sender;
    while (has_room(c) && (sender = subi__waitlist_claim(&c->senders, but)) != NULL) {
        subi_result r = SUBI_OK;
        if (subi__node_is_told(sender)) {
            c->granted++;
        }
        else {
            r = put(c, sender->message, wakes);
        }
        // full: the receivers that the room was for had been claimed elsewhere
        subi__node_finish(sender, r == SUBI_FULL ? SUBI_EMPTY : r, wakes);
    }
}

static subi_result
try_send(subi_channel *c, int64_t interp, subi_message *m, subi__wakes *wakes)
{
    if (c->send_closed) {
        return SUBI_CLOSED;
    }
    subi_result r = associate(c, interp, SUBI_SEND);
    if (r != SUBI_OK) {
        return r;
    }
    return has_room(c) ? put(c, m, wakes) : SUBI_FULL;
}

// From a blocked sender. Not past one that can only be told.
static subi_result
take_over(subi_channel *c, subi_message *m, subi__wakes *wakes)
{
    subi__node *sender;
    while ((sender = subi__waitlist_first(&c->senders)) != NULL && !subi__node_is_told(sender)) {
        if (subi__node_claim(sender)) {
            *m = *sender->message;
            *sender->message = subi_message_none();
            subi__node_finish(sender, SUBI_OK, wakes);
            return SUBI_OK;
        }
    }
    return SUBI_EMPTY;
}

// Before there is anything that could come back, there is a place for it.
static subi_result
try_recv(subi_channel *c, int64_t interp, subi_message *m, subi__wakes *wakes)
{
    if (c->recv_closed) {
        return SUBI_CLOSED;
    }
    if (c->ring.room == 0 && subi__ring_grow(&c->ring) != SUBI_OK) {
        return SUBI_NOMEM;
    }
    subi_result r = associate(c, interp, SUBI_RECV);
    if (r != SUBI_OK) {
        return r;
    }
    if (c->ring.count == c->promised) {
        return take_over(c, m, wakes);
    }
    *m = subi__ring_pop(&c->ring);
    admit_senders(c, NULL, wakes);
    settle(c, wakes);
    return SUBI_OK;
}

subi_result
subi__channel_try(const subi_case *k, int64_t interp, subi__wakes *wakes)
{
    return k->end == SUBI_SEND ? try_send(k->channel, interp, k->message, wakes)
                               : try_recv(k->channel, interp, k->message, wakes);
}

void
subi__channel_linked(const subi_case *k, const subi__wait *w, subi__wakes *wakes)
{
    if (k->end == SUBI_RECV) {
        admit_senders(k->channel, w, wakes);
    }
}

void
subi__channel_redeem(const subi_case *k)
{
    subi_channel *c = k->channel;
    if (k->end == SUBI_SEND) {
        c->granted--;
    }
    else if (!c->recv_closed) {  // else it was thrown away
        c->promised--;
    }
}

void
subi__channel_pass_on(const subi_case *k, subi__wakes *wakes)
{
    subi_channel *c = k->channel;
    subi__node *receiver;
    while (c->ring.count > c->promised &&
           (receiver = subi__waitlist_claim(&c->receivers, NULL)) != NULL) {
        if (subi__node_is_told(receiver)) {
            c->promised++;
        }
        else {
            *receiver->message = subi__ring_pop(&c->ring);
        }
        subi__node_finish(receiver, SUBI_OK, wakes);
    }
    admit_senders(c, NULL, wakes);
    settle(c, wakes);
}

subi__waitlist *
subi__channel_waitlist(const subi_case *k)
{
    return k->end == SUBI_SEND ? &k->channel->senders : &k->channel->receivers;
}

subi_result
subi_channel_send(subi_channel *c, int64_t interp, subi_message *m, int64_t deadline)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi__wakes wakes = {.count = 0};
    lock(c);
    subi_result r = try_send(c, interp, m, &wakes);
    unlock(c);
    subi__wake(&wakes);
    if (r != SUBI_FULL || deadline == SUBI_TRY) {
        return r;
    }
    subi_case k = {.channel = c, .end = SUBI_SEND, .message = m};
    size_t chosen;
    return subi_select(&k, 1, interp, deadline, &chosen);
}

subi_result
subi_channel_recv(subi_channel *c, int64_t interp, subi_message *m, int64_t deadline)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi__wakes wakes = {.count = 0};
    lock(c);
    subi_result r = try_recv(c, interp, m, &wakes);
    unlock(c);
    subi__wake(&wakes);
    if (r != SUBI_EMPTY || deadline == SUBI_TRY) {
        return r;
    }
    subi_case k = {.channel = c, .end = SUBI_RECV, .message = m};
    size_t chosen;
    return subi_select(&k, 1, interp, deadline, &chosen);
}

// One that has closed only because that message was the last is open again.
static subi_result
put_back(subi_channel *c, subi_message *m, subi__wakes *wakes)
{
    if (c->discards) {
        return SUBI_CLOSED;
    }
    if (subi__ring_push_first(&c->ring, m) != SUBI_OK) {
        return SUBI_NOMEM;
    }
    *m = subi_message_none();
    c->recv_closed = false;
    const subi_case k = {.channel = c, .end = SUBI_RECV};
    subi__channel_pass_on(&k, wakes);
    return SUBI_OK;
}

subi_result
subi_channel_put_back(subi_channel *c, subi_message *m)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi__wakes wakes = {.count = 0};
    lock(c);
    subi_result r = put_back(c, m, &wakes);
    unlock(c);
    subi__wake(&wakes);
    return r;
}

size_t
subi_channel_count(subi_channel *c)
{
    if (subi__channel_stale(c)) {
        return 0;
    }
    lock(c);
    size_t n = c->ring.count;
    unlock(c);
    return n;
}

// ---- closing ----------------------------------------------------------------------------------

// Wants the lock. The caller frees *garbage after it has released the lock.
static void
close_ends(subi_channel *c, unsigned ends, subi__ring *garbage, subi__wakes *wakes)
{
    c->send_closed = true;
    if ((ends & SUBI_RECV) != 0) {
        *garbage = c->ring;
        c->ring = (subi__ring){0};
        c->promised = 0;
        c->discards = true;
    }
    c->recv_closed = c->ring.count == 0;
    fail_waiters(&c->senders, wakes);
    if (c->recv_closed) {
        fail_waiters(&c->receivers, wakes);
    }
}

subi_result
subi_channel_close(subi_channel *c, subi_end ends, bool discard)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi__ring garbage = {0};
    subi__wakes wakes = {.count = 0};
    subi_result r = SUBI_OK;
    lock(c);
    if (c->recv_closed || (c->send_closed && ends == SUBI_SEND)) {
        r = SUBI_CLOSED;
        c->discards |= (ends & SUBI_RECV) != 0;
    }
    else if ((ends & SUBI_RECV) != 0 && c->ring.count > 0 && !discard) {
        r = SUBI_NOT_EMPTY;
    }
    else {
        close_ends(c, ends, &garbage, &wakes);
    }
    unlock(c);
    subi__wake(&wakes);
    subi__ring_fini(&garbage);
    return r;
}

bool
subi_channel_is_closed(subi_channel *c, subi_end end)
{
    if (subi__channel_stale(c)) {
        return true;
    }
    lock(c);
    bool closed = end == SUBI_SEND ? c->send_closed : c->recv_closed;
    unlock(c);
    return closed;
}

subi_result
subi_channel_release(subi_channel *c, int64_t interp, subi_end ends)
{
    if (subi__channel_stale(c)) {
        return SUBI_FORKED;
    }
    subi__ring garbage = {0};
    subi__wakes wakes = {.count = 0};
    subi_result r = SUBI_CLOSED;
    lock(c);
    if (!c->recv_closed) {
        r = subi__users_release(&c->users, interp, ends);
        if (r == SUBI_OK && !subi__users_any(&c->users)) {
            close_ends(c, SUBI_BOTH, &garbage, &wakes);
        }
    }
    unlock(c);
    subi__wake(&wakes);
    subi__ring_fini(&garbage);
    return r;
}

static size_t *
handles(subi_channel *c, subi_end end)
{
    return end == SUBI_SEND ? &c->send_handles : &c->recv_handles;
}

void
subi_channel_hold_end(subi_channel *c, subi_end end)
{
    subi_channel_hold(c);
    if (!subi__channel_stale(c)) {
        lock(c);
        ++*handles(c, end);
        unlock(c);
    }
}

void
subi_channel_drop_end(subi_channel *c, subi_end end)
{
    if (!subi__channel_stale(c)) {
        subi__ring garbage = {0};
        subi__wakes wakes = {.count = 0};
        lock(c);
        if (--*handles(c, end) == 0 && !c->recv_closed) {
            close_ends(c, end, &garbage, &wakes);
        }
        unlock(c);
        subi__wake(&wakes);
        subi__ring_fini(&garbage);
    }
    subi_channel_drop(c);
}

// ---- a sender is closed -------------------------------------------------------------------------

// Wants the lock. The ring goes round once; what cannot be had for want of memory stays.
static void
remove_messages(subi_channel *c, uint32_t from, subi__ring *garbage)
{
    size_t left = c->ring.count;
    for (size_t n = left; n > 0; n--) {
        subi_message m = subi__ring_pop(&c->ring);
        bool goes = m.note == SUBI_NOTE_REMOVE && m.from == from && left > c->promised &&
                    subi__ring_push(garbage, &m) == SUBI_OK;
        if (goes) {
            left--;
        }
        else {
            subi__ring_append(&c->ring, &m);
        }
    }
}

static void
sender_closed(subi_channel *c, uint32_t from)
{
    subi__ring garbage = {0};
    subi__wakes wakes = {.count = 0};
    lock(c);
    remove_messages(c, from, &garbage);
    if (garbage.count > 0) {
        admit_senders(c, NULL, &wakes);
        settle(c, &wakes);
    }
    unlock(c);
    subi__wake(&wakes);
    subi__ring_fini(&garbage);
}

void
subi__channels_sender_closed(int64_t interp)
{
    subi__entry **all;
    size_t n;
    if (!atomic_load(&removable) || subi__table_snapshot(&channels, &all, &n) != SUBI_OK) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        sender_closed((subi_channel *)all[i], (uint32_t)interp);
        subi_channel_drop((subi_channel *)all[i]);
    }
    free(all);
}

// ---- segments ---------------------------------------------------------------------------------

static void
drop_channel(void *owner)
{
    subi_channel_drop(owner);
}

static void
drop_send_end(void *owner)
{
    subi_channel_drop_end(owner, SUBI_SEND);
}

static void
drop_recv_end(void *owner)
{
    subi_channel_drop_end(owner, SUBI_RECV);
}

subi_segment
subi_channel_segment(subi_channel *c)
{
    subi_channel_hold(c);
    return (subi_segment){.owner = c, .free = drop_channel};
}

subi_segment
subi_channel_end_segment(subi_channel *c, subi_end end)
{
    subi_channel_hold_end(c, end);
    return (subi_segment){.owner = c, .free = end == SUBI_SEND ? drop_send_end : drop_recv_end};
}

// ---- the end of the process -------------------------------------------------------------------

bool
subi_is_shut_down(void)
{
    return atomic_load(&shut_down);
}

void
subi__channels_shutdown(void)
{
    subi__entry **all;
    size_t n;
    atomic_store(&shut_down, true);
    if (subi__table_snapshot(&channels, &all, &n) != SUBI_OK) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        subi_channel *c = (subi_channel *)all[i];
        subi_channel_close(c, SUBI_BOTH, true);
        subi_channel_drop(c);
    }
    free(all);
}
