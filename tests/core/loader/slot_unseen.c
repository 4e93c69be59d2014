// SPDX-License-Identifier: MIT
//
// A library that calls Python and may start threads that are not seen, for test_slot_threads.c.
int Py_Count(void);
int unseen(void);

__attribute__((weak)) void thrd_create_of_a_test(void);

int
unseen(void)
{
    return Py_Count() + (thrd_create_of_a_test != 0);
}
