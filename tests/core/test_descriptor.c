// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tap.h"

static int
next_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

static void
test_taken_once(void)
{
    subi_descriptor *d;
    int ends[2];
    char byte = 0;
    must(pipe(ends) == 0);
    must(subi_descriptor_new(ends[1], &d) == SUBI_OK);
    close(ends[1]);
    int fd = subi_descriptor_take(d);
    ok(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0, "a copy, which is not inherited");
    ok(write(fd, "x", 1) == 1 && read(ends[0], &byte, 1) == 1 && byte == 'x', "of the same file");
    ok(subi_descriptor_take(d) == -1, "it is taken once");
    subi_descriptor_drop(d);
    ok(fcntl(fd, F_GETFD) >= 0, "what was taken stays open");
    close(fd);
    close(ends[0]);
}

static void
test_message(void)
{
    subi_descriptor *d;
    int before = next_descriptor();
    subi_block *b = subi_block_new(1);
    must(subi_descriptor_new(0, &d) == SUBI_OK);
    must(subi_block_attach(b, subi_descriptor_segment(d)) == SUBI_OK);
    subi_descriptor_drop(d);
    ok(next_descriptor() != before, "a message keeps the copy open");
    subi_message m = subi_message_block(b);
    subi_message_fini(&m);
    ok(next_descriptor() == before, "and closes it when nobody has taken it");
}

static void
test_not_open(void)
{
    subi_descriptor *d;
    errno = 0;
    ok(subi_descriptor_new(-1, &d) == SUBI_INVALID && errno == EBADF, "none is refused");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_taken_once();
    test_message();
    test_not_open();
    return tap_done();
}
