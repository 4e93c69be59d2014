// SPDX-License-Identifier: MIT
#include <string.h>

#include "tap.h"

static int freed[16];

static void
count_free(void *owner)
{
    ++*(int *)owner;
}

static void
test_inline_values(void)
{
    subi_message m = subi_message_integer(-7);
    ok(m.tag == SUBI_TAG_INTEGER && m.u.integer == -7, "an integer is inline");
    subi_message_fini(&m);
    ok(m.tag == SUBI_TAG_NONE, "fini leaves none");
    subi_message_fini(&m);
    ok(m.tag == SUBI_TAG_NONE, "fini of none does nothing");
    ok(sizeof(subi_message) == 32, "a message has 32 bytes");
}

static void
test_bytes_and_resize(void)
{
    subi_block *b = subi_block_new(100);
    for (int i = 0; i < 100; i++) {
        subi_block_bytes(b)[i] = (unsigned char)i;
    }
    ok(subi_block_size(b) == 100, "a block has the size asked for");
    ok(subi_block_resize(&b, 100000) == SUBI_OK && subi_block_size(b) == 100000, "it grows");
    ok(subi_block_bytes(b)[0] == 0 && subi_block_bytes(b)[99] == 99, "bytes survive growing");
    ok(subi_block_resize(&b, 10) == SUBI_OK && subi_block_bytes(b)[9] == 9, "and shrinking");
    ok(subi_block_resize(&b, SIZE_MAX) == SUBI_NOMEM && subi_block_size(b) == 10,
       "an impossible size changes nothing");
    ok(subi_block_new(SIZE_MAX - 8) == NULL, "an impossible block is NULL");
    subi_block_drop(b);
    subi_block_drop(NULL);
    b = subi_block_new(0);
    ok(b != NULL && subi_block_size(b) == 0, "a block may be empty");
    subi_block_drop(b);
}

static void
test_segments(void)
{
    subi_block *b = subi_block_new(8);
    for (int i = 0; i < 16; i++) {
        subi_segment s = {
            .data = &freed[i], .size = (size_t)i, .free = count_free, .owner = &freed[i]};
        s.free = i == 3 ? NULL : s.free;
        must(subi_block_attach(b, s) == SUBI_OK);
    }
    bool in_order = subi_block_segment_count(b) == 16;
    for (size_t i = 0; i < 16; i++) {
        in_order = in_order && subi_block_segment(b, i)->size == i;
    }
    ok(in_order, "segments keep their order");
    ok(subi_block_segment(b, 16) == NULL, "there is no segment past the last");
    subi_block_hold(b);
    subi_message m = subi_message_block(b);
    subi_message_fini(&m);
    ok(freed[0] == 0, "a held block lives on");
    subi_block_drop(b);
    bool once = freed[3] == 0;
    for (int i = 0; i < 16; i++) {
        once = once && freed[i] == (i != 3);
    }
    ok(once, "the last drop frees each segment once; a segment without free is left alone");
}

static void *
drop_block(void *b)
{
    subi_block_drop(b);
    return NULL;
}

static void
test_drop_by_threads(void)
{
    int count = 0;
    for (int round = 0; round < 200; round++) {
        pthread_t t[3];
        subi_block *b = subi_block_new(1);
        subi_segment s = {.free = count_free, .owner = &count};
        must(subi_block_attach(b, s) == SUBI_OK);
        for (int i = 0; i < 3; i++) {
            subi_block_hold(b);
            t[i] = tap_thread(drop_block, b);
        }
        subi_block_drop(b);
        for (int i = 0; i < 3; i++) {
            tap_join(t[i]);
        }
    }
    ok(count == 200, "dropped by several threads at once, a block is freed once");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_inline_values();
    test_bytes_and_resize();
    test_segments();
    test_drop_by_threads();
    return tap_done();
}
