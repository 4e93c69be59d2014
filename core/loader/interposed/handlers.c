// SPDX-License-Identifier: MIT
//
// Handlers call sigaction, too, so nothing here takes a lock. Slots are told by their numbers.
#include "handlers.h"

#include <signal.h>

#define SIGNALS 64  // 1 to that

#define NOBODY       0U
#define KEEPER(slot) ((slot) + 1)
#define SEVERAL      UINT32_MAX

// What is known of a slot; signals by their bits.
typedef struct handled {
    _Atomic uint64_t installed;  // atomic: the slot's handler has been put there
    _Atomic uint64_t unknown;    // atomic: it has replaced one of another slot
    _Atomic uint32_t keeper;     // atomic: the slot that got one as what was there before
    _Atomic bool closed;         // atomic: its handlers are not to be called
} handled;

// What was there before any handler of a copy.
typedef struct original {
    _Atomic bool busy;  // atomic: a lock that is only tried
    bool known;         // guarded by that
    struct sigaction action;
} original;

static handled all[SUBI_SLOTS_MAX];
static original originals[SIGNALS + 1];

static uint64_t
bit(int number)
{
    return UINT64_C(1) << (number - 1);
}

// SUBI_SLOTS_MAX: of none.
static unsigned
slot_of(const struct sigaction *action)
{
    return subi__slot_number_at((const void *)(uintptr_t)action->sa_handler);
}

static bool
keep_original(int number, const struct sigaction *action)
{
    original *o = &originals[number];
    if (atomic_exchange(&o->busy, true)) {
        return false;
    }
    o->action = *action;
    o->known = true;
    atomic_store(&o->busy, false);
    return true;
}

static bool
get_original(int number, struct sigaction *action)
{
    original *o = &originals[number];
    if (atomic_exchange(&o->busy, true)) {
        return false;
    }
    bool known = o->known;
    if (known) {
        *action = o->action;
    }
    atomic_store(&o->busy, false);
    return known;
}

// It may put the handler back as long as it is there, also more than once: a handler that calls the one
// before does so.
static void
note_kept(unsigned slot, unsigned keeper)
{
    uint32_t is = NOBODY;
    if (!atomic_compare_exchange_strong(&all[slot].keeper, &is, KEEPER(keeper)) &&
        is != KEEPER(keeper)) {
        atomic_store(&all[slot].keeper, SEVERAL);
    }
}

// A handler of the slot is there no more.
static void
note_removed(int number, unsigned slot, unsigned caller, bool kept)
{
    atomic_fetch_and(&all[slot].installed, ~bit(number));
    if (kept && caller != slot) {
        note_kept(slot, caller);
    }
}

// One is there now, in the place of `old`.
static void
note_installed(int number, unsigned slot, unsigned caller, const struct sigaction *old)
{
    unsigned before = slot_of(old);
    atomic_fetch_or(&all[slot].installed, bit(number));
    if (caller != slot) {
        return;  // it was there before
    }
    if (before == SUBI_SLOTS_MAX && keep_original(number, old)) {
        atomic_fetch_and(&all[slot].unknown, ~bit(number));
    }
    else if (before != slot) {
        atomic_fetch_or(&all[slot].unknown, bit(number));
    }
}

int
subi_slot_sigaction(int number, const struct sigaction *new, struct sigaction *old,
                    const void *caller)
{
    struct sigaction before;
    unsigned by = subi__slot_number_at(caller);
    if (new == NULL || number < 1 || number > SIGNALS) {
        return sigaction(number, new, old);
    }
    struct sigaction after = *new;  // `old` may be the same
    unsigned to = slot_of(&after);
    if (to != SUBI_SLOTS_MAX && to != by && atomic_load(&all[to].closed) &&
        get_original(number, &after)) {
        to = SUBI_SLOTS_MAX;
    }
    if (sigaction(number, &after, &before) != 0) {
        return -1;
    }
    unsigned from = slot_of(&before);
    if (from != SUBI_SLOTS_MAX && from != to) {
        note_removed(number, from, by, old != NULL);
    }
    if (to != SUBI_SLOTS_MAX) {
        note_installed(number, to, by, &before);
    }
    if (old != NULL) {
        *old = before;
    }
    return 0;
}

// ---- for slots --------------------------------------------------------------------------------

// Whether the slot's handler is there. False in *sure: somebody has it, or may have it.
static bool
is_there(const subi_slot *s, int number, bool *sure)
{
    const handled *h = &all[s->number];
    struct sigaction now;
    if (sigaction(number, NULL, &now) != 0) {  // the threads' own signals
        return false;
    }
    bool there = slot_of(&now) == s->number;
    bool installed = (atomic_load(&h->installed) & bit(number)) != 0;
    bool known = (atomic_load(&h->unknown) & bit(number)) == 0;
    *sure = *sure && there == installed && (!there || known);
    return there;
}

bool
subi__handlers_remove(const subi_slot *s)
{
    struct sigaction action;
    bool sure = atomic_load(&all[s->number].keeper) == NOBODY;
    atomic_store(&all[s->number].closed, true);
    for (int number = 1; number <= SIGNALS; number++) {
        if (is_there(s, number, &sure) &&
            (!get_original(number, &action) || sigaction(number, &action, NULL) != 0)) {
            sure = false;
        }
    }
    return sure;
}

void
subi__handlers_forget(const subi_slot *s)
{
    handled *h = &all[s->number];
    atomic_store(&h->installed, 0);
    atomic_store(&h->keeper, NOBODY);
    atomic_store(&h->unknown, 0);
    atomic_store(&h->closed, false);
    for (unsigned i = 0; i < SUBI_SLOTS_MAX; i++) {
        uint32_t keeper = KEEPER(s->number);
        atomic_compare_exchange_strong(&all[i].keeper, &keeper, NOBODY);
    }
}
