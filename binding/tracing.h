// SPDX-License-Identifier: MIT
//
// tracemalloc before CPython 3.15 keeps objects of whatever interpreter allocates, in one table for all: with own
// or shared interpreters it hangs or crashes (python/cpython 144172, 146089). There the two refuse one
// another. A private interpreter has a tracemalloc of its own.
#ifndef SUBI_TRACING_H
#define SUBI_TRACING_H

#include "state.h"

// Whether an interpreter of that kind cannot be made in this runtime now. Needs no GIL.
bool subi_tracing_forbids(subi_kind kind);

// In the main interpreter: has tracemalloc.start() raise while there are such interpreters. -1 with an exception.
int subi_tracing_guard(module_state *state);

#endif
