// SPDX-License-Identifier: MIT
//
// Programs whose instructions are bytes, for channels, interpreters and event loops, on one thread: what
// comes out is what a simple model says. Messages come in order, none is lost or comes twice, and at
// the end nothing is left. Where event loops wait, what is reserved for them leaves a choice: then the
// model has bounds; when they have gone it is exact again.
#include <poll.h>
#include <string.h>

#include "peek.h"

#define CHANNELS  6  // in one program
#define INTERPS   4
#define NOTIFIERS 2
#define WAITERS   6
#define CASES     3
#define MESSAGES  100
#define NOBODY    INTERPS  // in the place of an interpreter's index

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// ---- the program ------------------------------------------------------------------------------

static const uint8_t *code, *code_end;

// A number below n; 0 when there is nothing left.
static unsigned
pick(unsigned n)
{
    return code < code_end ? *code++ % n : 0;
}

// ---- the model --------------------------------------------------------------------------------

typedef enum fate { UNMADE, ALIVE, FREED } fate;

typedef struct model_message {
    fate fate;
    bool is_block;
    uint8_t note;
    unsigned interp;  // that sends it
    int end_of;       // the channel that it carries an end of; -1: none
    subi_end end;
} model_message;

typedef struct model_channel {
    subi_channel *c;  // may be gone when there are no references
    int64_t id;
    size_t capacity;
    uint64_t label;
    unsigned references, ours;  // ours: by the program
    unsigned handles[SUBI_BOTH];
    bool listed, send_closed, recv_closed;
    unsigned used[INTERPS], open[INTERPS];
    unsigned queue[MESSAGES], count;
} model_channel;

typedef struct model_interp {
    subi_interp *i;
    int64_t id;
    subi_state state;
    unsigned pins, users;
    bool orphaned;
} model_interp;

typedef struct model_notifier {
    subi_notifier *n;
    unsigned interp;
    bool closed;
} model_notifier;

typedef struct model_waiter {
    subi_waiter *w;
    unsigned notifier;
    size_t count;
    unsigned channels[CASES];
    subi_end ends[CASES];
    unsigned sent[CASES];  // which message each would send
    subi_message messages[CASES];
    bool waits, told, done;
} model_waiter;

static model_message messages[MESSAGES];
static unsigned message_count;
static model_channel channels[CHANNELS];
static unsigned channel_count;
static model_interp interps[INTERPS];
static unsigned interp_count;
static model_notifier notifiers[NOTIFIERS];
static unsigned notifier_count;
static model_waiter waiters[WAITERS];
static bool interrupted;  // the next wait will be

static int64_t
id_of(unsigned interp)
{
    return interp < INTERPS ? interps[interp].id : SUBI_NOBODY;
}

static unsigned
pick_interp(void)
{
    unsigned i = pick(interp_count + 1);
    return i < interp_count ? i : NOBODY;
}

// One that the program has a reference to, or NULL.
static model_channel *
pick_channel(void)
{
    unsigned first = pick(CHANNELS);
    for (unsigned i = 0; i < channel_count; i++) {
        model_channel *m = &channels[(first + i) % channel_count];
        if (m->ours > 0) {
            return m;
        }
    }
    return NULL;
}

// The nodes of waiters that wait for that, told or not.
static size_t
waiting(const model_channel *m, subi_end end)
{
    size_t n = 0;
    for (unsigned i = 0; i < WAITERS; i++) {
        for (size_t k = 0; k < waiters[i].count && waiters[i].waits; k++) {
            n += &channels[waiters[i].channels[k]] == m && waiters[i].ends[k] == end;
        }
    }
    return n;
}

static void model_close(model_channel *m, unsigned ends);

static void
model_unref(model_channel *m)
{
    must(m->references > 0);
    if (--m->references == 0) {
        m->listed = false;
        model_close(m, SUBI_BOTH);
    }
}

static void
model_drop_end(model_channel *m, subi_end end)
{
    if (--m->handles[end] == 0 && !m->recv_closed) {
        model_close(m, end);
    }
    model_unref(m);
}

// What the message has goes with it.
static void
model_free(unsigned id)
{
    model_message *m = &messages[id];
    m->fate = m->is_block ? m->fate : FREED;
    if (m->end_of >= 0) {
        model_drop_end(&channels[m->end_of], m->end);
    }
}

