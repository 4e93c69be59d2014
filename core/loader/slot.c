// SPDX-License-Identifier: MIT
#include "slot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "interposed/handlers.h"
#include "interposed/keys.h"
#include "interposed/locals.h"
#include "interposed/threads.h"
#include "linker.h"
#include "load.h"
#include "unique.h"
#include "unload.h"

subi__lock subi__slots_lock = SUBI__LOCK_INIT;
subi_slot *subi__slots;
static bool taken[SUBI_SLOTS_MAX];  // guarded by subi__slots_lock

// The lists are whole at any time: only the lock may be left behind by a thread that is gone.
void
subi__slots_survived(void)
{
    subi__lock_init(&subi__slots_lock);
    for (subi_slot *s = subi__slots; s != NULL; s = s->next) {
        subi__threads_survived(s);
    }
}

// ---- what a slot has --------------------------------------------------------------------------

subi__loaded *
subi__loaded_find(subi_slot *s, const subi__source *source)
{
    subi__slots_acquire();
    subi__loaded *c = s->copies;
    while (c != NULL && !subi__same(&c->source, &source->id)) {
        c = c->next;
    }
    subi__slots_release();
    return c;
}

subi__loaded *
subi__loaded_python(subi_slot *s)
{
    subi__slots_acquire();
    subi__loaded *c = s->copies;
    while (c != NULL && !c->is_python) {
        c = c->next;
    }
    subi__slots_release();
    return c;
}

// Two threads may have loaded one file at the same time: the dynamic linker gave both the same. Or it
// was loaded before, and code in a copy has unloaded it.
subi__loaded *
subi__loaded_add(subi_slot *s, subi__loaded *new)
{
    subi__slots_acquire();
    subi__loaded *c = s->copies;
    while (c != NULL && strcmp(c->path, new->path) != 0) {
        c = c->next;
    }
    if (c == NULL) {
        new->next = s->copies;
        s->copies = c = new;
    }
    c->opens++;
    subi__slots_release();
    if (c != new) {
        subi__loaded_free(new);
    }
    return c;
}

void
subi__loaded_free(subi__loaded *c)
{
    free(c->original);
    free(c);
}

void
subi__loaded_again(subi__loaded *c)
{
    subi__slots_acquire();
    c->opens++;
    subi__slots_release();
}

bool
subi__is_plain(subi_slot *s, const subi__source *source)
{
    subi__slots_acquire();
    const subi__plain *p = s->plains;
    while (p != NULL && !subi__same(&p->source, &source->id)) {
        p = p->next;
    }
    subi__slots_release();
    return p != NULL;
}

// Without memory it is looked at again the next time.
void
subi__plain_add(subi_slot *s, const subi__source *source)
{
    subi__plain *p = malloc(sizeof(*p));
    if (p == NULL) {
        return;
    }
    p->source = source->id;
    subi__slots_acquire();
    p->next = s->plains;
    s->plains = p;
    subi__slots_release();
}

static subi__loaded *
find_path(subi_slot *s, const char *path)
{
    subi__loaded *c = s->copies;
    while (c != NULL && strcmp(c->path, path) != 0) {
        c = c->next;
    }
    return c;
}

// The number of the slot whose copy has that path. SUBI_SLOTS_MAX: it is in no folder of copies.
static unsigned
number_in(const char *path)
{
    const char *dot = path != NULL ? strrchr(path, '.') : NULL;  // names of copies end with it
    const char *folder = dot != NULL ? subi_cache_folder() : NULL;
    size_t n = folder != NULL ? strlen(folder) : 0;
    if (n == 0 || strncmp(path, folder, n) != 0 || path[n] != '/') {
        return SUBI_SLOTS_MAX;
    }
    unsigned long number = strtoul(dot + 1, NULL, 10);
    return number < SUBI_SLOTS_MAX ? (unsigned)number : SUBI_SLOTS_MAX;
}

subi_slot *
subi__slot_at(const void *address, subi__loaded **c)
{
    const char *path = subi__path_at(address);
    unsigned number = number_in(path);
    subi_slot *s = NULL;
    subi__loaded *found = NULL;
    if (number < SUBI_SLOTS_MAX) {
        subi__slots_acquire();
        for (s = subi__slots; s != NULL && s->number != number; s = s->next) {
        }
        found = s != NULL ? find_path(s, path) : NULL;
        subi__slots_release();
    }
    if (c != NULL) {
        *c = found;
    }
    return s;
}

