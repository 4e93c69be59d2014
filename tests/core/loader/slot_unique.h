// SPDX-License-Identifier: MIT
//
// Numbers that are unique in the process, as C++ makes them of statics in headers.
#ifndef SLOT_UNIQUE_H
#define SLOT_UNIQUE_H

#define UNIQUE(name)                                                                               \
    __asm__(".pushsection .bss." #name ",\"aw\",@nobits\n"                                         \
            ".type " #name ", %gnu_unique_object\n"                                                \
            ".size " #name ", 4\n"                                                                 \
            ".balign 4\n"                                                                          \
            ".globl " #name "\n" #name ": .zero 4\n"                                               \
            ".popsection");                                                                        \
    extern int name

#endif