static void
model_close(model_channel *m, unsigned ends)
{
    unsigned garbage[MESSAGES], n = 0;
    m->send_closed = true;
    if ((ends & SUBI_RECV) != 0) {
        n = m->count;
        memcpy(garbage, m->queue, n * sizeof(*garbage));
        m->count = 0;
    }
    m->recv_closed = m->count == 0;
    for (unsigned i = 0; i < n; i++) {
        model_free(garbage[i]);
    }
}

static void
model_settle(model_channel *m)
{
    m->recv_closed = m->recv_closed || (m->count == 0 && m->send_closed);
}

static unsigned
model_take(model_channel *m, unsigned at)
{
    unsigned id = m->queue[at];
    memmove(m->queue + at, m->queue + at + 1, (m->count - at - 1) * sizeof(*m->queue));
    m->count--;
    return id;
}

// ---- messages ---------------------------------------------------------------------------------

static void
free_token(void *token)
{
    model_message *m = token;
    must(m->fate == ALIVE);
    m->fate = FREED;
}

// false: there were enough.
static bool
make_message(unsigned interp, unsigned *id, subi_message *out)
{
    if (message_count == MESSAGES) {
        return false;
    }
    *id = message_count++;
    model_message *m = &messages[*id];
    unsigned kind = pick(8);
    *m = (model_message){.fate = ALIVE, .interp = interp, .end_of = -1};
    m->is_block = kind != 0;
    if (m->is_block) {
        subi_block *block = subi_block_new(sizeof(*id));
        must(block != NULL);
        memcpy(subi_block_bytes(block), id, sizeof(*id));
        must(subi_block_attach(block, (subi_segment){.owner = m, .free = free_token}) == SUBI_OK);
        model_channel *carried = kind >= 6 ? pick_channel() : NULL;
        if (carried != NULL) {
            m->end = kind == 6 ? SUBI_SEND : SUBI_RECV;
            m->end_of = (int)(carried - channels);
            carried->references++;
            carried->handles[m->end]++;
            subi_segment s = subi_channel_end_segment(carried->c, m->end);
            must(subi_block_attach(block, s) == SUBI_OK);
        }
        *out = subi_message_block(block);
    }
    else {
        *out = subi_message_integer((int64_t)*id);
    }
    if (interp != NOBODY && kind % 2 == 1) {
        out->note = m->note = kind == 5 ? 2 : SUBI_NOTE_REMOVE;
        out->from = (uint32_t)id_of(interp);
    }
    return true;
}

static unsigned
read_message(const subi_message *m)
{
    unsigned id;
    if (m->tag == SUBI_TAG_INTEGER) {
        id = (unsigned)m->u.integer;
    }
    else {
        must(m->tag == SUBI_TAG_BLOCK && subi_block_size(m->u.block) == sizeof(id));
        memcpy(&id, subi_block_bytes(m->u.block), sizeof(id));
    }
    must(id < message_count && messages[id].fate == ALIVE && messages[id].note == m->note);
    must(messages[id].is_block == (m->tag == SUBI_TAG_BLOCK));
    return id;
}

// One that the caller has.
static void
free_message(unsigned id, subi_message *m)
{
    bool is_block = m->tag == SUBI_TAG_BLOCK;
    subi_message_fini(m);
    must(m->tag == SUBI_TAG_NONE);
    must(messages[id].fate == (is_block ? FREED : ALIVE));
    model_free(id);
}

// ---- what operations do -----------------------------------------------------------------------

// The interpreter is a user of that end from now on. False: it has released it.
static bool
model_associate(model_channel *m, unsigned interp, subi_end end)
{
    if (interp == NOBODY) {
        return true;
    }
    if ((m->used[interp] & end) == 0) {
        m->used[interp] |= end;
        m->open[interp] |= end;
    }
    return (m->open[interp] & end) != 0;
}

static bool
is_closed_for(const model_channel *m, unsigned interp, subi_end end)
{
    bool released = interp != NOBODY && (m->used[interp] & ~m->open[interp] & end) != 0;
    return (end == SUBI_SEND ? m->send_closed : m->recv_closed) || released;
}

// What is surely possible, and what may be.
static bool
is_ready(const model_channel *m, subi_end end)
{
    return end == SUBI_SEND ? m->count + waiting(m, SUBI_SEND) < m->capacity
                            : m->count > waiting(m, SUBI_RECV);
}

