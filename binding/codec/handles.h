// SPDX-License-Identifier: MIT
//
// What a message refers to: handles, buffers, long bytes. Each is a segment of its block.
#ifndef SUBI_HANDLES_H
#define SUBI_HANDLES_H

#include "reader.h"
#include "writer.h"

// All return -1 with an exception set.

// A handle of this package: a channel's end, a queue, a lock... 1: obj is none.
int subi_write_handle(writer *w, PyObject *obj);

// The memory of obj, which has the buffer protocol.
int subi_write_buffer(writer *w, PyObject *obj);

// The same in the place of obj. 1: a memoryview cannot stand for it.
int subi_write_lent(writer *w, PyObject *obj);

// bytes that the receiver copies when it takes the message: until then obj stays. 1: this interpreter can
// lend nothing (buffer.c).
int subi_write_long_bytes(writer *w, PyObject *obj);

// Any of them, after its tag.
PyObject *subi_read_handle(reader *r);

#endif
