// SPDX-License-Identifier: MIT
//
// The module `_xxsubinterpreters`, as CPython 3.9 to 3.11 had it.
#ifndef SUBI_LEGACY_H
#define SUBI_LEGACY_H

#include "state.h"

// legacy_module(spec): a new module object with that spec.
PyObject *subi_legacy_module(PyObject *binding, PyObject *spec);

#endif
