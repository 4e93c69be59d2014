// SPDX-License-Identifier: MIT
//
// The type _Descriptor: a file descriptor on its way into another interpreter, for _descriptors.py.
#ifndef SUBI_DESCRIPTOR_TYPE_H
#define SUBI_DESCRIPTOR_TYPE_H

#include "state.h"

// The type of its handle in a message.
#define SUBI_HANDLE_DESCRIPTOR 'd'

int subi_descriptor_type_init(module_state *state);

// If obj is one: true, and a segment with a reference to it.
bool subi_descriptor_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment);

// A new one for such a handle. NULL with an exception set.
PyObject *subi_descriptor_unpack(module_state *state, const subi_segment *segment);

#endif
