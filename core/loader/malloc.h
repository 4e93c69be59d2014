// SPDX-License-Identifier: MIT
//
// The program's malloc. Memory crosses between copies and the rest of the program, so they have to call
// the same; but copies find libc's first, unless they need the library that replaces it.
#ifndef SUBI_MALLOC_H
#define SUBI_MALLOC_H

#include "subinterp.h"

// *library gets the name of the library that replaces libc's malloc, as the dynamic linker knows it;
// NULL: none does. False: the program itself does, and copies cannot need that; the error is set.
bool subi__malloc_find(const char **library);

#endif