static bool
may_be_ready(const model_channel *m, subi_end end)
{
    size_t receivers = waiting(m, SUBI_RECV);
    return end == SUBI_RECV ? m->count > 0
                            : m->capacity == SUBI_UNBOUNDED || m->count < m->capacity + receivers;
}

static void
sent(model_channel *m, unsigned id)
{
    m->queue[m->count++] = id;
}

static void
received(model_channel *m, subi_message *out)
{
    must(m->count > 0);
    unsigned expected = model_take(m, 0), id = read_message(out);
    must(id == expected);
    model_settle(m);
    free_message(id, out);
}

// How a wait that was over from the beginning ends in vain.
static subi_result
end_of_wait(subi_result r)
{
    subi_result expected = interrupted ? SUBI_INTERRUPTED : SUBI_TIMEOUT;
    interrupted = interrupted && r != SUBI_INTERRUPTED;
    return expected;
}

// After an operation with several cases: some of them were tried, and so have been associated.
static void
look_at_users(model_channel *m, unsigned interp, unsigned may)
{
    if (interp == NOBODY || m->references == 0) {
        return;
    }
    const subi__users *u = &m->c->users;
    for (size_t i = 0; i < u->count; i++) {
        if (u->items[i].interp == id_of(interp)) {
            unsigned more = u->items[i].used & ~m->used[interp];
            must((u->items[i].used & m->used[interp]) == m->used[interp] && (more & ~may) == 0);
            must(u->items[i].open == (m->open[interp] | more));
            m->used[interp] |= more;
            m->open[interp] |= more;
            return;
        }
    }
    must(m->used[interp] == 0);
}

static void
check_channel(model_channel *m)
{
    must(subi_channel_id(m->c) == m->id);
    must(subi_channel_capacity(m->c) == m->capacity && subi_channel_label(m->c) == m->label);
    must(subi_channel_count(m->c) == m->count);
    must(subi_channel_is_closed(m->c, SUBI_SEND) == m->send_closed);
    must(subi_channel_is_closed(m->c, SUBI_RECV) == m->recv_closed);
    must(subi_channel_listed(m->c) == m->listed);
    bool quiet = waiting(m, SUBI_SEND) + waiting(m, SUBI_RECV) == 0;
    must(!quiet || (m->c->promised == 0 && m->c->granted == 0));
}

static void
check_all(void)
{
    for (unsigned i = 0; i < channel_count; i++) {
        if (channels[i].references > 0) {
            check_channel(&channels[i]);
        }
    }
}

// ---- instructions: channels -------------------------------------------------------------------

static void
do_new_channel(void)
{
    static const size_t capacities[] = {SUBI_UNBOUNDED, SUBI_RENDEZVOUS, 1, 2, 3, 9};
    if (channel_count < CHANNELS) {
        model_channel *m = &channels[channel_count];
        *m = (model_channel){.references = 1, .ours = 1, .listed = true};
        m->capacity = capacities[pick(6)];
        m->label = pick(3);
        must(subi_channel_new_labelled(m->capacity, m->label, &m->c) == SUBI_OK);
        m->id = subi_channel_id(m->c);
        must(channel_count == 0 || m->id > channels[channel_count - 1].id);
        channel_count++;
    }
}

static void
do_send(bool waits)
{
    model_channel *m = pick_channel();
    unsigned interp = pick_interp(), id;
    subi_message message;
    if (m == NULL || !make_message(interp, &id, &message)) {
        return;
    }
    bool send_closed = m->send_closed, ready = is_ready(m, SUBI_SEND);
    bool open = !send_closed && model_associate(m, interp, SUBI_SEND);
    bool may = may_be_ready(m, SUBI_SEND);
    subi_result r = subi_channel_send(m->c, id_of(interp), &message, waits ? 1 : SUBI_TRY);
    must(r == SUBI_OK || r == SUBI_CLOSED || r == (waits ? end_of_wait(r) : SUBI_FULL));
    must((r == SUBI_CLOSED) == !open && (r != SUBI_OK || may) && (!open || !ready || r == SUBI_OK));
    if (r == SUBI_OK) {
        must(message.tag == SUBI_TAG_NONE);
        sent(m, id);
    }
    else {
        free_message(id, &message);
    }
}

