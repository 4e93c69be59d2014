// SPDX-License-Identifier: MIT
//
// File descriptors on their way between interpreters.
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "subinterp.h"

#define TAKEN (-1)

struct subi_descriptor {
    _Atomic size_t references;
    _Atomic int fd;  // atomic: whoever exchanges it for TAKEN has to close it
};

subi_result
subi_descriptor_new(int fd, subi_descriptor **out)
{
    subi_descriptor *d = malloc(sizeof(*d));
    if (d == NULL) {
        return SUBI_NOMEM;
    }
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0) {
        free(d);  // which leaves errno alone
        return SUBI_INVALID;
    }
    atomic_init(&d->references, 1);
    atomic_init(&d->fd, copy);
    *out = d;
    return SUBI_OK;
}

void
subi_descriptor_hold(subi_descriptor *d)
{
    // relaxed: the caller has a reference
    atomic_fetch_add_explicit(&d->references, 1, memory_order_relaxed);
}

int
subi_descriptor_take(subi_descriptor *d)
{
    return atomic_exchange(&d->fd, TAKEN);
}

int
subi_descriptor_copy(subi_descriptor *d)
{
    int fd = atomic_load(&d->fd);
    int copy = fd != TAKEN ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : TAKEN;
    return copy >= 0 ? copy : subi_descriptor_take(d);
}

void
subi_descriptor_drop(subi_descriptor *d)
{
    // release, and acquire on the last: all use by others is over before we free
    if (atomic_fetch_sub_explicit(&d->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    int fd = subi_descriptor_take(d);
    if (fd != TAKEN) {
        close(fd);
    }
    free(d);
}

static void
free_segment(void *owner)
{
    subi_descriptor_drop(owner);
}

subi_segment
subi_descriptor_segment(subi_descriptor *d)
{
    subi_descriptor_hold(d);
    return (subi_segment){.free = free_segment, .owner = d};
}
