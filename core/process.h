// SPDX-License-Identifier: MIT
//
// The counts behind subi_running and subi_waiting, for those who change them.
#ifndef SUBI_PROCESS_H
#define SUBI_PROCESS_H

void subi__run_begins(void);
void subi__run_ends(void);
void subi__wait_begins(void);
void subi__wait_ends(void);

#endif
