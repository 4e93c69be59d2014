// SPDX-License-Identifier: MIT
//
// The type SharedBuffer: memory that interpreters share. Users make those of memory of the core's; of
// memory that another interpreter lends, the receiver sees a memoryview of one.
#ifndef SUBI_BUFFER_TYPE_H
#define SUBI_BUFFER_TYPE_H

#include "buffer.h"
#include "state.h"

// Makes the type and adds it to the module, unless it is there. -1 with an exception.
int subi_buffer_type_make(module_state *state);

// A new memoryview of the memory that the segment keeps; `rest` is what follows the layout in the
// message. NULL with an exception set.
PyObject *subi_buffer_unpack(module_state *state, const subi_segment *segment,
                             const buffer_layout *layout, const void *rest);

// The export or the memory behind obj, borrowed, or NULL: obj, which may be NULL, has no such thing.
subi_export *subi_shared_buffer_export(module_state *state, PyObject *obj);
subi_memory *subi_shared_buffer_memory(module_state *state, PyObject *obj);

// If obj is a SharedBuffer of all of some memory of the core's: true, and a segment that keeps it.
bool subi_shared_buffer_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment);

// A new SharedBuffer for such a handle. NULL with an exception set.
PyObject *subi_shared_buffer_unpack(module_state *state, const subi_segment *segment);

#endif
