// SPDX-License-Identifier: MIT
//
// What test_slot.c takes for a libpython: it counts.
int Py_Count(void);

static int count;

int
Py_Count(void)
{
    return ++count;
}
