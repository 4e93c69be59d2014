// SPDX-License-Identifier: MIT
//
// libsubinterp: what interpreters of one process share. Messages, channels, select and the table
// of interpreters, in plain C11 that knows no Python, so that one copy serves every Python runtime
// of the process and any native thread.
//
//     subi_channel *c;
//     subi_channel_new(SUBI_UNBOUNDED, &c);
//     subi_message m = subi_message_integer(42);
//     subi_channel_send(c, SUBI_NOBODY, &m, SUBI_FOREVER);   // m now belongs to the channel
//     subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_FOREVER);   // and now to us again
//     subi_message_fini(&m);
//     subi_channel_drop(c);
//
// Every function may be called from any thread, with or without a GIL. Only those that take a
// `deadline` can block, and with SUBI_TRY even they do not. A deadline is an absolute time of the
// monotonic clock in nanoseconds.
#ifndef SUBINTERP_H
#define SUBINTERP_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define SUBI_EXPORT __attribute__((visibility("default")))
#else
#define SUBI_EXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

// What every fallible function of the library returns.
typedef enum subi_result {
    SUBI_OK = 0,
    SUBI_CLOSED,     // the channel (or this interpreter's end of it), or the interpreter, is closed
    SUBI_EMPTY,      // nothing to receive, and the caller did not want to wait
    SUBI_FULL,       // no room to send, and the caller did not want to wait
    SUBI_NOT_EMPTY,  // items are queued that this close would throw away
    SUBI_TIMEOUT,    // the deadline passed
    SUBI_INTERRUPTED,  // a signal handler ran on this thread while it was waiting
    SUBI_NOT_FOUND,    // no object has that id (any more)
    SUBI_BUSY,         // the interpreter is running; or one would have to wait, and did not want to
    SUBI_NOMEM,        // out of memory; nothing was changed
    SUBI_INVALID,      // the input is not what it should be
    SUBI_FORKED,       // the object belongs to the process that this one was forked from
    SUBI_NOT_OWNER,    // the lock is not held by the caller
    SUBI_OWNER_DIED,   // the thread or the interpreter that held the lock has ended
    SUBI_BROKEN,       // the barrier is broken
} subi_result;

#define SUBI_TRY        INT64_C(0)   // deadline: do not wait
#define SUBI_FOREVER    INT64_MAX    // deadline: wait for ever
#define SUBI_NOBODY     INT64_C(-1)  // in the place of an interpreter id: a thread outside any
#define SUBI_UNBOUNDED  SIZE_MAX     // capacity of a channel whose senders never wait
#define SUBI_RENDEZVOUS ((size_t)0)  // capacity of a channel whose senders wait for a receiver

// The monotonic clock, in nanoseconds.
SUBI_EXPORT int64_t subi_now(void);

// now + seconds as a deadline; saturates at SUBI_FOREVER. seconds must not be negative or NaN;
// zero gives SUBI_TRY.
SUBI_EXPORT int64_t subi_deadline(double seconds);

// ---- messages ------------------------------------------------------------------------------

// A value on its way: small ones inline, everything else in a block. Plain data: moved by copying
// the struct, freed once with subi_message_fini. The bytes of a block are opaque to the core.
typedef enum subi_tag {
    SUBI_TAG_NONE = 0,
    SUBI_TAG_FALSE,
    SUBI_TAG_TRUE,
    SUBI_TAG_INTEGER,
    SUBI_TAG_REAL,
    SUBI_TAG_TEXT,   // ASCII text of at most SUBI_SMALL_MAX bytes
    SUBI_TAG_BYTES,  // at most SUBI_SMALL_MAX bytes
    SUBI_TAG_BLOCK,
} subi_tag;

#define SUBI_SMALL_MAX 24

typedef struct subi_block subi_block;

typedef struct subi_message {
    uint8_t tag;    // a subi_tag
    uint8_t size;   // bytes used of `small`
    uint8_t note;   // the sender's, for the receiver, but for the one below
    uint32_t from;  // with a note: the id of the interpreter that sends it, cut to 32 bits
    union {
        int64_t integer;
        double real;
        char small[SUBI_SMALL_MAX];
        subi_block *block;  // one reference
    } u;
} subi_message;

// The note of a message that is taken out of its channel when the interpreter that sent it is closed. If
// event loops have been told of it, it stays: whoever receives it has to look.
#define SUBI_NOTE_REMOVE ((uint8_t)1)

// Something a block keeps alive, and memory of it that the receiver may use without a copy.
typedef struct subi_segment {
    void *data;   // may be NULL
    size_t size;  // bytes at data
    void (*free)(
        void *owner);  // called once, by whichever thread drops the block last; may be NULL; a
                       // function that is there as long as the block may be
    void *owner;
    char type;  // what owner is, for those who attach it and use it; the core does not look
} subi_segment;

static inline subi_message
subi_message_none(void)
{
    return (subi_message){.tag = SUBI_TAG_NONE};
}

static inline subi_message
subi_message_integer(int64_t value)
{
    return (subi_message){.tag = SUBI_TAG_INTEGER, .u.integer = value};
}

// Takes over one reference to block.
static inline subi_message
subi_message_block(subi_block *block)
{
    return (subi_message){.tag = SUBI_TAG_BLOCK, .u.block = block};
}

