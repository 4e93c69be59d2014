// SPDX-License-Identifier: MIT
//
// What the tests of slots share: the libraries that they load, and a folder with a cache. They use the
// library itself, not the archive: libsubinterp_interposer lies beside it.
#ifndef SLOT_TEST_H
#define SLOT_TEST_H

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "call.h"
#include "tap.h"

static char folder[] = "/tmp/test_slot.XXXXXX", cache[100];

// The libraries: see slot_*.c.
static const char *python, *extension, *middle, *plain;

static inline const char *
find_library(const char *name)
{
    const char *path = getenv(name);
    must(path != NULL);
    return path;
}

static inline void
slot_test_start(int argc, char **argv)
{
    tap_start(argc, argv);
    python = find_library("SLOT_PYTHON");
    extension = find_library("SLOT_EXTENSION");
    middle = find_library("SLOT_MIDDLE");
    plain = find_library("SLOT_PLAIN");
    must(mkdtemp(folder) != NULL);
    snprintf(cache, sizeof(cache), "%s/cache", folder);
    must(setenv("SUBINTERPRETERS_CACHE", cache, 1) == 0);
}

static inline int
slot_test_done(void)
{
    char command[200];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    must(system(command) == 0);
    return tap_done();
}

static inline subi_slot *
open_slot(void)
{
    subi_slot *s;
    if (subi_slot_open(python, &s) != SUBI_OK) {
        printf("# %s\n", subi_slot_error());
        must(!"subi_slot_open");
    }
    return s;
}

static inline void *
load(subi_slot *s, const char *path)
{
    void *handle = subi_slot_load(s, path, RTLD_NOW);
    if (handle == NULL) {
        const char *why = subi_slot_error();
        printf("# %s\n", why != NULL ? why : subi_slot_system_error());
    }
    must(handle != NULL);
    return handle;
}

static inline int
call_python(subi_slot *s)
{
    int (*function)(void);
    as_function(subi_slot_python_symbol(s, "Py_Count"), &function);
    return function();
}

#endif
