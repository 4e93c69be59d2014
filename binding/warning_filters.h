// SPDX-License-Identifier: MIT
//
// The filters of warnings as plain data, so that another interpreter can have the same. It imports
// nothing for them: patterns are compiled when they are first tried, and a category whose module has not
// been imported applies from then on.
#ifndef SUBI_WARNING_FILTERS_H
#define SUBI_WARNING_FILTERS_H

#include "state.h"

// Those of the calling interpreter: a tuple of str, int, None and tuples, in which filters are left out
// that another interpreter cannot have, such as those with categories of __main__. NULL with an exception
// set.
PyObject *subi_warning_filters_describe(void);

// Gives the calling interpreter filters with that description, unless it has them. -1 with an exception
// set.
int subi_warning_filters_set(PyObject *description);

#endif