static void
do_recv(bool waits)
{
    model_channel *m = pick_channel();
    unsigned interp = pick_interp();
    subi_message message = subi_message_none();
    if (m == NULL) {
        return;
    }
    bool ready = is_ready(m, SUBI_RECV);
    bool open = !m->recv_closed && model_associate(m, interp, SUBI_RECV);
    bool may = may_be_ready(m, SUBI_RECV);
    subi_result r = subi_channel_recv(m->c, id_of(interp), &message, waits ? 1 : SUBI_TRY);
    must(r == SUBI_OK || r == SUBI_CLOSED || r == (waits ? end_of_wait(r) : SUBI_EMPTY));
    must((r == SUBI_CLOSED) == !open && (r != SUBI_OK || may) && (!open || !ready || r == SUBI_OK));
    if (r == SUBI_OK) {
        received(m, &message);
    }
}

static void
do_close(void)
{
    model_channel *m = pick_channel();
    unsigned how = pick(6);
    subi_end ends = (subi_end)(how % 3 + 1);
    bool discard = how >= 3;
    if (m == NULL) {
        return;
    }
    subi_result r = subi_channel_close(m->c, ends, discard);
    if (m->recv_closed || (m->send_closed && ends == SUBI_SEND)) {
        must(r == SUBI_CLOSED);
    }
    else if ((ends & SUBI_RECV) != 0 && m->count > 0 && !discard) {
        must(r == SUBI_NOT_EMPTY);
    }
    else {
        must(r == SUBI_OK);
        model_close(m, ends);
    }
}

static void
do_release(void)
{
    model_channel *m = pick_channel();
    unsigned interp = pick(INTERPS);
    subi_end ends = (subi_end)(pick(3) + 1);
    if (m == NULL || interp >= interp_count) {
        return;
    }
    subi_result r = subi_channel_release(m->c, id_of(interp), ends);
    must(r == (m->recv_closed ? SUBI_CLOSED : SUBI_OK));
    if (r == SUBI_OK) {
        bool any = false;
        m->used[interp] |= ends;
        m->open[interp] &= ~(unsigned)ends;
        for (unsigned i = 0; i < INTERPS; i++) {
            any = any || m->open[i] != 0;
        }
        if (!any) {
            model_close(m, SUBI_BOTH);
        }
    }
}

static void
do_users(void)
{
    model_channel *m = pick_channel();
    subi_end end = pick(2) == 0 ? SUBI_SEND : SUBI_RECV;
    int64_t *ids;
    size_t count, expected = 0;
    if (m == NULL) {
        return;
    }
    subi_result r = subi_channel_users(m->c, end, &ids, &count);
    bool closed = m->recv_closed || (end == SUBI_SEND && m->send_closed);
    must(r == (closed ? SUBI_CLOSED : SUBI_OK));
    if (r != SUBI_OK) {
        return;
    }
    for (unsigned i = 0; i < interp_count; i++) {
        bool found = false;
        for (size_t k = 0; k < count; k++) {
            found = found || ids[k] == id_of(i);
        }
        must(found == ((m->open[i] & end) != 0));
        expected += found;
    }
    must(count == expected);
    free(ids);
}

static void
do_references(void)
{
    model_channel *m = pick_channel();
    unsigned how = pick(4);
    if (m == NULL) {
        return;
    }
    if (how == 0 && m->ours < 3) {
        subi_channel_hold(m->c);
        m->references++;
        m->ours++;
    }
    else if (how == 1) {
        m->ours--;
        subi_channel_drop(m->c);
        model_unref(m);
    }
    else if (how == 2) {
        must(subi_channel_unlist(m->c) == (m->listed ? SUBI_OK : SUBI_NOT_FOUND));
        if (m->listed) {
            m->listed = false;
            if (!m->recv_closed) {
                model_close(m, SUBI_BOTH);
            }
        }
    }
    else {
        subi_channel_hold_end(m->c, SUBI_SEND);
        m->references++;
        m->handles[SUBI_SEND]++;
        subi_channel_drop_end(m->c, SUBI_SEND);
        model_drop_end(m, SUBI_SEND);
    }
}

