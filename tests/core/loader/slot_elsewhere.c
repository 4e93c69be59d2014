// SPDX-License-Identifier: MIT
//
// A library that calls Python, in a folder that only a run path leads to, for test_slot.c.
int Py_Count(void);
int elsewhere_count(void);

int
elsewhere_count(void)
{
    return 2000 + Py_Count();
}
