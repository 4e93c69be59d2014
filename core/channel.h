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

// Invariants, checked by subi__channel_valid:
//   ring.count <= capacity
//   ring.count > 0        => receivers is empty
//   ring.count < capacity => senders is empty
//   send_closed           => senders is empty
//   recv_closed          <=> send_closed and ring.count == 0, and then receivers is empty
struct subi_channel {
    subi__entry entry;
    size_t capacity;  // set once
    uint64_t label;   // set once
    subi__lock lock;
    // guarded by lock, all that follows
    bool send_closed;
    bool recv_closed;
    size_t send_handles;
    size_t recv_handles;
    subi__ring ring;
    subi__waitlist senders;
    subi__waitlist receivers;
    subi__users users;
};

// Performs the case at once if that is possible. Wants the channel's lock. *wake gets what to pass
// to subi__wake after the lock was released.
// SUBI_OK; SUBI_EMPTY, SUBI_FULL: one would have to wait; SUBI_CLOSED; SUBI_NOMEM.
subi_result subi__channel_try(const subi_case *k, int64_t interp, _Atomic uint32_t **wake);

// The list in which a thread that is blocked on the case waits. Wants the channel's lock.
subi__waitlist *subi__channel_waitlist(const subi_case *k);

bool subi__channel_stale(const subi_channel *c);
void subi__channels_shutdown(void);
void subi__channels_forget(void);  // in the child of a fork

#endif
