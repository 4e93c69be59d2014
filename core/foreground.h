// SPDX-License-Identifier: MIT
//
// Runs on the initial thread, for process.c; the rest of it is in subinterp_runtime.h.
#ifndef SUBI_FOREGROUND_H
#define SUBI_FOREGROUND_H

void subi__foreground_forget(void);  // in the child of a fork

#endif
