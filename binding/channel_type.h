// SPDX-License-Identifier: MIT
//
// The types RecvChannel and SendChannel, and the function create_channel.
#ifndef SUBI_CHANNEL_TYPE_H
#define SUBI_CHANNEL_TYPE_H

#include "state.h"

// The types of handles in a message.
#define SUBI_HANDLE_RECV_CHANNEL 'r'
#define SUBI_HANDLE_SEND_CHANNEL 's'

// Makes the types and adds them to the module, unless they are there. -1 with an exception.
int subi_channel_types_make(module_state *state);

extern PyMethodDef subi_channel_functions[];

// The channel of an end, which must be one. Borrowed.
subi_channel *subi_channel_of(PyObject *end);

// If obj is an end of a channel: true, and a segment that keeps that end open until it is freed.
bool subi_channel_end_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment);

// A new end for a handle of such a type. NULL with an exception set.
PyObject *subi_channel_end_unpack(module_state *state, char type, const subi_segment *segment);

#endif
