// SPDX-License-Identifier: MIT
//
// The table of interpreters, for process.c, and what a record has for export.c and usage.c; the rest of it is in
// subinterp_runtime.h.
#ifndef SUBI_INTERP_H
#define SUBI_INTERP_H

#include "export.h"
#include "usage.h"

void subi__interps_forget(void);  // in the child of a fork

// When nothing is left of an interpreter but its record.
void subi__interp_ended(const subi_interp *i);

subi__exports *subi__interp_exports(subi_interp *i);
subi__usage *subi__interp_usage(subi_interp *i);

#endif
