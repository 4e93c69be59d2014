// SPDX-License-Identifier: MIT
#include "malloc.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "linker.h"

// In tests under ThreadSanitizer copies keep to libc: of a thread that is cancelled in a function that it
// replaces it sees no atomic operations any more, and reports races.
#ifdef __SANITIZE_THREAD__
#define IS_TSAN true
#else
#define IS_TSAN false
#endif

typedef struct search {
    char *library;  // malloc'd; NULL: not found
    void *libc;     // libc's malloc
    bool done;
} search;

static char *replaced_by;     // set once; malloc'd, and never freed
static bool is_the_programs;  // set once
static pthread_once_t once = PTHREAD_ONCE_INIT;

// In a program that is not position-independent, the address may be that of a jump to it.
static bool
is_defined_at(const void *address)
{
    Dl_info info;
    const ElfW(Sym) *symbol = NULL;
    return dladdr1(address, &info, (void **)&symbol, RTLD_DL_SYMENT) != 0 &&
           (symbol == NULL || symbol->st_shndx != SHN_UNDEF);
}

// Libraries that the program begins with come in the order in which they are searched; libc is one.
static int
ask(struct dl_phdr_info *info, size_t size, void *arg)
{
    search *s = arg;
    (void)size;
    if (info->dlpi_name == NULL || info->dlpi_name[0] == 0) {
        return 0;
    }
    void *handle = subi__dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    void *address = handle != NULL ? dlsym(handle, "malloc") : NULL;
    const char *path = address != NULL ? subi__path_at(address) : NULL;
    s->done = path != NULL && strcmp(path, info->dlpi_name) == 0;
    if (s->done && address != s->libc) {
        s->library = strdup(path);
    }
    if (handle != NULL) {
        subi__dlclose(handle);
    }
    return s->done;
}

static void
find(void)
{
    void *libc = subi__dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void *address = dlsym(RTLD_DEFAULT, "malloc");
    search s = {.libc = libc != NULL ? dlsym(libc, "malloc") : NULL};
    const char *path = address != NULL ? subi__path_at(address) : NULL;
    if (s.libc == NULL || path == NULL || address == s.libc || IS_TSAN) {
        return;
    }
    if (path[0] != 0) {
        replaced_by = strdup(path);
    }
    else if (is_defined_at(address)) {
        is_the_programs = true;
    }
    else {
        dl_iterate_phdr(ask, &s);
        replaced_by = s.library;
    }
}

bool
subi__malloc_find(const char **library)
{
    pthread_once(&once, find);
    *library = replaced_by;
    if (is_the_programs) {
        subi__error_set("the program has a malloc of its own, which copies of libraries cannot be "
                        "bound to; in a shared library it would do (LD_PRELOAD)");
    }
    return !is_the_programs;
}
