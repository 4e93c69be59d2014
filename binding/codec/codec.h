// SPDX-License-Identifier: MIT
//
// Between Python objects and messages. What is written here: None, bool, int of any size, float, complex,
// str, bytes, handles of this package, and tuples, lists, dicts, sets and frozensets of all that, exact
// types only; and whatever has the buffer protocol, of which no copy is made. An object with anything
// else in it is pickled; a buffer that cannot be lent (buffer.c) is refused. Objects that are one and the
// same are so for the receiver, too, and may be in themselves.
#ifndef SUBI_CODEC_H
#define SUBI_CODEC_H

#include "state.h"

// Writes obj into *m, which the caller then owns. -1 with an exception set: NotShareableError for
// what cannot be pickled either, and for buffers; MemoryError; RecursionError; RuntimeError when it is
// changed meanwhile.
int subi_encode(module_state *state, PyObject *obj, subi_message *m);

// Blocks of so many bytes at most are the same if the same was written: what is not used of them is 0.
#define CODEC_COMPARABLE ((size_t)4096)

// The same, but arrays of numpy's arrive as such, and not as memoryviews: they are pickled, without a copy
// of their memory.
int subi_encode_keeping_arrays(module_state *state, PyObject *obj, subi_message *m);

// The same as subi_encode for the memory of obj, which may be bytes, too. TypeError: obj has no buffer.
int subi_encode_buffer(module_state *state, PyObject *obj, subi_message *m);

// Whether obj is of the kinds that concurrent.interpreters calls shareable: it has no parts that could be
// changed, or is a handle, or a memoryview; or it is a tuple of these.
bool subi_is_shareable(module_state *state, PyObject *obj);

// A new object from *m, which stays the caller's. NULL with an exception set.
PyObject *subi_decode(module_state *state, const subi_message *m);

// The same for data that takes no code of Python's, so that no handler of a signal runs meanwhile. NULL without an
// exception: it takes some, or failed.
PyObject *subi_decode_data(const subi_message *m);

#endif
