// SPDX-License-Identifier: MIT
//
// What fuzz_decode.py loads: libFuzzer, and its function for one input. The input is a byte that says
// which message it is a changed one of, and the bytes of the message.
#include <sanitizer/allocator_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "subinterp.h"

// Of so many inputs that leave more memory than there was, garbage perhaps, one is looked at: it takes long.
#define CHECK_EVERY 64

typedef int input_function(const uint8_t *data, size_t size);

// Of libFuzzer.
int LLVMFuzzerRunDriver(int *argc, char ***argv, input_function *input);

// The originals, which have the segments; where to send; and who receives.
typedef struct drive {
    subi_block *const *originals;
    size_t count;
    subi_channel *channel;
    void (*receive)(void);
    void (*collect)(void);  // garbage
} drive;

static const drive *driven;

// Pickles, and functions that are sent as code: who can write those can run code anyway.
static bool
runs_code(const uint8_t *data, size_t size)
{
    return (size > 0 && data[0] == 'P') ||
           (memchr(data, 'g', size) != NULL && memchr(data, 'b', size) != NULL);
}

static void
send_changed(subi_block *original, const uint8_t *data, size_t size)
{
    subi_block *block = subi_block_new(size);
    for (size_t i = 0; i < subi_block_segment_count(original); i++) {
        subi_segment segment = *subi_block_segment(original, i);
        segment.free = NULL;  // it stays the original's
        subi_block_attach(block, segment);
    }
    if (size > 0) {
        memcpy(subi_block_bytes(block), data, size);
    }
    subi_message m = subi_message_block(block);
    if (subi_channel_send(driven->channel, SUBI_NOBODY, &m, SUBI_TRY) != SUBI_OK) {
        abort();
    }
}

static bool
leaves_memory(const uint8_t *data, size_t size)
{
    size_t before = __sanitizer_get_current_allocated_bytes();
    send_changed(driven->originals[data[0] % driven->count], data + 1, size - 1);
    driven->receive();
    return __sanitizer_get_current_allocated_bytes() > before;
}

// What is kept for later, by Python or by us, is not made each time.
static bool
leaks(const uint8_t *data, size_t size)
{
    bool grows = true;
    for (int i = 0; i < 5 && grows; i++) {
        driven->collect();
        size_t before = __sanitizer_get_current_allocated_bytes();
        leaves_memory(data, size);
        driven->collect();
        grows = __sanitizer_get_current_allocated_bytes() > before;
    }
    return grows;
}

static int
decode(const uint8_t *data, size_t size)
{
    if (size == 0 || runs_code(data + 1, size - 1)) {
        return -1;  // not for the corpus
    }
    static unsigned suspects;
    if (leaves_memory(data, size) && leaves_memory(data, size) && suspects++ % CHECK_EVERY == 0 &&
        leaks(data, size)) {
        fprintf(stderr, "memory is left each time\n");
        abort();
    }
    return 0;
}

SUBI_EXPORT int fuzz_drive(int argc, char **argv, const drive *d);

SUBI_EXPORT int
fuzz_drive(int argc, char **argv, const drive *d)
{
    driven = d;
    return LLVMFuzzerRunDriver(&argc, &argv, decode);
}
