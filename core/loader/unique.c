// SPDX-License-Identifier: MIT
#include "unique.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "elf_image.h"
#include "linker.h"

// Libraries that are asked for a symbol.
typedef struct library {
    void *handle;
    const char *name;  // of a copy, to be needed; NULL: the file needs it anyway
} library;

typedef struct search {
    subi__unique *found;  // with the source
    library *libraries;
    size_t count;
} search;

// ---- who is asked -----------------------------------------------------------------------------

static void
add_library(search *s, void *handle, const char *name)
{
    library *moved = realloc(s->libraries, (s->count + 1) * sizeof(*moved));
    if (moved == NULL) {
        s->found->no_memory = true;
        subi__dlclose(handle);
        return;
    }
    s->libraries = moved;
    s->libraries[s->count++] = (library){.handle = handle, .name = name};
}

// Those that copies share; the others are known by other names.
static bool
add_needed(const char *needed, void *arg)
{
    void *handle = subi__dlopen(needed, RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL) {
        add_library(arg, handle, NULL);
    }
    return true;
}

// The oldest first. Copies are never removed from the list, but may have been unloaded.
static void
add_copies(search *s, subi__loaded *c)
{
    if (c == NULL) {
        return;
    }
    add_copies(s, c->next);
    bool asked = c->has_unique && !subi__same(&c->source, &s->found->source);
    void *handle = asked ? subi__dlopen(c->path, RTLD_LAZY | RTLD_NOLOAD) : NULL;
    if (handle != NULL) {
        add_library(s, handle, c->name);
    }
}

// ---- what they have ---------------------------------------------------------------------------

static void
need(subi__unique *u, const char *name)
{
    for (size_t i = 0; i < u->needed_count; i++) {
        if (u->needed[i] == name) {
            return;
        }
    }
    const char **moved = realloc(u->needed, (u->needed_count + 1) * sizeof(*moved));
    if (moved == NULL) {
        u->no_memory = true;
        return;
    }
    u->needed = moved;
    u->needed[u->needed_count++] = name;
    subi__mix(&u->mark, name);
}

static void
add_foreign(subi__unique *u, uint32_t number)
{
    uint32_t *moved = realloc(u->foreign, (u->foreign_count + 1) * sizeof(*moved));
    if (moved == NULL) {
        u->no_memory = true;
        return;
    }
    u->foreign = moved;
    u->foreign[u->foreign_count++] = number;
}

static void
settle(const char *name, uint32_t number, void *arg)
{
    search *s = arg;
    size_t i = 0;
    while (i < s->count && dlsym(s->libraries[i].handle, name) == NULL) {
        i++;
    }
    if (i == s->count) {
        s->found->own++;
        return;
    }
    add_foreign(s->found, number);
    subi__mix(&s->found->mark, name);
    if (s->libraries[i].name != NULL) {
        need(s->found, s->libraries[i].name);
    }
}

// ---- what is known of a file ------------------------------------------------------------------

// The slot's list only grows at its front.
static subi__loaded *
newest(subi_slot *s)
{
    subi__slots_acquire();
    subi__loaded *c = s->copies;
    subi__slots_release();
    return c;
}

static void
ask(subi__unique *u, subi_slot *s, const subi__source *source)
{
    search all = {.found = u};
    const char *why;
    subi__elf_needed(source->bytes, source->size, add_needed, &all, &why);
    add_copies(&all, newest(s));
    subi__elf_unique(source->bytes, source->size, settle, &all);
    for (size_t i = 0; i < all.count; i++) {
        subi__dlclose(all.libraries[i].handle);
    }
    free(all.libraries);
}

static subi__unique *
known(subi_slot *s, const subi__source *source)
{
    subi__unique *u = s->uniques;
    while (u != NULL && !subi__same(&u->source, &source->id)) {
        u = u->next;
    }
    return u;
}

// The one that is known already, if any; else u becomes that.
static subi__unique *
agree(subi__unique *u, subi_slot *s, const subi__source *source, bool unloaded)
{
    subi__slots_acquire();
    subi__unique *first = unloaded ? NULL : known(s, source);
    if (first == NULL) {
        u->next = s->uniques;
        s->uniques = u;
    }
    subi__slots_release();
    if (first != NULL) {
        subi__unique_free(u);
    }
    return first != NULL ? first : u;
}

const subi__unique *
subi__unique_find(subi_slot *s, const subi__source *source, bool unloaded)
{
    static const subi__unique none;
    if (subi__elf_unique(source->bytes, source->size, NULL, NULL) == 0) {
        return &none;
    }
    subi__unique *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return NULL;
    }
    u->source = source->id;
    ask(u, s, source);
    if (u->no_memory) {
        subi__unique_free(u);
        return NULL;
    }
    return agree(u, s, source, unloaded);
}

void
subi__unique_keep(const subi__unique *u, subi__loaded *c)
{
    subi__slots_acquire();
    c->has_unique = c->has_unique || u->own > 0;
    subi__slots_release();
}

void
subi__unique_free(subi__unique *list)
{
    while (list != NULL) {
        subi__unique *u = list;
        list = u->next;
        free(u->foreign);
        free(u->needed);
        free(u);
    }
}
