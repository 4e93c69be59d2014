// SPDX-License-Identifier: MIT
//
// Shared objects, as libFuzzer makes them, for the loader. The other program of that name has the oracle.
#include "elf_try.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    elf_tally t = {0, 0, 0, 0};
    elf_try(data, size, &t);
    return 0;
}
