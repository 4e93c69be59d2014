// SPDX-License-Identifier: MIT
//
// isolation='auto': the kind of interpreter that can import what the caller has imported.
#ifndef SUBI_ISOLATION_H
#define SUBI_ISOLATION_H

#include "state.h"

// "own" if this Python has it and each extension module of others in the caller's sys.modules declares that
// it supports it, or if there is no libpython for private ones; else "private". NULL with an exception.
const char *subi_isolation_choose(module_state *state);

#endif