// A channel of which only messages or event loops have references is ours again.
static void
do_lookup(void)
{
    model_channel *m = &channels[pick(CHANNELS)];
    if (m >= channels + channel_count) {
        return;
    }
    subi_channel *found = subi_channel_lookup(m->id);
    must((found != NULL) == (m->references > 0 && m->listed));
    if (found != NULL) {
        must(found == m->c);
        m->references++;
        m->ours++;
    }
}

static void
do_list(void)
{
    int64_t *ids;
    size_t count, n = 0;
    must(subi_channel_list(&ids, &count) == SUBI_OK);
    for (unsigned i = 0; i < channel_count; i++) {
        if (channels[i].references > 0 && channels[i].listed) {
            must(n < count && ids[n++] == channels[i].id);
        }
    }
    must(n == count);
    free(ids);
}

// ---- instructions: several at a time ----------------------------------------------------------

// false: there are no channels.
static bool
pick_cases(model_waiter *w, unsigned interp, subi_case *cases)
{
    w->count = 1 + pick(CASES);
    for (size_t i = 0; i < w->count; i++) {
        model_channel *m = pick_channel();
        w->ends[i] = pick(2) == 0 ? SUBI_SEND : SUBI_RECV;
        w->messages[i] = subi_message_none();
        if (m != NULL && w->ends[i] == SUBI_SEND &&
            !make_message(interp, &w->sent[i], &w->messages[i])) {
            w->ends[i] = SUBI_RECV;
        }
        if (m == NULL) {
            must(i == 0);
            w->count = 0;
            return false;
        }
        w->channels[i] = (unsigned)(m - channels);
        cases[i] = (subi_case){m->c, w->ends[i], &w->messages[i]};
    }
    return true;
}

// What has come of the cases of w.
static void
check_choice(model_waiter *w, unsigned interp, subi_result r, size_t chosen, const bool *may,
             bool surely)
{
    for (size_t i = 0; i < w->count; i++) {
        unsigned ends = 0;
        for (size_t k = 0; k < w->count; k++) {
            ends |= w->channels[k] == w->channels[i] ? (unsigned)w->ends[k] : 0;
        }
        look_at_users(&channels[w->channels[i]], interp, ends);
    }
    must(r == SUBI_OK || r == SUBI_CLOSED || !surely);
    if (r == SUBI_OK || r == SUBI_CLOSED) {
        must(chosen < w->count);
        model_channel *m = &channels[w->channels[chosen]];
        must(is_closed_for(m, interp, w->ends[chosen]) == (r == SUBI_CLOSED));
        must(r == SUBI_CLOSED || may[chosen]);
        if (r == SUBI_OK && w->ends[chosen] == SUBI_SEND) {
            must(w->messages[chosen].tag == SUBI_TAG_NONE);
            sent(m, w->sent[chosen]);
            w->ends[chosen] = SUBI_RECV;  // there is no message left to free
        }
        else if (r == SUBI_OK) {
            received(m, &w->messages[chosen]);
        }
    }
}

// Whether some case is sure to go ahead, and in may which can. Who waits does not hear of it when its own
// interpreter releases the end.
static bool
look_ahead(const model_waiter *w, unsigned interp, bool *may)
{
    bool surely = false;
    for (size_t i = 0; i < w->count; i++) {
        const model_channel *m = &channels[w->channels[i]];
        bool closed = is_closed_for(m, w->w != NULL ? NOBODY : interp, w->ends[i]);
        may[i] = may_be_ready(m, w->ends[i]);
        surely = surely || closed || is_ready(m, w->ends[i]);
    }
    return surely;
}

static void
free_cases(model_waiter *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->ends[i] == SUBI_SEND) {
            must(read_message(&w->messages[i]) == w->sent[i]);
            free_message(w->sent[i], &w->messages[i]);
        }
    }
    w->count = 0;
}

static void
do_select(bool waits)
{
    model_waiter w = {0};
    subi_case cases[CASES];
    bool may[CASES];
    size_t chosen = SIZE_MAX;
    unsigned interp = pick_interp();
    if (!pick_cases(&w, interp, cases)) {
        return;
    }
    bool surely = look_ahead(&w, interp, may);
    subi_result r = subi_select(cases, w.count, id_of(interp), waits ? 1 : SUBI_TRY, &chosen);
    must(r == SUBI_OK || r == SUBI_CLOSED ||
         (chosen == SIZE_MAX && r == (waits ? end_of_wait(r) : SUBI_EMPTY)));
    check_choice(&w, interp, r, chosen, may, surely);
    free_cases(&w);
}