// Frees what the message owns and makes it none.
SUBI_EXPORT void subi_message_fini(subi_message *m);

// A block of `size` uninitialised bytes, no segments, one reference. NULL: out of memory.
SUBI_EXPORT subi_block *subi_block_new(size_t size);
SUBI_EXPORT void subi_block_hold(subi_block *b);
SUBI_EXPORT void subi_block_drop(subi_block *b);  // NULL is allowed
SUBI_EXPORT unsigned char *subi_block_bytes(subi_block *b);
SUBI_EXPORT size_t subi_block_size(const subi_block *b);

// Changes the size; for the block's only holder, before it is sent. *b may move.
SUBI_EXPORT subi_result subi_block_resize(subi_block **b, size_t size);

// Appends a segment, which the block then owns; for the block's only holder, before it is sent.
SUBI_EXPORT subi_result subi_block_attach(subi_block *b, subi_segment segment);
SUBI_EXPORT size_t subi_block_segment_count(const subi_block *b);
SUBI_EXPORT const subi_segment *subi_block_segment(const subi_block *b, size_t index);

// ---- channels ------------------------------------------------------------------------------

// A queue of messages with many senders and receivers. Reference counted; the last drop frees it
// with what is queued. `interp` in the calls below is the id of the interpreter on whose behalf
// the call is made, which associates it with that end (see subi_channel_release), or SUBI_NOBODY.
typedef struct subi_channel subi_channel;

typedef enum subi_end {
    SUBI_SEND = 1,
    SUBI_RECV = 2,
    SUBI_BOTH = 3,
} subi_end;

// *out gets one reference. A label is the caller's: the core only keeps it; else it is 0. SUBI_NOMEM.
SUBI_EXPORT subi_result subi_channel_new(size_t capacity, subi_channel **out);
SUBI_EXPORT subi_result subi_channel_new_labelled(size_t capacity, uint64_t label,
                                                  subi_channel **out);
SUBI_EXPORT void subi_channel_hold(subi_channel *c);
SUBI_EXPORT void subi_channel_drop(subi_channel *c);
SUBI_EXPORT int64_t subi_channel_id(const subi_channel *c);
SUBI_EXPORT size_t subi_channel_capacity(const subi_channel *c);
SUBI_EXPORT uint64_t subi_channel_label(const subi_channel *c);

// The channel with that id, as a new reference; NULL when there is none (any more).
SUBI_EXPORT subi_channel *subi_channel_lookup(int64_t id);

// Takes the channel out of the table and closes it; holders keep a closed channel.
// SUBI_NOT_FOUND: it was taken out before.
SUBI_EXPORT subi_result subi_channel_unlist(subi_channel *c);
SUBI_EXPORT bool subi_channel_listed(subi_channel *c);

// The ids of all listed channels, ascending, in a malloc'd array that the caller frees.
SUBI_EXPORT subi_result subi_channel_list(int64_t **ids, size_t *count);

// Moves *m into the channel, or straight to a waiting receiver. On any result but SUBI_OK *m
// still belongs to the caller.
// SUBI_CLOSED, SUBI_FULL (SUBI_TRY only), SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_NOMEM, SUBI_FORKED.
SUBI_EXPORT subi_result subi_channel_send(subi_channel *c, int64_t interp, subi_message *m,
                                          int64_t deadline);

// Moves the oldest message into *m. After the sending end was closed the rest drains first.
// SUBI_CLOSED, SUBI_EMPTY (SUBI_TRY only), SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_NOMEM, SUBI_FORKED.
SUBI_EXPORT subi_result subi_channel_recv(subi_channel *c, int64_t interp, subi_message *m,
                                          int64_t deadline);

// How many messages are queued.
SUBI_EXPORT size_t subi_channel_count(subi_channel *c);

// Closes ends for everybody. Closing SUBI_SEND lets receivers drain what is queued. Closing
// SUBI_RECV would throw it away, and therefore fails with SUBI_NOT_EMPTY unless `discard`; an end
// that stays open alone can do nothing and is closed too. SUBI_CLOSED: it was closed before.
SUBI_EXPORT subi_result subi_channel_close(subi_channel *c, subi_end ends, bool discard);

// Whether that end is closed for everybody. A drained channel whose sending end was closed is
// closed at both.
SUBI_EXPORT bool subi_channel_is_closed(subi_channel *c, subi_end end);

// Closes ends for one interpreter. When no associated interpreter has an end open any more, the
// channel closes for everybody, with what is queued. SUBI_CLOSED, SUBI_NOMEM, SUBI_FORKED.
SUBI_EXPORT subi_result subi_channel_release(subi_channel *c, int64_t interp, subi_end ends);

// The interpreters that used `end` (exactly one of SUBI_SEND, SUBI_RECV) and did not release it,
// in a malloc'd array that the caller frees. SUBI_CLOSED, SUBI_NOMEM, SUBI_FORKED.
SUBI_EXPORT subi_result subi_channel_users(subi_channel *c, subi_end end, int64_t **ids,
                                           size_t *count);

// Counted handles on one end: when the last handle of an end is dropped, that end closes for
// everybody (queued messages of a dropped receiving end are freed). Each also counts as a
// reference to the channel.
SUBI_EXPORT void subi_channel_hold_end(subi_channel *c, subi_end end);
SUBI_EXPORT void subi_channel_drop_end(subi_channel *c, subi_end end);

