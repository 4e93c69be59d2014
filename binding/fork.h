// SPDX-License-Identifier: MIT
//
// What CPython needs for a fork to succeed while there are other interpreters.
#ifndef SUBI_FORK_H
#define SUBI_FORK_H

#include "state.h"

// Registers the remedy, once for each runtime.
int subi_fork_init(void);

#endif
