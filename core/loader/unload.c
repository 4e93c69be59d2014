// SPDX-License-Identifier: MIT
//
// The dynamic linker runs the destructors of a library when it is about to unmap it. They may call
// what is in another one that needs this one, and has registered something there: no order of closing
// one after the other is right. But of what goes with one dlclose, the dynamic linker runs all
// destructors before it unmaps anything. So a library that needs all the copies is opened, and closed
// last.
#include "unload.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_edit.h"
#include "interposed/locals.h"
#include "linker.h"
#include "load.h"

// The names of the copies that are loaded, malloc'd; NULL ends them. NULL: out of memory.
static const char **
list_names(const subi_slot *s)
{
    size_t count = 0;
    for (const subi__loaded *c = s->copies; c != NULL; c = c->next) {
        count++;
    }
    const char **names = malloc((count + 1) * sizeof(*names));
    count = 0;
    for (const subi__loaded *c = s->copies; c != NULL && names != NULL; c = c->next) {
        if (subi__is_loaded(c->path)) {
            names[count++] = c->name;
        }
    }
    if (names != NULL) {
        names[count] = NULL;
    }
    return names;
}

// The file is of nobody else: it is removed when it is open.
static void *
open_file(subi_slot *s, const subi__source *source, const char *const *names)
{
    static _Atomic uint32_t files;  // atomic: counts
    char name[SUBI__COPY_NAME_MAX], path[PATH_MAX], why[200];
    subi__identity id;
    uint64_t number = (uint64_t)getpid() << 32 | atomic_fetch_add(&files, 1);
    subi__copy_name(source, s->number, number, name);
    subi__elf_edit edit = {.soname = name, .origin = source->folder, .needed = names};
    void *handle = NULL;
    for (int i = 0; i < SUBI__COPY_ATTEMPTS && handle == NULL; i++) {
        if (subi__copy_provide(source, name, &edit, path, &id, why, sizeof(why)) != SUBI_OK) {
            break;
        }
        handle = subi__dlopen(path, RTLD_NOW | RTLD_LOCAL);
        unlink(path);
    }
    return handle;
}

// A library that needs all the copies. NULL: there can be none.
static void *
open_all(subi_slot *s)
{
    char path[PATH_MAX];
    const char *why;
    subi__source source;
    const char **names = list_names(s);
    void *handle = NULL;
    if (names != NULL && subi__interposer_path(path) &&
        subi__source_open(path, &source, &why) == SUBI_OK) {
        handle = open_file(s, &source, names);
        subi__source_close(&source);
    }
    free(names);
    return handle;
}

// As often as the copy was opened. Code in it may have closed it before, so the dynamic linker is
// asked each time: a handle of what is unloaded must not be used.
static void
close_copy(subi__loaded *c)
{
    for (size_t n = c->opens; n > 0; n--) {
        void *handle = subi__dlopen(c->path, RTLD_LAZY | RTLD_NOLOAD);  // once more
        if (handle == NULL) {
            break;
        }
        subi__dlclose(handle);
        subi__dlclose(handle);  // refused, without harm, if nobody has opened it
    }
}

bool
subi__unload(subi_slot *s)
{
    bool left = false;
    void *all = s->copies != NULL ? open_all(s) : NULL;
    if (all == NULL) {
        return s->copies == NULL;
    }
    subi__locals_free(s);
    for (subi__loaded *c = s->copies; c != NULL; c = c->next) {
        close_copy(c);
    }
    subi__dlclose(all);
    for (subi__loaded *c = s->copies; c != NULL; c = c->next) {
        left = left || subi__is_loaded(c->path);
    }
    return !left;
}
