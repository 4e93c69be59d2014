// SPDX-License-Identifier: MIT
//
// The reserve of interpreters, for process.c; the rest of it is in subinterp_runtime.h.
#ifndef SUBI_RESERVE_H
#define SUBI_RESERVE_H

void subi__reserve_init(void);
void subi__reserve_forget(void);  // in the child of a fork

#endif
