// SPDX-License-Identifier: MIT
//
// A library that wants a symbol and has none, for test_elf_edit.c.
int elf_count(void);

__attribute__((constructor)) static void
use(void)
{
    elf_count();
}
