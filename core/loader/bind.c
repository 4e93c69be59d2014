// SPDX-License-Identifier: MIT
#include "bind.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "elf_image.h"
#include "linker.h"
#include "load.h"
#include "search.h"

// A file calls Python if it wants symbols with these names.
static const char *const python_prefixes[] = {"Py", "_Py", NULL};

// It deals with Python without calling it by name if there are such names in it: LLVM, in llvmlite,
// looks for the functions that compiled code calls in "the program"; libc10 of PyTorch keeps the one
// interpreter that has registered with it, and whatever needs it follows.
static const char *const python_words[] = {"PyObject", "PyInterpreter", "LLVMPY_", NULL};

// GNU readline (and libedit in its place) and the terminfo of ncurses keep the one terminal in variables
// with no lock, and count on Python's GIL for that: of these each slot has its own, as a process would.
static const char *const unlocked_words[] = {"rl_initialize", "tgetent", NULL};

bool
subi__is_libpython(const subi_slot *s, const char *name)
{
    return strcmp(name, s->python_name) == 0 || strcmp(name, "libpython3.so") == 0;
}

bool
subi__calls_python(const subi__source *source)
{
    bool wants;
    const char *why;
    return subi__elf_wants(source->bytes, source->size, python_prefixes, &wants, &why) == SUBI_OK &&
           (wants || subi__elf_mentions(source->bytes, source->size, python_words));
}

bool
subi__is_copied(const subi__source *source)
{
    return subi__calls_python(source) ||
           subi__elf_mentions(source->bytes, source->size, unlocked_words);
}

static bool
fail_for_memory(subi__binding *b)
{
    subi__error_set("%s: out of memory", b->source->path);
    b->failed = true;
    return false;
}

static bool
add_rename(subi__binding *b, const char *from, const char *to)
{
    subi__elf_rename *moved = realloc(b->renames, (b->count + 1) * sizeof(*moved));
    char *kept = strdup(from);
    b->renames = moved != NULL ? moved : b->renames;
    if (moved == NULL || kept == NULL) {
        free(kept);
        return fail_for_memory(b);
    }
    b->renames[b->count++] = (subi__elf_rename){.from = kept, .to = to};
    subi__mix(&b->bound, to);
    return true;
}

// A library that all copies share is loaded before them, for itself: else it would find its symbols
// in the copy that happens to need it first. It stays, since some that are unloaded and loaded
// again leak (libffi a descriptor), or have threads. When it cannot be loaded, the copy cannot
// either, and the dynamic linker says why.
static void
share(const char *path)
{
    subi__dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

// Libraries may need each other: what led to this one is being looked at already.
static bool
is_user(const subi__source *user, const subi__source *library)
{
    while (user != NULL && !subi__same(&user->id, &library->id)) {
        user = user->user;
    }
    return user != NULL;
}

// Copies the library if each slot has to have its own.
static bool
bind_found(subi__binding *b, const char *needed, const subi__source *library)
{
    subi__loaded *c;
    void *handle;
    if (subi__is_plain(b->slot, library) || is_user(b->source, library)) {
        return true;
    }
    switch (subi__load(b->slot, library, RTLD_NOW, &handle, &c)) {
    case SUBI__LOADED:
        b->copied = true;
        return add_rename(b, needed, c->name);
    case SUBI__PLAIN:
        share(library->path);
        subi__plain_add(b->slot, library);
        return true;
    default:
        b->failed = true;
        return false;
    }
}

// The dynamic linker will find it, or say that there is none.
static bool
add_unfound(subi__binding *b, const char *needed)
{
    char **moved = realloc(b->unfound, (b->unfound_count + 1) * sizeof(*moved));
    char *kept = strdup(needed);
    b->unfound = moved != NULL ? moved : b->unfound;
    if (moved == NULL || kept == NULL) {
        free(kept);
        return fail_for_memory(b);
    }
    b->unfound[b->unfound_count++] = kept;
    return true;
}

static bool
bind_library(const char *needed, void *arg)
{
    subi__binding *b = arg;
    subi__source library;
    if (subi__is_libpython(b->slot, needed)) {
        b->copied = true;
        return add_rename(b, needed, b->slot->soname);
    }
    subi_result r = subi__search(b->source, needed, &library);
    if (r == SUBI_NOT_FOUND) {
        return add_unfound(b, needed);
    }
    if (r != SUBI_OK) {
        b->failed = true;
        return false;
    }
    library.user = b->source;
    bool bound = bind_found(b, needed, &library);
    subi__source_close(&library);
    return bound;
}

void
subi__bind(subi__binding *b, subi_slot *s, const subi__source *source)
{
    const char *why;
    *b = (subi__binding){.slot = s, .source = source, .copied = subi__is_copied(source)};
    subi__mix(&b->bound, s->soname);
    subi__elf_needed(source->bytes, source->size, bind_library, b, &why);
}

void
subi__unbind(subi__binding *b)
{
    for (size_t i = 0; i < b->count; i++) {
        free((char *)(uintptr_t)b->renames[i].from);
    }
    free(b->renames);
    for (size_t i = 0; i < b->unfound_count; i++) {
        free(b->unfound[i]);
    }
    free(b->unfound);
}

// ---- what was not found -----------------------------------------------------------------------

typedef struct check {
    const subi__binding *binding;
    const struct check *user;
    const char *name;
    bool failed;
} check;

static bool check_library(const char *needed, void *arg);

static bool
is_being_checked(const check *user, const char *name)
{
    while (user != NULL && strcmp(user->name, name) != 0) {
        user = user->user;
    }
    return user != NULL;
}

static void
check_source(check *c, const subi__source *library)
{
    const char *why;
    if (subi__calls_python(library)) {
        subi__error_set("%s: it needs %s, which calls Python; the dynamic linker has found that at "
                        "%s, where no copy can be made of it; set LD_LIBRARY_PATH to its folder",
                        c->binding->source->path, c->name, library->path);
        c->failed = true;
    }
    else {
        subi__elf_needed(library->bytes, library->size, check_library, c, &why);
    }
}

// What has been loaded by that name is what the user is bound to.
static bool
check_library(const char *needed, void *arg)
{
    check *user = arg, c = {.binding = user->binding, .user = user, .name = needed};
    subi__source library;
    if (!is_being_checked(user, needed) && subi__search_loaded(needed, &library) == SUBI_OK) {
        check_source(&c, &library);
        subi__source_close(&library);
    }
    user->failed = c.failed;
    return !c.failed;
}

bool
subi__bind_check(const subi__binding *b)
{
    check c = {.binding = b, .name = ""};
    for (size_t i = 0; i < b->unfound_count && !c.failed; i++) {
        check_library(b->unfound[i], &c);
    }
    return !c.failed;
}
