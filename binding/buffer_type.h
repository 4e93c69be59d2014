// SPDX-License-Identifier: MIT
//
// The type SharedBuffer: memory of another interpreter, as the receiver has it. Users see a
// memoryview of one.
#ifndef SUBI_BUFFER_TYPE_H
#define SUBI_BUFFER_TYPE_H

#include "buffer.h"
#include "state.h"

int subi_buffer_type_init(PyObject *module, module_state *state);

// A new memoryview of the memory that the segment keeps; `rest` is what follows the layout in the
// message. NULL with an exception set.
PyObject *subi_buffer_unpack(module_state *state, const subi_segment *segment,
                             const buffer_layout *layout, const void *rest);

// The export behind obj, borrowed, or NULL: obj, which may be NULL, is no SharedBuffer.
subi_export *subi_shared_buffer_export(module_state *state, PyObject *obj);

#endif
