// SPDX-License-Identifier: MIT
//
// A library that calls a Python without that function, for test_slot_faults.c.
int Py_NotThere(void);
int missing(void);

int
missing(void)
{
    return Py_NotThere();
}
