// SPDX-License-Identifier: MIT
//
// The format of a block: one value, written as a tag byte and what it says.
//   N F T             None, False, True
//   i <8 bytes>       int that fits in 64 bits
//   I <size> <bytes>  any other int: two's complement, little endian
//   f <8 bytes>       float
//   c <16 bytes>      complex
//   b <size> <bytes>  bytes
//   s <class> <length> <units>  str as it is in memory; class 0 is ASCII, else the size of a unit
//   ( [ < >  <length> <values>  tuple, list, set, frozenset
//   { <length> <keys and values in turns>  dict
//   R <value>         one that may be referred to later; they are numbered in the order of their R
//   r <number>        that value again, perhaps inside itself
//   h <type> <segment>   handle; the segment with that number keeps its object alive; after a
//                        handle of a buffer comes its layout (buffer.h)
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
    CODEC_REMEMBER = 'R',
    CODEC_AGAIN = 'r',
    CODEC_HANDLE = 'h',
    CODEC_FUNCTION = 'g',
    CODEC_PICKLED = 'P',
} codec_tag;

// Its functions `dumps` and `loads` are called for CODEC_PICKLED.
#define CODEC_PICKLING "subinterpreters._pickling"

#endif