// Segments for a message that carries a channel: they hold a reference, or a handle on one end.
SUBI_EXPORT subi_segment subi_channel_segment(subi_channel *c);
SUBI_EXPORT subi_segment subi_channel_end_segment(subi_channel *c, subi_end end);

// One alternative of a select.
typedef struct subi_case {
    subi_channel *channel;
    subi_end end;           // SUBI_SEND or SUBI_RECV
    subi_message *message;  // to send from, or to receive into
} subi_case;

// Waits until one case can go ahead, performs it, and stores its index in *chosen. Among several
// ready ones the choice is uniform. A case whose channel is closed counts as ready: SUBI_CLOSED,
// with *chosen set. SUBI_TRY with none ready: SUBI_EMPTY. With no cases it waits for the deadline.
// SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_NOMEM, SUBI_FORKED leave *chosen alone.
SUBI_EXPORT subi_result subi_select(subi_case *cases, size_t count, int64_t interp,
                                    int64_t deadline, size_t *chosen);

// ---- locks ---------------------------------------------------------------------------------

// What threads of all interpreters wait on for each other: locks, semaphores, events, conditions,
// barriers. One opaque type; each function below is for its kind. Reference counted, with ids that
// count up from 0 for all kinds together.
typedef struct subi_sync subi_sync;

typedef enum subi_sync_kind {
    SUBI_LOCK,
    SUBI_RLOCK,
    SUBI_SEMAPHORE,
    SUBI_BOUNDED_SEMAPHORE,
    SUBI_EVENT,
    SUBI_CONDITION,
    SUBI_BARRIER,
} subi_sync_kind;

SUBI_EXPORT void subi_sync_hold(subi_sync *s);
SUBI_EXPORT void subi_sync_drop(subi_sync *s);
SUBI_EXPORT int64_t subi_sync_id(const subi_sync *s);
SUBI_EXPORT subi_sync_kind subi_sync_what(const subi_sync *s);
SUBI_EXPORT subi_segment subi_sync_segment(subi_sync *s);  // for a message; holds a reference

// How long to wait, and what to do when a signal handler has run on this thread meanwhile. Then
// `go_on(arg)` is called, with nothing of the core's locked, while the thread keeps its place in the
// queue. False, or no function: the wait ends with SUBI_INTERRUPTED, and nothing was acquired.
typedef struct subi_patience {
    int64_t deadline;
    bool (*go_on)(void *arg);
    void *arg;
} subi_patience;

// All that wait can return SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_CLOSED (the process ends),
// SUBI_NOMEM, SUBI_FORKED; and unless something else is said SUBI_BUSY (SUBI_TRY only).

// A lock, whose owner is the thread that has acquired it on behalf of interpreter `interp` (or of
// SUBI_NOBODY). A recursive one can be acquired again by its owner, and released by no one else; the
// other one by anybody. Whoever runs takes a free lock, but not when a waiter is so unlucky for a
// millisecond: then it is handed to that one. Waiters are served in the order in which they came.
//
// When the thread ends, or the interpreter closes, while it is the owner, nobody knows in what state
// is what the lock protects. So all waiters, and all that come later, get SUBI_OWNER_DIED, until
// somebody who does know has called subi_mutex_reset.
//
// SUBI_NOMEM.
SUBI_EXPORT subi_result subi_mutex_new(bool recursive, subi_sync **out);

// SUBI_OWNER_DIED, SUBI_NOMEM.
SUBI_EXPORT subi_result subi_mutex_acquire(subi_sync *m, int64_t interp, const subi_patience *p);

// SUBI_NOT_OWNER: it is not held, or a recursive one not by the caller. SUBI_OWNER_DIED, SUBI_FORKED;
// SUBI_CLOSED (in the place of SUBI_NOT_OWNER: a wait that ends with the process is not followed by
// acquiring).
SUBI_EXPORT subi_result subi_mutex_release(subi_sync *m, int64_t interp);

// From "owner died" to free. SUBI_NOT_OWNER: its owner has not died. SUBI_FORKED.
SUBI_EXPORT subi_result subi_mutex_reset(subi_sync *m);

typedef struct subi_mutex_state {
    size_t depth;  // how often the owner has acquired it; 0: it is free
    uintptr_t thread;
    int64_t interp;
    bool owner_died;  // and depth is 0
} subi_mutex_state;

SUBI_EXPORT subi_result subi_mutex_look(subi_sync *m, subi_mutex_state *state);  // SUBI_FORKED

// A count of what is left. It is handed to waiters in the order in which they came. It has no owner.
// SUBI_NOMEM.
SUBI_EXPORT subi_result subi_semaphore_new(size_t value, bool bounded, subi_sync **out);
SUBI_EXPORT subi_result subi_semaphore_acquire(subi_sync *s, const subi_patience *p);

// SUBI_FULL: it would be more than at first (bounded), or than fits. SUBI_FORKED.
SUBI_EXPORT subi_result subi_semaphore_release(subi_sync *s, size_t n);
SUBI_EXPORT subi_result subi_semaphore_value(subi_sync *s, size_t *value);  // SUBI_FORKED

