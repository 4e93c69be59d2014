// SPDX-License-Identifier: MIT
//
// dlopen and dladdr, in code of copies.
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "../bind.h"
#include "../linker.h"
#include "../load.h"
#include "../search.h"

static bool
is_bare_name(const subi_slot *s, const char *path)
{
    return path != NULL && path[0] != 0 && strchr(path, '/') == NULL &&
           !subi__is_libpython(s, path);
}

// The dynamic linker would search the run path of libsubinterp, which calls it: that of the caller is
// meant. Its source has it as it was.
static void *
load_by_name(subi_slot *s, const subi__loaded *caller, const char *name, int flags)
{
    subi__source user, library;
    const char *why;
    subi_result r = SUBI_NOT_FOUND;
    void *handle = NULL;
    if (subi__source_open(caller->original, &user, &why) == SUBI_OK) {
        r = subi__search(&user, name, &library);
        subi__source_close(&user);
    }
    if (r == SUBI_NOT_FOUND) {
        return subi_slot_load(s, name, flags);
    }
    if (r == SUBI_OK) {
        handle = subi__load_handle(s, &library, flags);
        subi__source_close(&library);
    }
    return handle;
}

void *
subi_slot_dlopen(const char *path, int flags, const void *caller)
{
    subi__loaded *copy = NULL;
    subi_slot *s = subi__slot_of(caller, &copy);
    subi__error_clear();
    if (s == NULL) {
        return subi__load_system(NULL, path, flags);
    }
    return copy != NULL && is_bare_name(s, path) ? load_by_name(s, copy, path, flags)
                                                 : subi_slot_load(s, path, flags);
}

int
subi_slot_dladdr(const void *address, void *info)
{
    Dl_info *found = info;
    subi__loaded *copy = NULL;
    int result = dladdr(address, found);
    // handlers of signals call this, and most addresses are in no copy: then no lock is taken
    if (result != 0 && subi__slot_number_at(address) != SUBI_SLOTS_MAX &&
        subi__slot_at(address, &copy) != NULL && copy != NULL) {
        found->dli_fname = copy->original;
    }
    return result;
}