unsigned
subi__slot_number_at(const void *address)
{
    return number_in(subi__path_at(address));
}

// ---- slots ------------------------------------------------------------------------------------

// The lowest number that is free, or SUBI_SLOTS_MAX.
static unsigned
take_number(void)
{
    unsigned n = 0;
    subi__slots_acquire();
    while (n < SUBI_SLOTS_MAX && taken[n]) {
        n++;
    }
    if (n < SUBI_SLOTS_MAX) {
        taken[n] = true;
    }
    subi__slots_release();
    return n;
}

static void
list_slot(subi_slot *s)
{
    subi__slots_acquire();
    s->next = subi__slots;
    subi__slots = s;
    subi__slots_release();
}

// Out of the list; its number is free again.
static void
unlist_slot(subi_slot *s)
{
    subi__slots_acquire();
    subi_slot **link = &subi__slots;
    while (*link != s) {
        link = &(*link)->next;
    }
    *link = s->next;
    taken[s->number] = false;
    subi__slots_release();
}

static void
free_slot(subi_slot *s)
{
    while (s->copies != NULL) {
        subi__loaded *c = s->copies;
        s->copies = c->next;
        subi__loaded_free(c);
    }
    while (s->plains != NULL) {
        subi__plain *p = s->plains;
        s->plains = p->next;
        free(p);
    }
    subi__keys_free(s);
    subi__locals_free(s);
    subi__unique_free(s->uniques);
    free(s);
}

// Nothing of it is loaded any more. False: a thread has been started meanwhile. A slot that is not
// freed stays listed: its code may still call dlopen.
static bool
give_up(subi_slot *s)
{
    if (!subi__threads_gone(s)) {
        return false;
    }
    subi__handlers_forget(s);
    unlist_slot(s);
    free_slot(s);
    return true;
}

static bool
load_python(subi_slot *s, const char *path)
{
    subi__source source;
    const char *why;
    if (subi__source_open(path, &source, &why) != SUBI_OK) {
        subi__error_set("%s: %s", path, why);
        return false;
    }
    bool loaded = subi__load_python(s, &source);
    subi__source_close(&source);
    return loaded;
}

subi_result
subi_slot_open(const char *path, subi_slot **out)
{
    if (!subi__cache_check()) {
        return SUBI_INVALID;
    }
    subi_slot *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        subi__error_set("out of memory");
        return SUBI_NOMEM;
    }
    s->number = take_number();
    if (s->number == SUBI_SLOTS_MAX) {
        subi__error_set("there can be no more than %u at a time", SUBI_SLOTS_MAX);
        free(s);
        return SUBI_FULL;
    }
    list_slot(s);
    if (!load_python(s, path)) {
        give_up(s);
        return SUBI_NOT_FOUND;
    }
    *out = s;
    return SUBI_OK;
}

// From now on no thread that ends enters it. False: one is there.
static bool
begin_unload(subi_slot *s)
{
    subi__slots_acquire();
    s->closing = subi__threads_gone(s);
    subi__slots_release();
    return s->closing;
}

static void
retire(subi_slot *s)
{
    subi__slots_acquire();
    s->closing = false;
    subi__slots_release();
}

bool
subi_slot_close(subi_slot *s, bool unload_copies)
{
    bool unhandled = subi__handlers_remove(s);
    // Whatever stays may call any other copy.
    if (!unload_copies || !unhandled || atomic_load(&s->stays) || !subi__threads_wait(s)) {
        return false;
    }
    subi__locals_destroy(s);
    if (begin_unload(s) && subi__unload(s) && give_up(s)) {
        return true;
    }
    retire(s);
    return false;
}

// ---- the libpython of all slots ---------------------------------------------------------------

static _Atomic(const char *) libpython;  // atomic: set once; malloc'd, and never freed

subi_result
subi_libpython_set(const char *path)
{
    const char *unset = NULL;
    char *kept = strdup(path);
    if (kept == NULL) {
        return SUBI_NOMEM;
    }
    if (!atomic_compare_exchange_strong(&libpython, &unset, kept)) {
        free(kept);
    }
    return SUBI_OK;
}

const char *
subi_libpython(void)
{
    return atomic_load(&libpython);
}