// A flag. SUBI_NOMEM.
SUBI_EXPORT subi_result subi_event_new(subi_sync **out);
SUBI_EXPORT subi_result subi_event_assign(subi_sync *e, bool flag);  // SUBI_FORKED
SUBI_EXPORT subi_result subi_event_look(subi_sync *e, bool *flag);   // SUBI_FORKED
SUBI_EXPORT subi_result subi_event_wait(subi_sync *e, const subi_patience *p);

// A queue of threads that have released mutex to be notified by one that has it. Holds a reference to
// mutex. SUBI_NOMEM.
SUBI_EXPORT subi_result subi_condition_new(subi_sync *mutex, subi_sync **out);
SUBI_EXPORT subi_sync *subi_condition_mutex(const subi_sync *c);  // borrowed

// Releases the mutex, waits, and acquires it again, however long that takes, as often as it was.
// SUBI_NOT_OWNER: the caller does not have it. SUBI_OWNER_DIED: somebody else has died with it. After
// that, and after SUBI_CLOSED or SUBI_INTERRUPTED, the caller has it if it could be had. A deadline of
// SUBI_TRY is one that is over.
SUBI_EXPORT subi_result subi_condition_wait(subi_sync *c, int64_t interp, const subi_patience *p);

// SUBI_NOT_OWNER, SUBI_OWNER_DIED, SUBI_FORKED.
SUBI_EXPORT subi_result subi_condition_notify(subi_sync *c, int64_t interp, size_t n);

// Threads that wait until there are `parties` of them. If it is `led`, the last one comes back at once
// and leads: the others wait until it has called subi_barrier_release, or fail when it calls
// subi_barrier_abort or ends. Whoever gives up waiting breaks the barrier, for all.
// SUBI_NOMEM, SUBI_INVALID (no parties).
SUBI_EXPORT subi_result subi_barrier_new(size_t parties, bool led, subi_sync **out);

// *index gets which of them it was, counted from 0. SUBI_BROKEN. A deadline of SUBI_TRY is one that is
// over.
SUBI_EXPORT subi_result subi_barrier_wait(subi_sync *b, int64_t interp, const subi_patience *p,
                                          size_t *index);

// By the leader. SUBI_BROKEN: it was broken or reset meanwhile. SUBI_FORKED.
SUBI_EXPORT subi_result subi_barrier_release(subi_sync *b, int64_t interp);
SUBI_EXPORT subi_result subi_barrier_abort(subi_sync *b);  // breaks it. SUBI_FORKED.
SUBI_EXPORT subi_result subi_barrier_reset(subi_sync *b);  // those that wait fail. SUBI_FORKED.

typedef struct subi_barrier_state {
    size_t parties;
    size_t waiting;
    bool broken;
} subi_barrier_state;

SUBI_EXPORT subi_result subi_barrier_look(subi_sync *b, subi_barrier_state *state);  // SUBI_FORKED

// ---- event loops ---------------------------------------------------------------------------

// An event loop must not block. It makes a notifier, watches its descriptor, and has a waiter for each
// operation that cannot go ahead at once. The waiter is in the same wait lists as blocked threads, in
// its turn. When its turn comes nothing is done for it: its notifier's descriptor becomes readable, and
// the loop tries again. What it needs, a message or room for one, is reserved for it until it does,
// or until it is freed: then others get it. So a message belongs either to its channel or to the loop,
// and whoever gives up waiting has done nothing.
//
//     subi_waiter_new(n, cases, count, interp, data, &w);
//     while ((r = subi_waiter_try(w, &chosen)) == SUBI_EMPTY) {
//         ...  // poll the descriptor; subi_notifier_clear(n); until subi_notifier_next(n) gives data
//     }
//     subi_waiter_free(w);
//
// A notifier and its waiters are for one thread at a time, but for the telling.
//
// A sender that waits like this can only be told, so a receiver does not find its message with SUBI_TRY:
// on a rendezvous channel it has to wait.
typedef struct subi_notifier subi_notifier;
typedef struct subi_waiter subi_waiter;

// A notifier for an event loop in that interpreter. SUBI_NOMEM; SUBI_FULL: there is no descriptor left,
// errno says why.
SUBI_EXPORT subi_result subi_notifier_new(int64_t interp, subi_notifier **out);
SUBI_EXPORT void subi_notifier_drop(subi_notifier *n);  // waiters have references of their own

// Borrowed. Readable when a waiter has been told.
SUBI_EXPORT int subi_notifier_fd(const subi_notifier *n);

// Makes the descriptor not readable; to be called before subi_notifier_next.
SUBI_EXPORT void subi_notifier_clear(subi_notifier *n);

// The `data` of a waiter that has been told, each once; NULL: there is no other.
SUBI_EXPORT void *subi_notifier_next(subi_notifier *n);

// For the end of an interpreter, when no thread of it runs any more: what its waiters have reserved goes to others, and
// they can wait no more.
SUBI_EXPORT void subi_notifiers_close(int64_t interp);

// Makes the descriptors of the interpreter's notifiers readable, so that its event loops come back.
SUBI_EXPORT void subi_notifiers_disturb(int64_t interp);

