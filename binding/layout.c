// SPDX-License-Identifier: MIT
#include "layout.h"

#include <string.h>

// An 'O' that is not part of a field's name, which stands between colons.
static bool
has_python_objects(const char *format)
{
    bool in_name = false;
    for (; *format != 0; format++) {
        if (*format == ':') {
            in_name = !in_name;
        }
        else if (*format == 'O' && !in_name) {
            return true;
        }
    }
    return false;
}

// Of an item with one of the formats that memoryview reads without a look at the item's size; 0: it is
// none of these.
static size_t
size_of_native(const char *format)
{
    format += *format == '@';
    if (format[0] == 0 || format[1] != 0) {
        return 0;
    }
    switch (format[0]) {
    case 'c':
    case 'b':
    case 'B':
        return 1;
    case '?':
        return sizeof(_Bool);
    case 'h':
    case 'H':
    case 'e':
        return sizeof(short);
    case 'i':
    case 'I':
        return sizeof(int);
    case 'l':
    case 'L':
        return sizeof(long);
    case 'q':
    case 'Q':
        return sizeof(long long);
    case 'n':
    case 'N':
        return sizeof(size_t);
    case 'P':
        return sizeof(void *);
    case 'f':
        return sizeof(float);
    case 'd':
        return sizeof(double);
    case 'F':
        return 2 * sizeof(float);
    case 'D':
        return 2 * sizeof(double);
    default:
        return 0;
    }
}

// How many items there are. -1: the shape is none.
static Py_ssize_t
count_items(const buffer_layout *layout, const Py_ssize_t *shape)
{
    Py_ssize_t n = 1;
    bool overflow = false, none = false;
    for (int k = 0; k < layout->ndim; k++) {
        if (shape[k] < 0) {
            return -1;
        }
        none = none || shape[k] == 0;
        overflow = overflow || __builtin_mul_overflow(n, shape[k], &n);
    }
    return none ? 0 : overflow ? -1 : n;
}

// False: it is not in the address space.
static bool
find_extent(const buffer_layout *layout, const Py_ssize_t *shape, const Py_ssize_t *strides,
            buffer_extent *extent)
{
    Py_ssize_t first = 0, end = layout->itemsize, span, size;
    uintptr_t last;
    for (int k = 0; k < layout->ndim; k++) {
        if (__builtin_mul_overflow(shape[k] - 1, strides[k], &span) ||
            __builtin_add_overflow(*(span < 0 ? &first : &end), span, span < 0 ? &first : &end)) {
            return false;
        }
    }
    return !__builtin_sub_overflow(end, first, &size) &&
           !__builtin_add_overflow((uintptr_t)layout->buf, first, &extent->start) &&
           !__builtin_add_overflow(extent->start, extent->size = (size_t)size, &last);
}

const char *
subi_layout_extent(const buffer_layout *layout, const Py_ssize_t *shape, const Py_ssize_t *strides,
                   const char *format, buffer_extent *extent)
{
    Py_ssize_t count = count_items(layout, shape), len;
    size_t native = size_of_native(format);
    if (has_python_objects(format)) {
        return "its buffer has Python objects";
    }
    if (layout->itemsize < 0 || (native > 0 && (size_t)layout->itemsize != native)) {
        return "its items do not have the size of their format";
    }
    if (count < 0 || __builtin_mul_overflow(count, layout->itemsize, &len) || len != layout->len) {
        return "its shape does not have the size of its buffer";
    }
    *extent = (buffer_extent){.start = (uintptr_t)layout->buf, .size = 0};
    return len == 0 || find_extent(layout, shape, strides, extent)
               ? NULL
               : "its strides lead out of the address space";
}
