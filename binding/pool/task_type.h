// SPDX-License-Identifier: MIT
//
// The type Task: what the future of a call needs of it.
#ifndef SUBI_TASK_TYPE_H
#define SUBI_TASK_TYPE_H

#include "pool_type.h"

int subi_task_type_init(module_state *state);

// For t, which has not been sent, and whose future that will be. NULL with an exception.
PyObject *subi_task_object_new(module_state *state, pool_object *po, task *t, PyObject *future);

// When it is sent: its task, which has the future from now on; borrowed. NULL: it has been sent.
task *subi_task_object_begin(PyObject *self);

#endif