// A waiter for one of the cases, which are copied; the messages stay the caller's, and only subi_waiter_try
// uses them. Holds the channels. `data` is what subi_notifier_next gives, not NULL. SUBI_NOMEM.
SUBI_EXPORT subi_result subi_waiter_new(subi_notifier *n, const subi_case *cases, size_t count,
                                        int64_t interp, void *data, subi_waiter **out);

// As subi_select with SUBI_TRY, but after SUBI_EMPTY it waits: it will be told, perhaps for nothing. The
// cases it has waited for come first.
// SUBI_OK, SUBI_CLOSED (the channel of *chosen, or, with *chosen unchanged, the interpreter), SUBI_EMPTY,
// SUBI_NOMEM, SUBI_FORKED. It does not wait any more, unless it is SUBI_EMPTY.
SUBI_EXPORT subi_result subi_waiter_try(subi_waiter *w, size_t *chosen);

// Gives up waiting, if it does.
SUBI_EXPORT void subi_waiter_free(subi_waiter *w);

// ---- interpreters --------------------------------------------------------------------------

// The process-wide record of one interpreter. Ids count up from 0, the main interpreter, and are
// never used again. Reference counted.
typedef struct subi_interp subi_interp;

typedef enum subi_kind {
    SUBI_KIND_MAIN,     // the process's main interpreter, id 0
    SUBI_KIND_OWN,      // an interpreter of ours with a GIL of its own
    SUBI_KIND_SHARED,   // one that shares the main interpreter's GIL
    SUBI_KIND_PRIVATE,  // one in a Python runtime of its own, in a slot
    SUBI_KIND_FOREIGN,  // somebody else made it; it is known since it imported us
} subi_kind;

typedef enum subi_state {
    SUBI_STATE_IDLE,
    SUBI_STATE_RUNNING,
    SUBI_STATE_CLOSING,
    SUBI_STATE_CLOSED,
} subi_state;

// A new record in state RUNNING (it is being made), owned by interpreter `owner`. `name` is
// copied and may be NULL. *out gets one reference. SUBI_NOMEM, SUBI_CLOSED (subi_refuse_runs).
SUBI_EXPORT subi_result subi_interp_new(subi_kind kind, const char *name, int64_t owner,
                                        subi_interp **out);
SUBI_EXPORT void subi_interp_hold(subi_interp *i);
SUBI_EXPORT void subi_interp_drop(subi_interp *i);
SUBI_EXPORT subi_interp *subi_interp_main(void);  // a new reference; NULL: out of memory

// The interpreter with that id, as a new reference; NULL when there is none or it is closed.
SUBI_EXPORT subi_interp *subi_interp_lookup(int64_t id);

// The one whose native pointer that is, as a new reference, or NULL.
SUBI_EXPORT subi_interp *subi_interp_find(const void *native);

// The ids of all interpreters that are not closing or closed, ascending; the caller frees *ids.
SUBI_EXPORT subi_result subi_interp_list(int64_t **ids, size_t *count);

SUBI_EXPORT int64_t subi_interp_id(const subi_interp *i);
SUBI_EXPORT subi_kind subi_interp_kind(const subi_interp *i);
SUBI_EXPORT const char *subi_interp_name(const subi_interp *i);  // "" when it has none
SUBI_EXPORT int64_t subi_interp_owner(const subi_interp *i);
SUBI_EXPORT subi_state subi_interp_state(subi_interp *i);
SUBI_EXPORT bool subi_interp_stale(const subi_interp *i);  // made before a fork, in the parent

// The binding's pointer to its own interpreter and data. Set before the record is first idle, and
// to NULL before it is closed.
SUBI_EXPORT void subi_interp_set_native(subi_interp *i, const void *native, void *data);
SUBI_EXPORT const void *subi_interp_native(const subi_interp *i);
SUBI_EXPORT void *subi_interp_data(const subi_interp *i);

// idle -> running, for the calling thread alone; waits for another thread's run to end until the
// deadline. SUBI_BUSY (running, and SUBI_TRY, or its run will not end), SUBI_TIMEOUT,
// SUBI_INTERRUPTED, SUBI_CLOSED, SUBI_FORKED.
SUBI_EXPORT subi_result subi_interp_enter(subi_interp *i, int64_t deadline);

// running -> idle. Returns true when the interpreter has been orphaned meanwhile (see
// subi_interp_drop_user): the caller has to close it.
SUBI_EXPORT bool subi_interp_leave(subi_interp *i);

// idle -> closing; waits for a run to end until the deadline. From then on enter fails, lookup
// fails, and exactly one caller owns the closing, which it ends with subi_interp_end_close.
// SUBI_BUSY (SUBI_TRY and running), SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_CLOSED (closing or
// closed already), SUBI_FORKED.
SUBI_EXPORT subi_result subi_interp_begin_close(subi_interp *i, int64_t deadline);

// closing -> closed, or back to idle when the interpreter could not be closed.
SUBI_EXPORT void subi_interp_end_close(subi_interp *i, bool closed);

// running -> closed, by the one who is making the interpreter and failed. The caller's reference is
// still its own.
SUBI_EXPORT void subi_interp_discard(subi_interp *i);

// Users are what keeps an interpreter from being closed by itself: the Python objects that stand
// for it. Each also needs a reference of its own. drop_user returns true when the last user went
// and the interpreter is idle: the caller has to close it. While it runs, subi_interp_leave says
// so instead.
SUBI_EXPORT void subi_interp_hold_user(subi_interp *i);
SUBI_EXPORT bool subi_interp_drop_user(subi_interp *i);

