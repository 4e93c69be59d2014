// SPDX-License-Identifier: MIT
//
// A program that has a malloc itself: slots are refused.
#include "slot_test.h"

int
main(int argc, char **argv)
{
    subi_slot *s;
    slot_test_start(argc, argv);
    subi_result r = subi_slot_open(python, &s);
    const char *why = subi_slot_error();
    ok(r == SUBI_NOT_FOUND && why != NULL && strstr(why, "malloc") != NULL, "refused: %s", why);
    return slot_test_done();
}
