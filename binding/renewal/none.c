// SPDX-License-Identifier: MIT
//
// In place of the other files of this folder where no interpreter can be used again.
#include "birth.h"
#include "renew.h"

birth *
subi_birth_new(void)
{
    return NULL;
}

void
subi_birth_free(birth *b)
{
    (void)b;
}

int
subi_birth_install_main(const birth *b)
{
    (void)b;
    return -1;
}

bool
subi_birth_has_atexit_functions(const birth *b)
{
    (void)b;
    return true;
}

bool
subi_birth_fits_process(const birth *b)
{
    (void)b;
    return false;
}

bool
subi_renew(native *n)
{
    (void)n;
    return false;
}

uint64_t
subi_birth_sum_environment(void)
{
    return 0;
}
