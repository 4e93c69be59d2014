// SPDX-License-Identifier: MIT
//
// Between Python objects and messages. What can be written: None, bool, int of any size, float,
// str, bytes, tuples of these, and handles of this package, exact types only.
#ifndef SUBI_CODEC_H
#define SUBI_CODEC_H

#include "state.h"

// Writes obj into *m, which the caller then owns. -1 with an exception set: NotShareableError for
// what cannot be written, MemoryError, RecursionError.
int subi_encode(module_state *state, PyObject *obj, subi_message *m);

// A new object from *m, which stays the caller's. NULL with an exception set.
PyObject *subi_decode(module_state *state, const subi_message *m);

#endif
