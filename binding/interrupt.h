// SPDX-License-Identifier: MIT
//
// Raising an exception in code that runs in another interpreter.
#ifndef SUBI_INTERRUPT_H
#define SUBI_INTERRUPT_H

#include "backend.h"
#include "state.h"

// Makes the code that runs in interpreter i, and its threads, raise SystemExit at the next bytecode. The caller has no
// thread state. SUBI_OK: done. SUBI_TIMEOUT: C code kept the interpreter's GIL until the deadline;
// the attempt goes on, so the interpreter must not be ended any more. SUBI_NOMEM: no thread could
// be started for it.
subi_result subi_interrupt(subi_interp *i, int64_t deadline);

// See runtime.h. Raises SystemExit in the threads that run in n's interpreter, but for idle ones.
void subi_interrupt_here(native *n);

#endif