// While an interpreter is pinned no closing of it begins. False: it is closing or closed.
SUBI_EXPORT bool subi_interp_pin(subi_interp *i);
SUBI_EXPORT void subi_interp_unpin(subi_interp *i);

// ---- exports -------------------------------------------------------------------------------

// Something of one interpreter, its owner, that others may use without a copy: a buffer. Reference
// counted. The last drop, on any thread, releases it there and then if that thread is attached to the
// owner; else it returns it to the owner's record, where the owner finds it (subi_exports_drain), or
// the reaper does: a thread of the core's that soon visits the owner.
typedef struct subi_export subi_export;

// Functions for exports of one interpreter, which are there as long as it has any. `data` is what
// subi_export_data returns.
typedef struct subi_export_calls {
    // Whether the calling thread is attached to the owner right now.
    bool (*is_attached)(void *data);
    // By a thread that is attached to the owner: gives up what data stands for. The core frees data.
    void (*release)(void *data);
    // By the reaper: attaches itself to the owner, calls subi_exports_release(returned), and detaches
    // itself again. False: out of memory, and nothing was done.
    bool (*visit)(void *data, subi_export *returned);
} subi_export_calls;

// By a thread that is attached to the owner. *out gets one reference, and data of `size` bytes, all
// zero. SUBI_NOMEM, SUBI_CLOSED (subi_exports_end), SUBI_FORKED.
SUBI_EXPORT subi_result subi_export_new(subi_interp *owner, const subi_export_calls *calls,
                                        size_t size, subi_export **out);
SUBI_EXPORT void *subi_export_data(subi_export *e);
SUBI_EXPORT void subi_export_hold(subi_export *e);
SUBI_EXPORT void subi_export_drop(subi_export *e);

// A segment of that memory for a message; it holds a reference.
SUBI_EXPORT subi_segment subi_export_segment(subi_export *e, void *data, size_t size);

// By a thread that is attached to i: releases what was returned to it. One load if that is nothing.
SUBI_EXPORT void subi_exports_drain(subi_interp *i);

// The same for what the reaper gave to `visit`.
SUBI_EXPORT void subi_exports_release(subi_export *list);

// How many exports of i have not been released.
SUBI_EXPORT size_t subi_exports_count(subi_interp *i);

// Before i's native interpreter ends, or the process: no more exports can be made, and those that are
// left over are never released.
SUBI_EXPORT void subi_exports_end(subi_interp *i);

// In the place of subi_interp_end_close, for one that has exports: closing -> closed, but its native
// interpreter goes on until they have been released. The reaper calls `ending(i, data)` when some
// were returned, on a thread that is attached to nothing: it attaches itself, drains, and if nothing
// is left, ends the interpreter. False: something is left. Takes over one reference to i; the caller
// has another.
SUBI_EXPORT void subi_interp_linger(subi_interp *i, bool (*ending)(subi_interp *, void *data),
                                    void *data);

// For the process's exit: makes the reaper end, for good, and waits for that. SUBI_TIMEOUT: it is in
// an interpreter that does not react.
SUBI_EXPORT subi_result subi_reaper_stop(int64_t deadline);

// For the process's exit, after the reaper has stopped: calls `ending` of all that linger, and
// `abandon` for those that cannot be ended, whose exports then stay for good.
SUBI_EXPORT void subi_lingering_end(void (*abandon)(subi_interp *i, void *data));

// ---- memory --------------------------------------------------------------------------------

// Memory that belongs to no interpreter, reference counted: freed with the last reference, on whatever
// thread.
typedef struct subi_memory subi_memory;

// `size` bytes, all zero. *out gets one reference. SUBI_NOMEM.
SUBI_EXPORT subi_result subi_memory_new(size_t size, subi_memory **out);
SUBI_EXPORT void subi_memory_hold(subi_memory *m);
SUBI_EXPORT void subi_memory_drop(subi_memory *m);
SUBI_EXPORT unsigned char *subi_memory_bytes(subi_memory *m);
SUBI_EXPORT size_t subi_memory_size(const subi_memory *m);

// A segment of all of it for a message; it holds a reference.
SUBI_EXPORT subi_segment subi_memory_segment(subi_memory *m);

// ---- descriptors ---------------------------------------------------------------------------

// A file descriptor on its way to another interpreter, reference counted: closed with the last
// reference, on whatever thread, unless somebody has taken it.
typedef struct subi_descriptor subi_descriptor;

// Makes a copy of fd that programs which are executed do not get. *out gets one reference. SUBI_NOMEM;
// SUBI_INVALID: fd is not open, or no descriptor is left, as errno says.
SUBI_EXPORT subi_result subi_descriptor_new(int fd, subi_descriptor **out);
SUBI_EXPORT void subi_descriptor_hold(subi_descriptor *d);
SUBI_EXPORT void subi_descriptor_drop(subi_descriptor *d);

// The copy, which then is the caller's. -1: it has been taken.
SUBI_EXPORT int subi_descriptor_take(subi_descriptor *d);

// A segment for a message; it holds a reference.
SUBI_EXPORT subi_segment subi_descriptor_segment(subi_descriptor *d);