// ---- instructions: event loops ----------------------------------------------------------------

static void
do_new_notifier(void)
{
    unsigned interp = pick_interp();
    if (notifier_count < NOTIFIERS) {
        model_notifier *n = &notifiers[notifier_count++];
        *n = (model_notifier){.interp = interp};
        must(subi_notifier_new(id_of(interp), &n->n) == SUBI_OK);
    }
}

static void
try_waiter(model_waiter *w)
{
    bool may[CASES];
    size_t chosen = SIZE_MAX;
    const model_notifier *n = &notifiers[w->notifier];
    w->waits = false;  // what is reserved for it is not in its way
    bool surely = look_ahead(w, n->interp, may);
    subi_result r = subi_waiter_try(w->w, &chosen);
    if (n->closed) {
        must(r == SUBI_CLOSED && chosen == SIZE_MAX);
        return;
    }
    must(r == SUBI_OK || r == SUBI_CLOSED || (r == SUBI_EMPTY && chosen == SIZE_MAX));
    check_choice(w, n->interp, r, chosen, may, surely);
    w->waits = r == SUBI_EMPTY;
    w->done = r == SUBI_OK;
    w->told = false;
}

static void
end_waiter(model_waiter *w)
{
    if (w->w == NULL) {
        return;
    }
    unsigned held[CASES];
    size_t count = w->count;
    memcpy(held, w->channels, sizeof(held));
    w->waits = false;
    subi_waiter_free(w->w);
    for (size_t i = 0; i < count; i++) {
        model_unref(&channels[held[i]]);
    }
    free_cases(w);
    w->w = NULL;
}

static void
do_new_waiter(void)
{
    model_waiter *w = &waiters[pick(WAITERS)];
    subi_case cases[CASES];
    if (notifier_count == 0) {
        return;
    }
    end_waiter(w);
    *w = (model_waiter){.notifier = pick(notifier_count)};
    const model_notifier *n = &notifiers[w->notifier];
    if (pick_cases(w, n->interp, cases)) {
        must(subi_waiter_new(n->n, cases, w->count, id_of(n->interp), w, &w->w) == SUBI_OK);
        for (size_t i = 0; i < w->count; i++) {
            channels[w->channels[i]].references++;
        }
        try_waiter(w);
    }
}

static void
do_try_waiter(void)
{
    model_waiter *w = &waiters[pick(WAITERS)];
    if (w->w != NULL && !w->done) {
        try_waiter(w);
    }
}

// Who waits and has not been told has nothing to do.
static void
check_untold(unsigned notifier)
{
    bool may[CASES];
    for (unsigned i = 0; i < WAITERS; i++) {
        model_waiter *w = &waiters[i];
        if (w->waits && !w->told && w->notifier == notifier) {
            w->waits = false;
            must(!look_ahead(w, notifiers[notifier].interp, may));
            w->waits = true;
        }
    }
}

// What an event loop does when its descriptor is looked at.
static void
pump(unsigned notifier)
{
    subi_notifier *n = notifiers[notifier].n;
    struct pollfd p = {.fd = subi_notifier_fd(n), .events = POLLIN};
    bool readable = poll(&p, 1, 0) == 1;
    model_waiter *w;
    subi_notifier_clear(n);
    while ((w = subi_notifier_next(n)) != NULL) {
        must(readable && w >= waiters && w < waiters + WAITERS);
        must(w->w != NULL && w->notifier == notifier && w->waits && !w->told);
        w->told = true;
    }
    check_untold(notifier);
}

static void
do_pump(void)
{
    if (notifier_count > 0) {
        pump(pick(notifier_count));
    }
}

// ---- instructions: interpreters ---------------------------------------------------------------

static void
do_new_interp(void)
{
    static const subi_kind kinds[] = {SUBI_KIND_OWN, SUBI_KIND_SHARED, SUBI_KIND_PRIVATE};
    if (interp_count < INTERPS) {
        model_interp *i = &interps[interp_count];
        *i = (model_interp){.state = SUBI_STATE_RUNNING};
        must(subi_interp_new(kinds[pick(3)], NULL, SUBI_NOBODY, &i->i) == SUBI_OK);
        i->id = subi_interp_id(i->i);
        interp_count++;
    }
}

