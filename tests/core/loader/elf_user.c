// SPDX-License-Identifier: MIT
//
// A library that needs elf_provider.c, for test_elf_edit.c.
int elf_count(void);
int elf_use(void);

int
elf_use(void)
{
    return 100 + elf_count();
}
