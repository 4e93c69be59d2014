// SPDX-License-Identifier: MIT
//
// A library with state of its own, for test_elf_edit.c.
int elf_count(void);

static int count;

// What C++ makes of a static in an inline function: one in the process, for all libraries.
__asm__(".pushsection .bss\n"
        ".globl elf_unique\n"
        ".type elf_unique, %gnu_unique_object\n"
        ".size elf_unique, 4\n"
        ".balign 4\n"
        "elf_unique: .zero 4\n"
        ".popsection");
extern int elf_unique;

int elf_unique_count(void);

int
elf_unique_count(void)
{
    return ++elf_unique;
}

int
elf_count(void)
{
    return ++count;
}
