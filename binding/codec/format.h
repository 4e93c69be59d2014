// SPDX-License-Identifier: MIT
//
// The format of a block: one value, written as a tag byte and what it says.
//   N F T             None, False, True
//   0xc0 | value      int from 0 to 63
//   j <4 bytes>       int that fits in 32 bits
//   i <8 bytes>       int that fits in 64 bits
//   I <size> <bytes>  any other int: two's complement, little endian
//   f <8 bytes>       float
//   c <16 bytes>      complex
//   b <size> <bytes>  bytes
//   0x80 | length <units>       str of at most 63 ASCII characters
//   s <class> <length> <units>  str as it is in memory; class 0 is ASCII, else the size of a unit
//   ( [ < >  <length> <values>  tuple, list, set, frozenset
//   { <length> <keys and values in turns>  dict
//   K <shape> <length> <keys> <values>  dict whose keys are str; from now on that shape is these keys
//   D <shape> <values>  dict with the keys of that shape, in their order
//   R <value>         one that may be referred to later; they are numbered in the order of their R
//   r <number>        that value again, perhaps inside itself
//   h <segment>       handle; the segment with that number says its type, and keeps its object alive;
//                     after a handle of a buffer comes its layout (buffer.h)
//   g <tuple>         function, class or code object: see function.h
//   P <tuple>         any object, of which _pickling.py has made the tuple; only at the top
// Sizes, lengths and numbers are LEB128; everything else is in the machine's byte order, since it
// never leaves the process.
#ifndef SUBI_FORMAT_H
#define SUBI_FORMAT_H

typedef enum codec_tag {
    CODEC_NONE = 'N',
    CODEC_FALSE = 'F',
    CODEC_TRUE = 'T',
    CODEC_INT32 = 'j',
    CODEC_INT = 'i',
    CODEC_BIG_INT = 'I',
    CODEC_FLOAT = 'f',
    CODEC_COMPLEX = 'c',
    CODEC_BYTES = 'b',
    CODEC_STR = 's',
    CODEC_TUPLE = '(',
    CODEC_LIST = '[',
    CODEC_SET = '<',
    CODEC_FROZENSET = '>',
    CODEC_DICT = '{',
    CODEC_SHAPE = 'K',
    CODEC_SHAPED = 'D',
    CODEC_REMEMBER = 'R',
    CODEC_AGAIN = 'r',
    CODEC_HANDLE = 'h',
    CODEC_FUNCTION = 'g',
    CODEC_PICKLED = 'P',
    CODEC_SHORT_STR = 0x80,
    CODEC_SMALL_INT = 0xc0,
} codec_tag;

// What fits into the tag byte of a small int, or a short str.
#define CODEC_SHORT_MAX 63

// How many shapes there are at a time, and how many keys one may have.
#define CODEC_SHAPES     32
#define CODEC_SHAPE_KEYS 32

// Its functions `dumps` and `loads` are called for CODEC_PICKLED.
#define CODEC_PICKLING "subinterpreters._pickling"

#endif
