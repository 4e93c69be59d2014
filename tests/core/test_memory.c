// SPDX-License-Identifier: MIT
#include <string.h>

#include "tap.h"

static bool
is_zero(const unsigned char *bytes, size_t size)
{
    for (size_t k = 0; k < size; k++) {
        if (bytes[k] != 0) {
            return false;
        }
    }
    return true;
}

static void
test_sizes(void)
{
    static const size_t sizes[] = {0, 1, 4095, 1 << 20, (40 << 20) + 1};
    for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++) {
        subi_memory *m;
        must(subi_memory_new(sizes[k], &m) == SUBI_OK);
        unsigned char *bytes = subi_memory_bytes(m);
        ok(bytes != NULL && subi_memory_size(m) == sizes[k] && is_zero(bytes, sizes[k]),
           "%zu bytes are there, all zero", sizes[k]);
        memset(bytes, 1, sizes[k]);
        subi_memory_drop(m);
    }
}

static void
test_message(void)
{
    subi_memory *m;
    subi_block *b = subi_block_new(1);
    must(subi_memory_new(3, &m) == SUBI_OK);
    memcpy(subi_memory_bytes(m), "abc", 3);
    must(subi_block_attach(b, subi_memory_segment(m)) == SUBI_OK);
    subi_memory_drop(m);
    const subi_segment *s = subi_block_segment(b, 0);
    ok(s->size == 3 && memcmp(s->data, "abc", 3) == 0, "a message keeps it");
    subi_memory_hold(s->owner);
    m = s->owner;
    subi_block_drop(b);
    ok(memcmp(subi_memory_bytes(m), "abc", 3) == 0, "and who has received it");
    subi_memory_drop(m);
}

static void
test_will_fill(void)
{
    for (size_t size = 1; size < (size_t)100 << 20; size *= 40) {
        char *bytes = malloc(size + 1);
        must(bytes != NULL);
        bytes[0] = bytes[size] = 'x';
        subi_will_fill(bytes + 1, size - 1);
        memset(bytes + 1, 'y', size - 1);
        ok(bytes[0] == 'x' && bytes[size - 1] == (size > 1 ? 'y' : 'x') && bytes[size] == 'x',
           "%zu bytes are as before", size);
        free(bytes);
    }
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_sizes();
    test_message();
    test_will_fill();
    return tap_done();
}
