// SPDX-License-Identifier: MIT
//
// A channel: a lock, a ring of messages that grows, and two wait lists, with direct hand-off from
// a sender to a waiting receiver (the design of Go's chan). This header is for select.c, which
// does all the blocking, and process.c.
#ifndef SUBI_CHANNEL_H
#define SUBI_CHANNEL_H

#include "lock.h"
#include "ring.h"
#include "subinterp.h"
#include "table.h"
#include "users.h"
#include "wait.h"

// Waits of event loops are told to try again. What each needs is reserved for it until then: a message
// in the ring (`promised`), or the right to send one (`granted`).
//
// Invariants, checked by subi__channel_valid:
//   promised <= ring.count
//   ring.count > promised => receivers is empty
//   ring.count - promised + granted < capacity => senders is empty
//   send_closed           => senders is empty
//   recv_closed          <=> send_closed and ring.count == 0, and then receivers is empty
// More than `capacity` may be queued: messages for waits that were given up.
struct subi_channel {
    subi__entry entry;
    size_t capacity;  // set once
    uint64_t label;   // set once
    subi__lock lock;
    // guarded by lock, all that follows
    bool send_closed;
    bool recv_closed;
    bool discards;  // the receiving end was closed, not just drained: nothing can come back
    size_t send_handles;
    size_t recv_handles;
    subi__ring ring;
    size_t promised;
    size_t granted;
    subi__waitlist senders;
    subi__waitlist receivers;
    subi__users users;
};

// Performs the case at once if that is possible. Wants the channel's lock.
// SUBI_OK; SUBI_EMPTY, SUBI_FULL: one would have to wait; SUBI_CLOSED; SUBI_NOMEM.
subi_result subi__channel_try(const subi_case *k, int64_t interp, subi__wakes *wakes);

// After the case was linked for the wait w: tells an event loop that waits for a receiver. Wants the
// channel's lock.
void subi__channel_linked(const subi_case *k, const subi__wait *w, subi__wakes *wakes);

// What an event loop that waited for the case was told is reserved for it is so no longer. To be used
// with subi__channel_try, or not, and then the rest passed on to others: all under one lock.
void subi__channel_redeem(const subi_case *k);
void subi__channel_pass_on(const subi_case *k, subi__wakes *wakes);

// The list in which a thread that is blocked on the case waits. Wants the channel's lock.
subi__waitlist *subi__channel_waitlist(const subi_case *k);

bool subi__channel_stale(const subi_channel *c);
// After that interpreter was closed: see SUBI_NOTE_REMOVE.
void subi__channels_sender_closed(int64_t interp);

void subi__channels_shutdown(void);
void subi__channels_forget(void);  // in the child of a fork

#endif
