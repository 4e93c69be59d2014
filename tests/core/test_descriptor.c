// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
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
test_copies(void)
{
    subi_descriptor *d;
    must(subi_descriptor_new(0, &d) == SUBI_OK);
    int a = subi_descriptor_copy(d), b = subi_descriptor_copy(d);
    ok(a >= 0 && b >= 0 && a != b && (fcntl(a, F_GETFD) & FD_CLOEXEC) != 0,
       "it is copied more than once");
    close(a);
    close(b);
    struct rlimit limit, few;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)next_descriptor(), .rlim_max = limit.rlim_max};
    must(setrlimit(RLIMIT_NOFILE, &few) == 0);
    a = subi_descriptor_copy(d);
    must(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    ok(a >= 0 && subi_descriptor_copy(d) == -1, "and taken when there can be no other copy");
    subi_descriptor_drop(d);
    ok(fcntl(a, F_GETFD) >= 0, "which is the caller's");
    close(a);
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
    test_copies();
    test_message();
    test_not_open();
    return tap_done();
}
