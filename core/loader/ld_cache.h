// SPDX-License-Identifier: MIT
//
// The file in which ldconfig tells the dynamic linker where libraries are: those in folders that are
// in /etc/ld.so.conf. The bytes may be any.
#ifndef SUBI_LD_CACHE_H
#define SUBI_LD_CACHE_H

#include "subinterp.h"

#define SUBI__LD_CACHE "/etc/ld.so.cache"

// The path of the library of that name, for this machine and any processor of it; in the file. NULL:
// there is none.
const char *subi__ld_cache_find(const void *file, size_t size, const char *name);

#endif
