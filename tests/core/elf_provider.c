// SPDX-License-Identifier: MIT
//
// A library with state of its own, for test_elf_edit.c.
int elf_count(void);

static int count;

int
elf_count(void)
{
    return ++count;
}
