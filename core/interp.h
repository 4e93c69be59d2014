// SPDX-License-Identifier: MIT
//
// The table of interpreters, for process.c; the rest of it is in subinterp.h.
#ifndef SUBI_INTERP_H
#define SUBI_INTERP_H

void subi__interps_forget(void);  // in the child of a fork

#endif
