// SPDX-License-Identifier: MIT
//
// Functions, classes and code objects as tuples of plain values, which is how they are sent.
#ifndef SUBI_FUNCTION_H
#define SUBI_FUNCTION_H

#include "state.h"

// A tuple for obj: (module, qualified name) if others can import it; (code, name, qualified name, defaults,
// keyword defaults) for a function that can be made anew from its code, since that refers to nothing else;
// (code,) for a code object. NULL without an exception: it is none of these. NULL with one.
PyObject *subi_function_describe(PyObject *obj);

// The same for a function that is to be run for its code alone, with this interpreter's __main__ in the
// place of what it refers to. TypeError: it is no function or code object, has parameters, or is a closure.
PyObject *subi_script_describe(PyObject *obj);

// What a tuple describes, in this interpreter; a function that is made anew has the variables of its
// __main__ module as global ones. NULL with an exception: ImportError, AttributeError (it cannot be found
// here), SystemError (the tuple is malformed).
PyObject *subi_function_make(PyObject *description);

#endif
