// SPDX-License-Identifier: MIT
//
// Where the items of a buffer are, as the buffer protocol describes it.
#ifndef SUBI_LAYOUT_H
#define SUBI_LAYOUT_H

#include "state.h"

// What a receiver has to know of the memory. In a message its shape and strides follow, `ndim`
// numbers each, and its format, as a string.
typedef struct buffer_layout {
    void *buf;
    Py_ssize_t len;
    Py_ssize_t itemsize;
    size_t format_size;  // with the null character
    int ndim;
    int readonly;
} buffer_layout;

// The bytes from the first to the last one that belong to items.
typedef struct buffer_extent {
    uintptr_t start;
    size_t size;
} buffer_extent;

// Finds what there is of memory in a buffer with ndim >= 0. NULL, or why such a buffer cannot be had:
// its parts contradict each other, or it has Python objects.
const char *subi_layout_extent(const buffer_layout *layout, const Py_ssize_t *shape,
                               const Py_ssize_t *strides, const char *format,
                               buffer_extent *extent);

#endif
