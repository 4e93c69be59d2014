// SPDX-License-Identifier: MIT
//
// The folder that holds the copies, and how much there may be in it. What users want of it is in
// subinterp_runtime.h.
#ifndef SUBI_CACHE_H
#define SUBI_CACHE_H

#include <sys/stat.h>

#include "subinterp_runtime.h"

// Whether what the user has set can be understood. False: the error is set.
bool subi__cache_check(void);

// Somebody has removed the folder: makes it again.
void subi__cache_restore(void);

// The file is in use: it is not among the oldest. *st gets what that changes. False: it is not known.
bool subi__cache_used(int fd, struct stat *st);

// A file was added: now and then removes the oldest, when there are too many.
void subi__cache_grew(void);

#endif
