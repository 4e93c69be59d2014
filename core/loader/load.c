// SPDX-License-Identifier: MIT
#include "load.h"

#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind.h"
#include "elf_image.h"
#include "interposed/threads.h"
#include "linker.h"
#include "malloc.h"
#include "unique.h"

// In place of the dynamic linker's own functions, for code in copies.
#define INTERPOSER "libsubinterp_interposer.so"

static _Thread_local subi_slot *loading;

subi_slot *
subi__slot_of(const void *address, subi__loaded **c)
{
    subi_slot *s = subi__slot_at(address, c);
    return s != NULL ? s : loading;
}

void *
subi__load_system(subi_slot *s, const char *path, int flags)
{
    subi_slot *outer = loading;
    loading = s;
    void *handle = subi__dlopen(path, flags);
    loading = outer;
    return handle;
}

// ---- a copy -----------------------------------------------------------------------------------

// What loads a copy: nothing else finds its symbols, and it finds those of the libraries that it was
// bound to before those of the program.
static int
private_flags(int flags)
{
    return (flags & ~RTLD_GLOBAL) | RTLD_LOCAL | RTLD_DEEPBIND;
}

// A copy of source is to be loaded from path.
static void *
open_path(subi_slot *s, const char *source, const char *path, int flags)
{
    if ((flags & RTLD_NODELETE) != 0) {
        atomic_store(&s->stays, true);
    }
    void *handle = subi__load_system(s, path, private_flags(flags));
    if (handle == NULL) {
        const char *text = dlerror();
        text = text != NULL ? text : "it cannot be loaded";
        subi__error_set("%s: %s%s", source, text,
                        strstr(text, "static TLS") == NULL
                            ? ""
                            : "; set GLIBC_TUNABLES="
                              "glibc.rtld.optional_static_tls=16384");
    }
    return handle;
}

static subi__outcome
open_again(subi_slot *s, const char *source, subi__loaded *c, int flags, void **handle)
{
    *handle = open_path(s, source, c->path, flags);
    if (*handle == NULL) {
        return SUBI__FAILED;
    }
    subi__loaded_again(c);
    return SUBI__LOADED;
}

// Writes the copy, if need be, and loads it.
static void *
provide_and_open(subi_slot *s, const subi__source *source, const subi__elf_edit *edit,
                 subi__loaded *c, int flags)
{
    char why[512];
    subi__identity id;
    for (int attempt = 1;; attempt++) {
        if (subi__copy_provide(source, c->name, edit, c->path, &id, why, sizeof(why)) != SUBI_OK) {
            subi__error_set("%s: %s", source->path, why);
            return NULL;
        }
        void *handle = open_path(s, source->path, c->path, flags);
        if (handle != NULL || attempt == SUBI__COPY_ATTEMPTS || subi__copy_is(c->path, &id)) {
            return handle;
        }
    }
}

static subi__loaded *
new_copy(subi_slot *s, const subi__source *source, uint64_t bound)
{
    subi__loaded *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->original = strdup(source->path)) == NULL) {
        subi__error_set("%s: out of memory", source->path);
        free(c);
        return NULL;
    }
    c->source = source->id;
    subi__copy_name(source, s->number, bound, c->name);
    c->is_python = strcmp(c->name, s->soname) == 0;
    return c;
}

// What the copy needs besides what its source needs, before that: NULL ends it. malloc'd. NULL: out of
// memory.
static const char **
list_needed(subi_slot *s, const subi__loaded *c, const subi__unique *u)
{
    const char **needed = malloc((u->needed_count + 4) * sizeof(*needed));
    size_t count = 0;
    if (needed == NULL) {
        return NULL;
    }
    needed[count++] = INTERPOSER;
    if (s->malloc_library != NULL) {
        needed[count++] = s->malloc_library;
    }
    if (!c->is_python) {
        needed[count++] = s->soname;
    }
    for (size_t i = 0; i < u->needed_count; i++) {
        needed[count++] = u->needed[i];
    }
    needed[count] = NULL;
    return needed;
}

static void *
open_new(subi_slot *s, const subi__source *source, const subi__binding *b, const subi__unique *u,
         int flags, subi__loaded *c)
{
    const char **needed = list_needed(s, c, u);
    if (needed == NULL) {
        subi__error_set("%s: out of memory", source->path);
        return NULL;
    }
    subi__elf_edit edit = {.soname = c->name,
                           .origin = source->folder,
                           .needed = needed,
                           .renames = b->renames,
                           .rename_count = b->count,
                           .foreign = u->foreign,
                           .foreign_count = u->foreign_count};
    subi__threads_expect(s, source);  // before its constructors run
    if (subi__elf_stays(source->bytes, source->size)) {
        atomic_store(&s->stays, true);
    }
    void *handle = provide_and_open(s, source, &edit, c, flags);
    free(needed);
    if (handle != NULL && !subi__bind_check(b)) {
        subi__dlclose(handle);
        handle = NULL;
    }
    return handle;
}

// What it needs is not known; whether it may be loaded.
static bool
check_plain(const subi__source *source, const subi__binding *b)
{
    void *handle = subi__dlopen(source->path, RTLD_LAZY | RTLD_LOCAL);
    bool good = handle == NULL || subi__bind_check(b);  // NULL: the dynamic linker will say why
    if (!good) {
        subi__dlclose(handle);
    }
    return good;
}