// ---- the reserve ---------------------------------------------------------------------------

// Interpreters that have been closed and are ready to be used again: the binding's data of each.
// At most `limit` of them; at first that is two for each processor, at least four.
#define SUBI_RESERVE_MAX ((size_t)256)  // the highest limit

SUBI_EXPORT size_t subi_reserve_limit(void);
SUBI_EXPORT void subi_reserve_set_limit(size_t limit);

// From now on somebody will empty it before the process ends; until then none is wanted.
SUBI_EXPORT void subi_reserve_open(void);

// Whether it is worth trying to make one ready: there is room, and earlier attempts succeeded.
SUBI_EXPORT bool subi_reserve_wants_one(void);
SUBI_EXPORT void subi_reserve_attempt_failed(void);

// False: there is no room, and `spare` still belongs to the caller.
SUBI_EXPORT bool subi_reserve_put(void *spare);

// The one put last, or NULL. With `excess`, only while there are more than the limit. Counts as a
// closing in progress (see subi_running) until the caller says that it has ended it, or given it to
// an interpreter that is being made.
SUBI_EXPORT void *subi_reserve_take(bool excess);
SUBI_EXPORT void subi_reserve_done(void);

// ---- private copies of shared objects ------------------------------------------------------

// A slot is one set of copies: one libpython, and whatever calls Python or counts on its GIL, each
// loaded from a file of its own that is bound to the others. So the process can have many Python
// runtimes. Other libraries are not copied: the process has one of each.
//
// On failure these return NULL or an error, and subi_slot_error says why.
typedef struct subi_slot subi_slot;

#define SUBI_SLOTS_MAX 1024U  // at a time

// A slot with a copy of the libpython at that path. SUBI_NOT_FOUND (it cannot be copied or loaded),
// SUBI_FULL, SUBI_NOMEM.
SUBI_EXPORT subi_result subi_slot_open(const char *libpython, subi_slot **out);

// The libpython that slots are to be opened with, once somebody has found it; NULL before that.
// SUBI_NOMEM.
SUBI_EXPORT subi_result subi_libpython_set(const char *path);
SUBI_EXPORT const char *subi_libpython(void);

// As dlopen, for the slot: loads a copy of what each slot has to have for itself, and anything else
// itself. The handle stays the slot's.
SUBI_EXPORT void *subi_slot_load(subi_slot *s, const char *path, int flags);

// A symbol of the slot's libpython; NULL: it has none of that name.
SUBI_EXPORT void *subi_slot_python_symbol(subi_slot *s, const char *name);

// Nothing runs in the copies any more, but perhaps threads that are just ending. With `unload` the
// copies are unloaded, and the slot's number is free again. False: they stay loaded for ever, since
// that was not wanted; or a thread that code in them has started has not ended within 100 ms, or is
// the caller, or may be there unseen; or a handler of signals that lies in them may be called later; or
// the dynamic linker did not do it. Blocks.
SUBI_EXPORT bool subi_slot_close(subi_slot *s, bool unload);

// What dlopen does in code of a copy, which `caller` is an address of.
SUBI_EXPORT void *subi_slot_dlopen(const char *path, int flags, const void *caller);

// What dladdr does there: the file of a copy is the one that it was made from. `info` is a Dl_info.
SUBI_EXPORT int subi_slot_dladdr(const void *address, void *info);

// What pthread_key_create and pthread_key_delete do there. A thread may outlive the code of a
// destructor, so only threads that the slot counts call it; and the slot's end deletes the keys that
// are left.
SUBI_EXPORT int subi_slot_key_create(pthread_key_t *key, void (*destructor)(void *),
                                     const void *caller);
SUBI_EXPORT int subi_slot_key_delete(pthread_key_t key);

// What pthread_create does there: the slot counts the threads that have not ended.
SUBI_EXPORT int subi_slot_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                        void *(*run)(void *), void *arg, const void *caller);

// What __cxa_thread_atexit does there: destroys an object of this thread when it ends, unless the slot
// that has the address is closed before.
SUBI_EXPORT int subi_slot_thread_atexit(void (*function)(void *), void *object, void *address);

// What sigaction does there: a handler in a copy goes with it. When the slot is closed, what was there
// before is put back; if somebody else may put the handler back, the slot stays.
struct sigaction;
SUBI_EXPORT int subi_slot_sigaction(int number, const struct sigaction *action,
                                    struct sigaction *old, const void *caller);

// What std::thread does there to start one that runs and deletes state. False: it is not done; the
// state is of no slot, or the system refused.
struct subi_std_thread_state;
SUBI_EXPORT bool subi_slot_std_thread_start(pthread_t *thread, struct subi_std_thread_state *state);

// What the last call on this thread failed for; NULL: for something that the dynamic linker knows
// (the other one). Each tells it once.
SUBI_EXPORT const char *subi_slot_error(void);
SUBI_EXPORT char *subi_slot_system_error(void);

// The files with the copies are in a folder that all processes of the user share:
// $SUBINTERPRETERS_CACHE, or `subinterpreters` in the user's cache folder, or one for temporary
// files. NULL: none of them will do.
SUBI_EXPORT const char *subi_cache_folder(void);

