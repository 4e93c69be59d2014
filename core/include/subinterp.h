// SPDX-License-Identifier: MIT
//
// libsubinterp: what interpreters of one process share. Messages, channels, select and locks, in plain
// C11 that knows no Python, so that one copy serves every Python runtime of the process and any native
// thread. What makes and ends interpreters uses subinterp_runtime.h besides.
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

// That much memory from malloc is about to be written, all of it: makes that cheaper if it is a lot.
SUBI_EXPORT void subi_will_fill(void *memory, size_t size);

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

// Moves *m, which was received from the channel, back, in front of all others: the next receiver gets it, even if there are
// more than the capacity then. If it was the last one of a channel that is closed for sending, that is
// open for receiving again. What one receiver has taken is put back without an allocation. On any result but
// SUBI_OK *m still belongs to the caller.
// SUBI_CLOSED: the receiving end was closed meanwhile; SUBI_NOMEM: there were several; SUBI_FORKED.
SUBI_EXPORT subi_result subi_channel_put_back(subi_channel *c, subi_message *m);

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

// Another copy of it, which is the caller's. If no descriptor is left, this one is taken. -1: it has been taken.
SUBI_EXPORT int subi_descriptor_copy(subi_descriptor *d);

// A segment for a message; it holds a reference.
SUBI_EXPORT subi_segment subi_descriptor_segment(subi_descriptor *d);

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

#ifdef __cplusplus
}
#endif
#endif