// unloaded: there was a copy.
static subi__outcome
load_copy(subi_slot *s, const subi__source *source, const subi__binding *b, bool unloaded,
          int flags, void **handle, subi__loaded **found)
{
    const subi__unique *u = subi__unique_find(s, source, unloaded);
    if (u == NULL) {
        subi__error_set("%s: out of memory", source->path);
        return SUBI__FAILED;
    }
    subi__loaded *c = new_copy(s, source, b->bound + u->mark);
    *handle = c != NULL ? open_new(s, source, b, u, flags, c) : NULL;
    if (*handle == NULL) {
        subi__loaded_free(c);
        return SUBI__FAILED;
    }
    *found = subi__loaded_add(s, c);
    subi__unique_keep(u, *found);
    return SUBI__LOADED;
}

subi__outcome
subi__load(subi_slot *s, const subi__source *source, int flags, void **handle, subi__loaded **c)
{
    *c = subi__loaded_find(s, source);
    if (*c != NULL && subi__is_loaded((*c)->path)) {
        return open_again(s, source->path, *c, flags, handle);
    }
    subi__binding b;
    subi__bind(&b, s, source);
    subi__outcome became = b.failed ? SUBI__FAILED : SUBI__PLAIN;
    if (b.copied && !b.failed) {
        became = load_copy(s, source, &b, *c != NULL, flags, handle, c);
    }
    else if (b.unfound_count > 0 && !b.failed && !check_plain(source, &b)) {
        became = SUBI__FAILED;
    }
    subi__unbind(&b);
    return became;
}

// ---- the libpython ----------------------------------------------------------------------------

bool
subi__interposer_path(char path[PATH_MAX])
{
    static const char here;
    Dl_info info;
    if (dladdr(&here, &info) == 0 || strrchr(info.dli_fname, '/') == NULL) {
        subi__error_set("where libsubinterp is cannot be told");
        return false;
    }
    int folder = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
    snprintf(path, PATH_MAX, "%.*s/%s", folder, info.dli_fname, INTERPOSER);
    return true;
}

// Copies need it by its name, so it has to be loaded before.
static bool
load_interposer(void)
{
    char path[PATH_MAX];
    if (dlopen(INTERPOSER, RTLD_NOW | RTLD_NOLOAD) != NULL) {
        return true;
    }
    if (!subi__interposer_path(path)) {
        return false;
    }
    if (dlopen(path, RTLD_NOW | RTLD_LOCAL) == NULL) {
        subi__error_set("%s", dlerror());
        return false;
    }
    return true;
}

bool
subi__load_python(subi_slot *s, const subi__source *source)
{
    const char *soname = subi__elf_text(source->bytes, source->size, DT_SONAME);
    const char *base = strrchr(source->path, '/') + 1;
    subi__loaded *c;
    void *handle;
    subi__binding b = {.slot = s, .source = source};
    if (!load_interposer() || !subi__malloc_find(&s->malloc_library)) {
        return false;
    }
    if (s->malloc_library != NULL) {
        subi__mix(&b.bound, s->malloc_library);  // the others have it from this one's name
    }
    snprintf(s->python_name, sizeof(s->python_name), "%s", soname != NULL ? soname : base);
    subi__copy_name(source, s->number, b.bound, s->soname);  // before its constructors run
    return load_copy(s, source, &b, false, RTLD_NOW, &handle, &c) == SUBI__LOADED;
}

static void *
open_python(subi_slot *s, int flags)
{
    subi__loaded *c = subi__loaded_python(s);
    void *handle = NULL;
    if (c == NULL) {
        subi__error_set("%s: its constructors still run", s->python_name);
    }
    else {
        open_again(s, s->python_name, c, flags, &handle);
    }
    return handle;
}

void *
subi_slot_python_symbol(subi_slot *s, const char *name)
{
    void *handle = open_python(s, RTLD_NOW);
    return handle != NULL ? dlsym(handle, name) : NULL;
}

// ---- anything ---------------------------------------------------------------------------------

// The dynamic linker crashes on a file that was cut off.
static bool
can_be_loaded(const subi__source *source)
{
    const char *why;
    if (subi__elf_check(source->bytes, source->size, &why) == SUBI_OK) {
        return true;
    }
    subi__error_set("%s: %s", source->path, why);
    return false;
}

// Only what is there: the original must not be mistaken for a copy.
static void *
find_loaded(subi_slot *s, const subi__source *source, int flags)
{
    void *handle = NULL;
    subi__loaded *c = subi__loaded_find(s, source);
    if (c != NULL && subi__is_loaded(c->path)) {
        open_again(s, source->path, c, flags, &handle);
    }
    else if (!subi__is_copied(source)) {
        handle = subi__load_system(s, source->path, flags);
    }
    return handle;
}

void *
subi__load_handle(subi_slot *s, const subi__source *source, int flags)
{
    subi__loaded *c;
    void *handle;
    if (!can_be_loaded(source)) {
        return NULL;
    }
    if ((flags & RTLD_NOLOAD) != 0) {
        return find_loaded(s, source, flags);
    }
    switch (subi__load(s, source, flags, &handle, &c)) {
    case SUBI__LOADED:
        break;
    case SUBI__PLAIN:
        handle = subi__load_system(s, source->path, flags);
        break;
    default:
        return NULL;
    }
    subi__error_clear();  // of code that ran meanwhile
    return handle;
}

void *
subi_slot_load(subi_slot *s, const char *path, int flags)
{
    subi__source source;
    const char *why;
    subi__error_clear();
    if (path == NULL || path[0] == 0 || subi__is_libpython(s, path)) {
        return open_python(s, flags);  // what the program is for others
    }
    if (strchr(path, '/') == NULL || subi__source_open(path, &source, &why) != SUBI_OK) {
        return subi__load_system(s, path, flags);  // which finds it, or says what is wrong with it
    }
    void *handle = subi__load_handle(s, &source, flags);
    subi__source_close(&source);
    return handle;
}
