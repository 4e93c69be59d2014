// SPDX-License-Identifier: MIT
//
// The type Queue, and the functions create_queue and list_queues: a channel with the methods of
// concurrent.interpreters, which has no ends and is never closed.
#ifndef SUBI_QUEUE_TYPE_H
#define SUBI_QUEUE_TYPE_H

#include "state.h"

#define SUBI_HANDLE_QUEUE 'q'

int subi_queue_type_init(module_state *state);

extern PyMethodDef subi_queue_functions[];

// If obj is a queue: true, and a segment that keeps it.
bool subi_queue_pack(module_state *state, PyObject *obj, char *type, subi_segment *segment);

// The queue of such a handle. NULL with an exception set.
PyObject *subi_queue_unpack(module_state *state, const subi_segment *segment);

#endif
