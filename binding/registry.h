// SPDX-License-Identifier: MIT
//
// The objects of one type that there are in this interpreter, by a number: so that there is one for each
// number. A dict that does not keep them alive: whoever is freed takes itself out.
#ifndef SUBI_REGISTRY_H
#define SUBI_REGISTRY_H

#include "state.h"

// -1 with an exception.
int subi_registry_add(PyObject *registry, PyObject *number, PyObject *obj);

// Borrowed. NULL: there is none; or with an exception.
PyObject *subi_registry_find(PyObject *registry, PyObject *number);

// For an object that is in it. Keeps the exception that is set, raises none. NULL is allowed.
void subi_registry_remove(PyObject *registry, PyObject *number);

#endif
