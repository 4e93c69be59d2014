// SPDX-License-Identifier: MIT
//
// The dynamic linker, as the loader calls it, and what went wrong on this thread.
#ifndef SUBI_LINKER_H
#define SUBI_LINKER_H

#include "subinterp.h"

void *subi__dlopen(const char *path, int flags);
void subi__dlclose(void *handle);
bool subi__is_loaded(const char *path);

// The path of the library that has that address, as the dynamic linker remembers it. NULL: none has.
const char *subi__path_at(const void *address);

// What subi_slot_error will tell; what it would have told.
__attribute__((format(printf, 1, 2))) void subi__error_set(const char *format, ...);
void subi__error_clear(void);

#endif
