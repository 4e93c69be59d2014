// SPDX-License-Identifier: MIT
//
// The end of the process, or of the interpreter that the module is in: closes what is still open,
// in whatever state, in bounded time.
//
// When the main thread is done, threads that still run code in an interpreter, or wait on a
// channel, get a grace period. Then running code is interrupted (SystemExit) and waiting threads
// come back (SystemExit too). What does not react to that, such as C code in an endless loop,
// makes the process end without finalizing Python.
#ifndef SUBI_EXIT_H
#define SUBI_EXIT_H

#include "state.h"

// Registers with atexit and threading, once. -1 with an exception set.
int subi_exit_arm(module_state *state);

extern PyMethodDef subi_exit_functions[];

#endif