// What those that have been closed sent is taken out, unless event loops have been told of it.
static void
model_sender_closed(unsigned interp)
{
    for (unsigned i = 0; i < channel_count; i++) {
        model_channel *m = &channels[i];
        unsigned garbage[MESSAGES], n = 0, at = 0;
        if (m->references == 0) {
            continue;
        }
        size_t promised = m->c->promised;
        while (at < m->count) {
            const model_message *message = &messages[m->queue[at]];
            bool goes = message->note == SUBI_NOTE_REMOVE && message->interp == interp &&
                        m->count > promised;
            if (goes) {
                garbage[n++] = model_take(m, at);
            }
            else {
                at++;
            }
        }
        if (n > 0) {
            model_settle(m);
        }
        // with references of the core's own meanwhile
        m->references++;
        for (unsigned k = 0; k < n; k++) {
            model_free(garbage[k]);
        }
        model_unref(m);
    }
}

static void
end_interp(unsigned which)
{
    model_interp *i = &interps[which];
    subi_notifiers_close(i->id);
    for (unsigned n = 0; n < notifier_count; n++) {
        if (notifiers[n].interp == which) {
            notifiers[n].closed = true;
            for (unsigned w = 0; w < WAITERS; w++) {
                waiters[w].waits = waiters[w].waits && waiters[w].notifier != n;
            }
        }
    }
    // the model first: it asks what is promised
    model_sender_closed(which);
    subi_interp_end_close(i->i, true);
    i->state = SUBI_STATE_CLOSED;
}

static void
do_interp(void)
{
    unsigned which = pick(INTERPS), how = pick(10);
    model_interp *i = &interps[which];
    if (which >= interp_count) {
        return;
    }
    bool open = i->state == SUBI_STATE_IDLE || i->state == SUBI_STATE_RUNNING;
    if (how == 0) {
        subi_result r = subi_interp_enter(i->i, SUBI_TRY);
        must(r == (i->state == SUBI_STATE_IDLE ? SUBI_OK : open ? SUBI_BUSY : SUBI_CLOSED));
        i->state = r == SUBI_OK ? SUBI_STATE_RUNNING : i->state;
    }
    else if (how == 1 && i->state == SUBI_STATE_RUNNING) {
        must(subi_interp_leave(i->i) == i->orphaned);
        i->orphaned = false;
        i->state = SUBI_STATE_IDLE;
    }
    else if (how == 2) {
        subi_result r = subi_interp_begin_close(i->i, SUBI_TRY);
        bool in_use = i->state == SUBI_STATE_RUNNING || i->pins > 0;
        must(r == (in_use ? SUBI_BUSY : open ? SUBI_OK : SUBI_CLOSED));
        i->state = r == SUBI_OK ? SUBI_STATE_CLOSING : i->state;
    }
    else if (how == 3 && i->state == SUBI_STATE_CLOSING) {
        subi_interp_end_close(i->i, false);
        i->state = SUBI_STATE_IDLE;
    }
    else if (how == 4 && i->state == SUBI_STATE_CLOSING) {
        end_interp(which);
    }
    else if (how == 5) {
        must(subi_interp_pin(i->i) == open);
        i->pins += open;
    }
    else if (how == 6 && i->pins > 0) {
        subi_interp_unpin(i->i);
        i->pins--;
    }
    else if (how == 7) {
        subi_interp_hold_user(i->i);
        i->users++;
        i->orphaned = false;
    }
    else if (how == 8 && i->users > 0) {
        bool last = --i->users == 0;
        must(subi_interp_drop_user(i->i) == (last && i->state == SUBI_STATE_IDLE));
        i->orphaned = last ? i->state == SUBI_STATE_RUNNING : i->orphaned;
    }
    must(subi_interp_state(i->i) == i->state);
    subi_interp *found = subi_interp_lookup(i->id);
    open = i->state == SUBI_STATE_IDLE || i->state == SUBI_STATE_RUNNING;
    must(found == (open ? i->i : NULL));
    if (found != NULL) {
        subi_interp_drop(found);
    }
}

// ---- a program --------------------------------------------------------------------------------

