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

// A guest in the workshop. A busy one goes when this thread begins to wait on a channel.
void subi__stay(subi__guest *guest, int64_t time);
void subi__stay_busy(subi__guest *guest, int64_t time);
void subi__go(subi__guest *guest);

#endif
