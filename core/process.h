// SPDX-License-Identifier: MIT
//
// The counts behind subi_running and subi_waiting, and the workshop, for those who change them.
#ifndef SUBI_PROCESS_H
#define SUBI_PROCESS_H

#include "gate.h"

void subi__run_begins(void);
void subi__run_ends(void);
void subi__wait_begins(void);
void subi__wait_ends(void);

// The first run of an interpreter counts in the workshop for as long as a guest may.
void subi__first_run_begins(subi__guest *guest);
void subi__first_run_ends(subi__guest *guest);

#endif
