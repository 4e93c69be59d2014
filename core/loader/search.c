// SPDX-License-Identifier: MIT
#include "search.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "elf_image.h"
#include "ld_cache.h"
#include "linker.h"

// One folder of a run path, n bytes, of a file in origin.
static bool
expand(const char *origin, const char *part, size_t n, char folder[PATH_MAX])
{
    size_t word = subi__elf_origin(part);
    return n > 0 && snprintf(folder, PATH_MAX, "%s%.*s", word > 0 ? origin : "", (int)(n - word),
                             part + word) < PATH_MAX;
}

static subi_result
refuse(const subi__source *user, const char *path, const char *why)
{
    subi__error_set("%s: %s (%s needs it)", path, why, user->path);
    return SUBI_INVALID;
}

// One for another machine is passed over, as the dynamic linker does it.
static subi_result
open_path(const subi__source *user, const char *path, subi__source *library)
{
    const char *why;
    if (subi__source_open(path, library, &why) != SUBI_OK) {
        bool lack = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
        return lack ? refuse(user, path, why) : SUBI_NOT_FOUND;
    }
    if (subi__elf_check(library->bytes, library->size, &why) == SUBI_OK) {
        return SUBI_OK;
    }
    bool foreign = subi__elf_is_foreign(library->bytes, library->size);
    subi__source_close(library);
    return foreign ? SUBI_NOT_FOUND : refuse(user, path, why);
}

static subi_result
open_in(const subi__source *user, const char *folder, const char *needed, subi__source *library)
{
    char path[PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", folder, needed) >= sizeof(path)) {
        return SUBI_NOT_FOUND;
    }
    return open_path(user, path, library);
}

// folders: separated by colons, of a file in origin; may be NULL.
static subi_result
search_folders(const subi__source *user, const char *origin, const char *folders,
               const char *needed, subi__source *library)
{
    char folder[PATH_MAX];
    subi_result r = SUBI_NOT_FOUND;
    while (r == SUBI_NOT_FOUND && folders != NULL && *folders != 0) {
        size_t n = strcspn(folders, ":");
        if (expand(origin, folders, n, folder)) {
            r = open_in(user, folder, needed, library);
        }
        folders += n + (folders[n] == ':');
    }
    return r;
}

subi_result
subi__search_loaded(const char *needed, subi__source *library)
{
    void *handle = subi__dlopen(needed, RTLD_LAZY | RTLD_NOLOAD);
    struct link_map *map;
    const char *why;
    bool found = handle != NULL && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 &&
                 map->l_name[0] == '/' && subi__source_open(map->l_name, library, &why) == SUBI_OK;
    if (handle != NULL) {
        subi__dlclose(handle);
    }
    return found ? SUBI_OK : SUBI_NOT_FOUND;
}

// What ldconfig has found.
static subi_result
search_cache(const subi__source *user, const char *needed, subi__source *library)
{
    subi__source cache;
    const char *why;
    if (subi__source_open(SUBI__LD_CACHE, &cache, &why) != SUBI_OK) {
        return SUBI_NOT_FOUND;
    }
    const char *path = subi__ld_cache_find(cache.bytes, cache.size, needed);
    subi_result r = path != NULL ? open_path(user, path, library) : SUBI_NOT_FOUND;
    subi__source_close(&cache);
    return r;
}

static subi_result
search_system(const subi__source *user, const char *needed, subi__source *library)
{
    static const char folders[] =
#if defined(__x86_64__)
        "/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu:"
#elif defined(__aarch64__)
        "/lib/aarch64-linux-gnu:/usr/lib/aarch64-linux-gnu:"
#endif
        "/lib64:/usr/lib64:/lib:/usr/lib:/usr/local/lib";
    return search_folders(user, "/", folders, needed, library);
}

// ---- the program ------------------------------------------------------------------------------

static char program_folder[PATH_MAX];  // set once
static const char *program_path;       // set once: its DT_RPATH; NULL: that is not searched
static pthread_once_t program_once = PTHREAD_ONCE_INIT;

// An address in the dynamic section: the dynamic linker may have added where the file lies.
static const char *
address_in(const struct link_map *map, uint64_t value)
{
    return (const char *)(uintptr_t)(value < map->l_addr ? value + map->l_addr : value);
}

static void
read_program(const struct link_map *map)
{
    const char *strings = NULL;
    uint64_t path = 0;
    bool has_path = false;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_RUNPATH) {
            return;
        }
        if (d->d_tag == DT_STRTAB) {
            strings = address_in(map, d->d_un.d_ptr);
        }
        if (d->d_tag == DT_RPATH) {
            path = d->d_un.d_val;
            has_path = true;
        }
    }
    program_path = strings != NULL && has_path ? strings + path : NULL;
}

// RTLD_DI_ORIGIN crashes unless the dynamic linker has needed it. This is where it has it from.
static void
find_program_folder(void)
{
    ssize_t n = readlink("/proc/self/exe", program_folder, sizeof(program_folder) - 1);
    program_folder[n > 0 ? n : 0] = 0;
    char *slash = strrchr(program_folder, '/');
    if (slash != NULL) {
        *slash = 0;
    }
}

static void
find_program(void)
{
    struct link_map *map;
    void *handle = subi__dlopen(NULL, RTLD_LAZY);
    find_program_folder();
    if (handle != NULL && dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0) {
        read_program(map);
    }
    if (handle != NULL) {
        subi__dlclose(handle);
    }
}

// ---- all of it --------------------------------------------------------------------------------

static const char *
text(const subi__source *s, int64_t tag)
{
    return subi__elf_text(s->bytes, s->size, tag);
}

// DT_RPATH, of the file, of those for which it is loaded, and of the program.
static subi_result
search_old_paths(const subi__source *user, const char *needed, subi__source *library)
{
    subi_result r = SUBI_NOT_FOUND;
    for (const subi__source *u = user; r == SUBI_NOT_FOUND && u != NULL; u = u->user) {
        if (text(u, DT_RUNPATH) == NULL) {
            r = search_folders(user, u->folder, text(u, DT_RPATH), needed, library);
        }
    }
    if (r == SUBI_NOT_FOUND) {
        pthread_once(&program_once, find_program);
        r = search_folders(user, program_folder, program_path, needed, library);
    }
    return r;
}

subi_result
subi__search(const subi__source *user, const char *needed, subi__source *library)
{
    const char *run_path = text(user, DT_RUNPATH);
    subi_result r = SUBI_NOT_FOUND;
    if (strchr(needed, '/') != NULL) {
        return open_path(user, needed, library);
    }
    if (run_path == NULL) {
        r = search_old_paths(user, needed, library);
    }
    if (r == SUBI_NOT_FOUND) {
        r = search_folders(user, user->folder, getenv("LD_LIBRARY_PATH"), needed, library);
    }
    if (r == SUBI_NOT_FOUND) {
        r = search_folders(user, user->folder, run_path, needed, library);
    }
    if (r == SUBI_NOT_FOUND) {
        r = subi__search_loaded(needed, library);
    }
    if (r == SUBI_NOT_FOUND) {
        r = search_cache(user, needed, library);
    }
    return r == SUBI_NOT_FOUND ? search_system(user, needed, library) : r;
}
