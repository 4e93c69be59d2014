// SPDX-License-Identifier: MIT
//
// A library that calls Python, which others need, for test_slot.c. It has a symbol that is unique in
// the process.
#include "slot_unique.h"

int Py_Count(void);
int middle_count(void);
int middle_unique(void);

UNIQUE(middle_number);

int
middle_count(void)
{
    return 1000 + Py_Count();
}

int
middle_unique(void)
{
    return ++middle_number;
}
