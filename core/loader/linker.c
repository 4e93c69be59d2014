// SPDX-License-Identifier: MIT
#include "linker.h"
#include "subinterp_runtime.h"

#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- errors -----------------------------------------------------------------------------------

static _Thread_local char error_text[1024];
static _Thread_local bool error_set;

void
subi__error_set(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error_text, sizeof(error_text), format, args);
    va_end(args);
    error_set = true;
}

void
subi__error_clear(void)
{
    error_set = false;
}

char *
subi_slot_system_error(void)
{
    return dlerror();
}

const char *
subi_slot_error(void)
{
    bool set = error_set;
    error_set = false;
    return set ? error_text : NULL;
}

// ---- loading ----------------------------------------------------------------------------------

typedef void *dlopen_function(const char *, int);
typedef int dlclose_function(void *);

// The sanitizers replace these: their dlopen refuses RTLD_DEEPBIND, and their dlclose reads all of
// /proc/self/maps under a lock that a fork may leave held in the child. SUBINTERPRETERS_LIBC_DLOPEN=1
// is for tests under them.
static dlopen_function *real_dlopen;    // set once
static dlclose_function *real_dlclose;  // set once
static pthread_once_t libc_once = PTHREAD_ONCE_INIT;

static void
find_libc(void)
{
    const char *wanted = getenv("SUBINTERPRETERS_LIBC_DLOPEN");
    void *libc =
        wanted != NULL && wanted[0] == '1' ? dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD) : NULL;
    void *symbols[] = {libc != NULL ? dlsym(libc, "dlopen") : NULL,
                       libc != NULL ? dlsym(libc, "dlclose") : NULL};
    real_dlopen = dlopen;
    real_dlclose = dlclose;
    if (symbols[0] != NULL && symbols[1] != NULL) {
        memcpy(&real_dlopen, &symbols[0], sizeof(real_dlopen));
        memcpy(&real_dlclose, &symbols[1], sizeof(real_dlclose));
    }
}

void *
subi__dlopen(const char *path, int flags)
{
    pthread_once(&libc_once, find_libc);
    return real_dlopen(path, flags);
}

void
subi__dlclose(void *handle)
{
    pthread_once(&libc_once, find_libc);
    real_dlclose(handle);
}

bool
subi__is_loaded(const char *path)
{
    void *handle = subi__dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
    if (handle != NULL) {
        subi__dlclose(handle);
    }
    return handle != NULL;
}

// dladdr takes the dynamic linker's lock. A constructor has it, and may wait for a thread that starts
// one more thread; since glibc 2.35 there is a way without.
const char *
subi__path_at(const void *address)
{
#if defined(DLFO_STRUCT_HAS_EH_DBASE)
    struct dl_find_object found;
    if (_dl_find_object((void *)(uintptr_t)address, &found) != 0) {
        return NULL;
    }
    return found.dlfo_link_map->l_name;
#else
    Dl_info info;
    struct link_map *map = NULL;
    return dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map->l_name : NULL;
#endif
}
