// SPDX-License-Identifier: MIT
//
// What extension modules of the current interpreter say of others.
#ifndef SUBI_IMPORTS_H
#define SUBI_IMPORTS_H

#include "state.h"

// Whether all extension modules that have been imported here can be imported in an interpreter with a GIL of
// its own, too; those of the standard library are taken to be. -1 with an exception.
int subi_imports_allow_own(void);

#endif
