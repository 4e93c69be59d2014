// SPDX-License-Identifier: MIT
//
// Signals that came before a thread waits. CPython's handlers in C note them; who waits without the GIL finds that
// out in nothing but its internal headers.
#ifndef SUBI_PENDING_SIGNALS_H
#define SUBI_PENDING_SIGNALS_H

// Once for the process, by the runtime that it began with.
void subi_signals_init(void);

// As PyErr_CheckSignals, in a wait.
int subi_signals_handle(void);

#endif
