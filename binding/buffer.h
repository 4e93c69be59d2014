// SPDX-License-Identifier: MIT
//
// Buffers of one interpreter that others use without a copy: how they get into a message. What the
// receiver has is in buffer_type.h.
#ifndef SUBI_BUFFER_H
#define SUBI_BUFFER_H

#include "layout.h"
#include "state.h"

// The types of handles in a message; a layout follows the first two, which are views: of what an
// interpreter lends, and of memory that is the core's. The third is all of such memory.
#define SUBI_HANDLE_BUFFER      'm'
#define SUBI_HANDLE_MEMORY_VIEW 'v'
#define SUBI_HANDLE_MEMORY      'M'

// Of bytes that are lent until the receiver has copied them.
#define SUBI_HANDLE_BYTES 'b'

// The size of what follows a layout in a message.
size_t subi_buffer_rest_size(const buffer_layout *layout);

// A buffer on its way into a message.
typedef struct outgoing_buffer {
    subi_export *opened;  // keeps `view`
    subi_export
        *memory;  // what the message has to keep: the same, or an earlier one that is passed on
    subi_memory *borrowed;  // that instead, if not NULL: the view is of memory of the core's
    const Py_buffer *view;
    buffer_layout layout;
    buffer_extent extent;
} outgoing_buffer;

// Opens the buffer of obj, which has the protocol. -1 with an exception set: NotShareableError, which
// says why, or MemoryError. Afterwards subi_buffer_done.
int subi_buffer_open(module_state *state, PyObject *obj, outgoing_buffer *out);

// Writes the layout and what follows it.
size_t subi_buffer_written_size(const outgoing_buffer *b);
void subi_buffer_write(const outgoing_buffer *b, unsigned char *p);

// The message keeps what it needs.
void subi_buffer_done(outgoing_buffer *b);

#endif
