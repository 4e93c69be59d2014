// SPDX-License-Identifier: MIT
//
// The type Map: the results of a job, in order.
#ifndef SUBI_MAP_TYPE_H
#define SUBI_MAP_TYPE_H

#include "pool_type.h"

int subi_map_type_init(module_state *state);

// For Pool.map: see there. NULL with an exception.
PyObject *subi_map_new(module_state *state, pool_object *po, PyObject *args);

#endif