static void
run_one(unsigned instruction)
{
    switch (instruction) {
    case 0:
        do_new_channel();
        break;
    case 1:
    case 2:
    case 3:
        do_send(instruction == 3);
        break;
    case 4:
    case 5:
    case 6:
        do_recv(instruction == 6);
        break;
    case 7:
        do_close();
        break;
    case 8:
        do_release();
        break;
    case 9:
        do_users();
        break;
    case 10:
        do_references();
        break;
    case 11:
        do_lookup();
        break;
    case 12:
        do_list();
        break;
    case 13:
    case 14:
        do_select(instruction == 14);
        break;
    case 15:
        do_new_notifier();
        break;
    case 16:
    case 17:
        do_new_waiter();
        break;
    case 18:
    case 19:
        do_try_waiter();
        break;
    case 20:
        do_pump();
        break;
    case 21:
        do_new_interp();
        break;
    case 22:
        subi_thread_interrupt(subi_thread_self());
        interrupted = true;
        break;
    default:
        do_interp();
    }
}

static void
end_event_loops(void)
{
    for (unsigned i = 0; i < notifier_count; i++) {
        pump(i);
    }
    for (unsigned i = 0; i < WAITERS; i++) {
        end_waiter(&waiters[i]);
    }
    for (unsigned i = 0; i < notifier_count; i++) {
        subi_notifier_drop(notifiers[i].n);
    }
}

// What is left of it can be received, and then there is all the room.
static void
use_up(model_channel *m)
{
    subi_message message;
    while (m->count > 0) {
        must(subi_channel_recv(m->c, SUBI_NOBODY, &message, SUBI_TRY) == SUBI_OK);
        received(m, &message);
    }
    size_t room = m->capacity < 20 ? m->capacity : 20;
    for (size_t i = 0; i < room && !m->send_closed; i++) {
        message = subi_message_integer(0);
        must(subi_channel_send(m->c, SUBI_NOBODY, &message, SUBI_TRY) == SUBI_OK);
    }
    message = subi_message_none();
    subi_result r = subi_channel_send(m->c, SUBI_NOBODY, &message, SUBI_TRY);
    must(r == (m->send_closed ? SUBI_CLOSED : m->capacity < 20 ? SUBI_FULL : SUBI_OK));
}

static void
end_channels(void)
{
    for (unsigned i = 0; i < channel_count; i++) {
        model_channel *m = &channels[i];
        if (m->references == 0) {
            continue;
        }
        check_channel(m);
        subi_channel_hold(m->c);  // for the while
        m->references++;
        use_up(m);
        subi_channel_close(m->c, SUBI_BOTH, true);
        m->send_closed = m->recv_closed = true;
        m->references--;
        subi_channel_drop(m->c);
    }
    for (unsigned i = 0; i < channel_count; i++) {
        for (; channels[i].ours > 0; channels[i].ours--) {
            channels[i].references--;
            subi_channel_drop(channels[i].c);
        }
        must(channels[i].references == 0);
    }
}

static void
end_interps(void)
{
    for (unsigned k = 0; k < interp_count; k++) {
        model_interp *i = &interps[k];
        for (; i->pins > 0; i->pins--) {
            subi_interp_unpin(i->i);
        }
        if (i->state == SUBI_STATE_RUNNING) {
            subi_interp_leave(i->i);
            i->state = SUBI_STATE_IDLE;
        }
        if (i->state == SUBI_STATE_IDLE) {
            must(subi_interp_begin_close(i->i, SUBI_TRY) == SUBI_OK);
        }
        if (i->state != SUBI_STATE_CLOSED) {
            subi_interp_end_close(i->i, true);
        }
        subi_interp_drop(i->i);
    }
    must(subi_running() == 0 && subi_waiting() == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t *ids;
    size_t count;
    code = data;
    code_end = data + size;
    message_count = channel_count = interp_count = notifier_count = 0;
    memset(waiters, 0, sizeof(waiters));
    while (code < code_end) {
        run_one(pick(26));
        check_all();
    }
    end_event_loops();
    end_channels();
    end_interps();
    if (interrupted) {
        must(subi_select(NULL, 0, SUBI_NOBODY, 1, &count) == end_of_wait(SUBI_INTERRUPTED));
    }
    for (unsigned i = 0; i < message_count; i++) {
        must(messages[i].fate == FREED);
    }
    must(subi_channel_list(&ids, &count) == SUBI_OK && count == 0);
    free(ids);
    return 0;
}