// The oldest files are removed when there are more bytes than that ($SUBINTERPRETERS_CACHE_SIZE: a
// number, perhaps with K, M, G or T; with anything else no slot is opened), if they are older than a
// minute.
SUBI_EXPORT uint64_t subi_cache_limit(void);

// What is in it: bytes on disk, and files. SUBI_NOT_FOUND: there is no folder. SUBI_NOMEM: it is more.
SUBI_EXPORT subi_result subi_cache_size(uint64_t *size, size_t *count);

// Removes all files, but those that have been begun within a minute and may be being written. Those that
// are loaded somewhere stay loaded. SUBI_NOT_FOUND; SUBI_NOMEM: some are left.
SUBI_EXPORT subi_result subi_cache_clear(void);

// ---- threads -------------------------------------------------------------------------------

// One record for each OS thread, made on first use, marked dead when the thread ends.
// Reference counted, so that it can be asked after the thread is gone.
typedef struct subi_thread subi_thread;
SUBI_EXPORT subi_thread *subi_thread_self(void);  // borrowed; NULL: out of memory
SUBI_EXPORT void subi_thread_hold(subi_thread *t);
SUBI_EXPORT void subi_thread_drop(subi_thread *t);
SUBI_EXPORT bool subi_thread_alive(const subi_thread *t);
SUBI_EXPORT uintptr_t subi_thread_ident(const subi_thread *t);  // its pthread_t, while it is alive

// Makes the wait on a channel that t is in return SUBI_INTERRUPTED, else its next one.
SUBI_EXPORT void subi_thread_interrupt(subi_thread *t);

// Whether the caller is the thread that the process began with. Some things cost more there: its
// stack is described by no one but the kernel.
SUBI_EXPORT bool subi_thread_is_initial(void);

// ---- the foreground ------------------------------------------------------------------------

// The runs on the thread that the process began with. It is there that Python handles signals, but not
// before the run ends; so SIGINT, which Ctrl-C sends, has to interrupt the run.
typedef struct subi_foreground {
    struct subi_foreground *outer;
    subi_interp *interp;
    uint64_t run;
    uint32_t signals;  // how many SIGINTs there had been before
} subi_foreground;

// By that thread, before and after a run, to which the caller has given a number. When SIGINT has been
// handled meanwhile by whoever handles it, a thread of the core's calls `interrupt` for all such runs, the
// innermost first, with the number of SIGINTs that there were; the run may have ended by then. A SIGINT that came before the outermost run is not
// its business: look for it after this. With `interrupt` NULL, as for a run inside another, what was said last
// is called. False: nobody handles SIGINT, or there is no memory, and there is nothing to leave.
SUBI_EXPORT bool subi_foreground_enter(subi_foreground *f, subi_interp *i, uint64_t run,
                                       void (*interrupt)(subi_interp *i, uint64_t run,
                                                         uint32_t signals));
SUBI_EXPORT void subi_foreground_leave(subi_foreground *f);

// Whether a run of it is in progress.
SUBI_EXPORT bool subi_foreground_is_busy(void);

// How many SIGINTs there were.
SUBI_EXPORT uint32_t subi_foreground_signals(void);

// ---- the process ---------------------------------------------------------------------------

// Counts the forks between the first process and this one; objects of another generation answer
// SUBI_FORKED.
SUBI_EXPORT uint32_t subi_generation(void);

// How many runs (see subi_interp_enter), makings and closings of interpreters are in progress, and
// how many threads are waiting on channels and locks.
SUBI_EXPORT uint32_t subi_running(void);
SUBI_EXPORT uint32_t subi_waiting(void);

// Waits until subi_running() is 0. SUBI_TIMEOUT, SUBI_INTERRUPTED.
SUBI_EXPORT subi_result subi_quiesce(int64_t deadline);

// A gate for work that keeps a processor busy, the making of interpreters: it lets as many threads
// in as there are processors, or one alone, in the order in which they came. The first run of an
// interpreter, until it waits on a channel, and its closing count too, for 20 ms at most: many
// interpreters made at once are then made and run a few at a time, which is faster and takes less
// memory. A thread that is inside may enter again. Blocks; not to be entered with a GIL held.
SUBI_EXPORT void subi_workshop_enter(bool alone);
SUBI_EXPORT void subi_workshop_leave(bool alone);

// Before the maker of an interpreter leaves: keeps a place until the interpreter's first run begins,
// for 5 ms at most.
SUBI_EXPORT void subi_interp_stay(subi_interp *i);

// What the binding in the main runtime does for those in private ones: a table of functions, which
// the core only keeps.
SUBI_EXPORT void subi_host_set(const void *table);
SUBI_EXPORT const void *subi_host(void);

// The environment of the process. Where the program has a variable `environ` of its own, copies see
// another one, which nobody sets.
SUBI_EXPORT char **subi_environment(void);

// For the process's exit: from now on no run begins and no interpreter is made (SUBI_CLOSED).
SUBI_EXPORT void subi_refuse_runs(void);

// For the process's exit: closes every channel, so that every waiting thread comes back with
// SUBI_CLOSED, also those that wait on locks. Later sends and receives fail the same way; and what
// would have to wait on a lock, but not what would not.
SUBI_EXPORT void subi_shutdown(void);
SUBI_EXPORT bool subi_is_shut_down(void);

#ifdef __cplusplus
}
#endif
#endif
