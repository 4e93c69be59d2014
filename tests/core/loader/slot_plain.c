// SPDX-License-Identifier: MIT
//
// A library that does not call Python, for test_slot.c.
#include "slot_unique.h"

int plain_count(void);
int plain_peek(void);
int plain_unique(void);

UNIQUE(plain_number);

static int count;

int
plain_count(void)
{
    return __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
}

int
plain_peek(void)
{
    return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

int
plain_unique(void)
{
    return ++plain_number;
}
