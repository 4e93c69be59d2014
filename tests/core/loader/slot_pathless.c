// SPDX-License-Identifier: MIT
//
// A library that needs slot_elsewhere.c and has no run path, for test_slot.c: the program has one.
int elsewhere_count(void);
int pathless_count(void);

int
pathless_count(void)
{
    return elsewhere_count();
}
