// SPDX-License-Identifier: MIT
//
// Where the dynamic linker would find a library that a file needs.
#ifndef SUBI_SEARCH_H
#define SUBI_SEARCH_H

#include "copies.h"

// Opens the library; the caller closes it. SUBI_NOT_FOUND; SUBI_INVALID: there may be one, but the
// dynamic linker must not see it, since it was cut off or cannot be looked at now; the error is set.
subi_result subi__search(const subi__source *user, const char *needed, subi__source *library);

// The library of that name that the process has loaded already, whoever needs it; else as above.
subi_result subi__search_loaded(const char *needed, subi__source *library);

#endif
