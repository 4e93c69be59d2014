// SPDX-License-Identifier: MIT
//
// Two libraries that call Python, for test_slot.c, with the same numbers that are unique in the process,
// of which others have some, too.
#include "slot_unique.h"

int Py_Count(void);
int middle_count(void);
int plain_count(void);

int unique_middle(void);
int unique_plain(void);
int unique_own(void);
int unique_thread(void);
int unique_calls(void);

UNIQUE(middle_number);
UNIQUE(plain_number);
UNIQUE(own_number);
extern __thread int thread_number;

__asm__(".pushsection .tbss,\"awT\",@nobits\n"
        ".type thread_number, %gnu_unique_object\n"
        ".size thread_number, 4\n"
        ".balign 4\n"
        ".globl thread_number\n"
        "thread_number: .zero 4\n"
        ".popsection");

int
unique_middle(void)
{
    return ++middle_number;
}

int
unique_plain(void)
{
    return ++plain_number;
}

int
unique_own(void)
{
    return ++own_number;
}

int
unique_thread(void)
{
    return ++thread_number;
}

int
unique_calls(void)
{
    return Py_Count() + middle_count() + plain_count();
}
