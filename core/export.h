// SPDX-License-Identifier: MIT
//
// What the record of an interpreter has for its exports, for export.c and reaper.c; the rest of it
// is in subinterp_runtime.h.
#ifndef SUBI_EXPORTS_H
#define SUBI_EXPORTS_H

#include <stdatomic.h>

#include "subinterp_runtime.h"

typedef struct subi__exports {
    _Atomic(subi_export *) returned;  // atomic: a stack of those that nobody refers to any more
    _Atomic size_t count;             // atomic: those that have not been released yet
    _Atomic bool over;                // atomic: set once, by subi_exports_end
    _Atomic bool due;                 // atomic: set while it is in the reaper's queue
    subi_interp *next_due;            // guarded by the reaper's lock, like all that follows
    subi_interp *next_lingering;
    bool (*ending)(subi_interp *, void *);  // NULL unless it lingers
    void *ending_data;
} subi__exports;

// Takes all that were returned to i, or NULL. Each of them has the same owner.
subi_export *subi__exports_take(subi_interp *i);

// Calls the export's `visit` with a list that was taken. False: it goes back to where it was.
bool subi__exports_visit(subi_interp *i, subi_export *list);

// Asks the reaper to look after i if something was returned to it that nobody may have seen.
void subi__exports_recheck(subi_interp *i);

// ---- reaper.c

// Something was returned to i: makes the reaper look after it soon.
void subi__reaper_tell(subi_interp *i);

void subi__reaper_forget(void);  // in the child of a fork

#endif
