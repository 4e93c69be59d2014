// SPDX-License-Identifier: MIT
#include "elf_edit.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

// The file is not changed where it is. A new segment at its end gets new program headers, a new
// dynamic section and a new string table; the file header then refers to these. So there is always
// room, and nothing else moves:
//
//     ELF header --e_phoff--------------------------------+
//     (all the rest as before)                            |
//     padding to ALIGNMENT                                v
//     new segment, readable and writable:  program headers | dynamic section | strings

#if defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

#define ALIGNMENT ((size_t)0x10000)  // the largest page of any machine

#define HEADERS_MAX 64    // of program headers that a file may have
#define ENTRIES_MAX 4096  // of entries in its dynamic section
#define FILE_MAX    ((size_t)1 << 40)

// A file that has been looked through. Every pointer is into it, and what it says lies in it.
typedef struct image {
    const unsigned char *bytes;
    size_t size;
    const char *why;
    Elf64_Ehdr header;
    Elf64_Phdr segments[HEADERS_MAX];
    const Elf64_Phdr *dynamic_segment;
    size_t entries;  // of the dynamic section, without the last, DT_NULL
    const char *strings;
    size_t strings_size;  // at least 1; the last byte is 0
} image;

static subi_result
invalid(image *m, const char *why)
{
    m->why = why;
    return SUBI_INVALID;
}

// Whether size bytes at offset are in the file.
static bool
has(const image *m, uint64_t offset, uint64_t size)
{
    return offset <= m->size && size <= m->size - offset;
}

// Files may be mapped, and need not be aligned.
static Elf64_Dyn
entry(const image *m, size_t index)
{
    Elf64_Dyn d;
    memcpy(&d, m->bytes + m->dynamic_segment->p_offset + index * sizeof(d), sizeof(d));
    return d;
}

static bool
find_entry(const image *m, Elf64_Sxword tag, uint64_t *value)
{
    for (size_t i = 0; i < m->entries; i++) {
        Elf64_Dyn d = entry(m, i);
        if (d.d_tag == tag) {
            *value = d.d_un.d_val;
            return true;
        }
    }
    return false;
}

// Where in the file `size` bytes at an address come from.
static bool
find_address(const image *m, uint64_t address, uint64_t size, uint64_t *offset)
{
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        const Elf64_Phdr *p = &m->segments[i];
        if (p->p_type == PT_LOAD && address >= p->p_vaddr && address - p->p_vaddr <= p->p_filesz &&
            size <= p->p_filesz - (address - p->p_vaddr)) {
            *offset = p->p_offset + (address - p->p_vaddr);
            return has(m, *offset, size);
        }
    }
    return false;
}

static subi_result
read_header(image *m)
{
    if (!has(m, 0, sizeof(m->header)) || m->size > FILE_MAX) {
        return invalid(m, "it is shorter than an ELF header");
    }
    memcpy(&m->header, m->bytes, sizeof(m->header));
    const Elf64_Ehdr *h = &m->header;
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return invalid(m, "it is no ELF file");
    }
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
        h->e_machine != MACHINE) {
        return invalid(m, "it is for another machine");
    }
    if (h->e_type != ET_DYN) {
        return invalid(m, "it is no shared object");
    }
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 || h->e_phnum > HEADERS_MAX ||
        !has(m, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr))) {
        return invalid(m, "its program headers are malformed");
    }
    memcpy(m->segments, m->bytes + h->e_phoff, h->e_phnum * sizeof(Elf64_Phdr));
    return SUBI_OK;
}

static subi_result
read_segments(image *m)
{
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        const Elf64_Phdr *p = &m->segments[i];
        if (p->p_type == PT_DYNAMIC) {
            m->dynamic_segment = p;
        }
        else if (p->p_type != PT_LOAD) {
            continue;
        }
        if (!has(m, p->p_offset, p->p_filesz) || p->p_memsz < p->p_filesz ||
            p->p_vaddr > UINT64_MAX / 2 || p->p_memsz > UINT64_MAX / 4) {
            return invalid(m, "a segment is not in the file");
        }
    }
    return m->dynamic_segment != NULL ? SUBI_OK : invalid(m, "it has no dynamic section");
}

static subi_result
read_dynamic(image *m)
{
    size_t capacity = m->dynamic_segment->p_filesz / sizeof(Elf64_Dyn);
    capacity = capacity < ENTRIES_MAX ? capacity : ENTRIES_MAX;
    while (m->entries < capacity && entry(m, m->entries).d_tag != DT_NULL) {
        m->entries++;
    }
    if (m->entries == capacity) {
        return invalid(m, "its dynamic section has no end");
    }
    uint64_t address, size, offset;
    if (!find_entry(m, DT_STRTAB, &address) || !find_entry(m, DT_STRSZ, &size) || size == 0 ||
        !find_address(m, address, size, &offset) || m->bytes[offset + size - 1] != 0) {
        return invalid(m, "its string table is malformed");
    }
    m->strings = (const char *)m->bytes + offset;
    m->strings_size = size;
    return SUBI_OK;
}

static subi_result
read_image(image *m, const void *file, size_t size)
{
    *m = (image){.bytes = file, .size = size};
    subi_result r = read_header(m);
    if (r == SUBI_OK) {
        r = read_segments(m);
    }
    if (r == SUBI_OK) {
        r = read_dynamic(m);
    }
    return r;
}

// NULL: there is no such string.
static const char *
string_at(const image *m, uint64_t offset)
{
    return offset < m->strings_size ? m->strings + offset : NULL;
}

// ---- questions --------------------------------------------------------------------------------

subi_result
subi__elf_needed(const void *file, size_t size, bool (*each)(const char *, void *), void *arg,
                 const char **why)
{
    image m;
    subi_result r = read_image(&m, file, size);
    for (size_t i = 0; r == SUBI_OK && i < m.entries; i++) {
        Elf64_Dyn d = entry(&m, i);
        if (d.d_tag != DT_NEEDED) {
            continue;
        }
        const char *name = string_at(&m, d.d_un.d_val);
        if (name == NULL) {
            r = invalid(&m, "the name of a needed library is not in its string table");
        }
        else if (!each(name, arg)) {
            break;
        }
    }
    *why = m.why;
    return r;
}

// The symbols that a file wants come first in its table. *count of them, and the one without a name.
static bool
count_wanted(const image *m, uint64_t *count)
{
    uint64_t address, offset;
    uint32_t words[2];  // GNU: buckets, first symbol that it has; SysV: buckets, symbols
    if (!find_entry(m, DT_GNU_HASH, &address) && !find_entry(m, DT_HASH, &address)) {
        return false;
    }
    if (!find_address(m, address, sizeof(words), &offset)) {
        return false;
    }
    memcpy(words, m->bytes + offset, sizeof(words));
    *count = words[1];
    return true;
}

subi_result
subi__elf_wants(const void *file, size_t size, const char *prefix, bool *wants, const char **why)
{
    image m;
    uint64_t address, offset, count;
    subi_result r = read_image(&m, file, size);
    *wants = false;
    if (r == SUBI_OK && (!count_wanted(&m, &count) || !find_entry(&m, DT_SYMTAB, &address) ||
                         !find_address(&m, address, count * sizeof(Elf64_Sym), &offset))) {
        r = invalid(&m, "its symbol table is malformed");
    }
    for (uint64_t i = 0; r == SUBI_OK && i < count && !*wants; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, m.bytes + offset + i * sizeof(symbol), sizeof(symbol));
        const char *name = string_at(&m, symbol.st_name);
        *wants = symbol.st_shndx == SHN_UNDEF && name != NULL &&
                 strncmp(name, prefix, strlen(prefix)) == 0;
    }
    *why = m.why;
    return r;
}

// ---- edits ------------------------------------------------------------------------------------

// The new segment, while it is put together.
typedef struct addition {
    uint64_t offset;                        // in the file
    uint64_t address;                       // in memory
    size_t headers, dynamic, strings, end;  // offsets in the segment
    unsigned char *bytes;
    size_t entries;       // written so far
    size_t strings_used;  // written so far
} addition;

static size_t
length_of(const char *s)
{
    return s != NULL ? strlen(s) + 1 : 0;
}

static uint64_t
align(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void
lay_out(const image *m, const subi__elf_edit *edit, addition *a)
{
    uint64_t end = 0;
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        const Elf64_Phdr *p = &m->segments[i];
        if (p->p_type == PT_LOAD && p->p_vaddr + p->p_memsz > end) {
            end = p->p_vaddr + p->p_memsz;
        }
    }
    a->offset = align(m->size);
    a->address = align(end);
    a->headers = 0;
    a->dynamic = a->headers + (size_t)(m->header.e_phnum + 1) * sizeof(Elf64_Phdr);
    a->strings = a->dynamic + (m->entries + 4) * sizeof(Elf64_Dyn);  // three more, and DT_NULL
    a->end = a->strings + m->strings_size + length_of(edit->soname) + length_of(edit->runpath) +
             length_of(edit->needed);
}

static void
add_entry(addition *a, Elf64_Sxword tag, uint64_t value)
{
    Elf64_Dyn d = {.d_tag = tag, .d_un.d_val = value};
    memcpy(a->bytes + a->dynamic + a->entries++ * sizeof(d), &d, sizeof(d));
}

static uint64_t
add_string(addition *a, const char *s)
{
    uint64_t offset = a->strings_used;
    memcpy(a->bytes + a->strings + offset, s, strlen(s) + 1);
    a->strings_used += strlen(s) + 1;
    return offset;
}

static bool
is_replaced(const image *m, const subi__elf_edit *edit, const Elf64_Dyn *d)
{
    const char *name = string_at(m, d->d_un.d_val);
    switch (d->d_tag) {
    case DT_SONAME:
        return edit->soname != NULL;
    case DT_RUNPATH:
    case DT_RPATH:
        return edit->runpath != NULL;
    case DT_NEEDED:
        return edit->instead != NULL && name != NULL && strcmp(name, edit->instead) == 0;
    default:
        return false;
    }
}

static void
write_dynamic(const image *m, const subi__elf_edit *edit, addition *a)
{
    memcpy(a->bytes + a->strings, m->strings, m->strings_size);
    a->strings_used = m->strings_size;
    if (edit->needed != NULL) {
        add_entry(a, DT_NEEDED, add_string(a, edit->needed));  // the first: it is searched first
    }
    if (edit->soname != NULL) {
        add_entry(a, DT_SONAME, add_string(a, edit->soname));
    }
    if (edit->runpath != NULL) {
        add_entry(a, DT_RUNPATH, add_string(a, edit->runpath));
    }
    for (size_t i = 0; i < m->entries; i++) {
        Elf64_Dyn d = entry(m, i);
        if (d.d_tag == DT_STRTAB) {
            add_entry(a, DT_STRTAB, a->address + a->strings);
        }
        else if (d.d_tag == DT_STRSZ) {
            add_entry(a, DT_STRSZ, a->end - a->strings);
        }
        else if (!is_replaced(m, edit, &d)) {
            add_entry(a, d.d_tag, d.d_un.d_val);
        }
    }
    add_entry(a, DT_NULL, 0);
}

static void
write_headers(const image *m, addition *a)
{
    Elf64_Phdr segments[HEADERS_MAX + 1];
    size_t count = m->header.e_phnum;
    memcpy(segments, m->segments, count * sizeof(*segments));
    for (size_t i = 0; i < count; i++) {
        Elf64_Phdr *p = &segments[i];
        size_t at = p->p_type == PT_DYNAMIC ? a->dynamic : a->headers;
        if (p->p_type == PT_DYNAMIC || p->p_type == PT_PHDR) {
            p->p_offset = a->offset + at;
            p->p_vaddr = p->p_paddr = a->address + at;
            p->p_filesz = p->p_memsz =
                p->p_type == PT_DYNAMIC ? a->strings - a->dynamic : (count + 1) * sizeof(*p);
        }
    }
    segments[count] = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_W,  // the dynamic linker writes into the dynamic section
        .p_offset = a->offset,
        .p_vaddr = a->address,
        .p_paddr = a->address,
        .p_filesz = a->end,
        .p_memsz = a->end,
        .p_align = ALIGNMENT,
    };
    memcpy(a->bytes + a->headers, segments, (count + 1) * sizeof(*segments));
}

subi_result
subi__elf_edit_copy(const void *file, size_t size, const subi__elf_edit *edit, void **out,
                    size_t *out_size, const char **why)
{
    image m;
    addition a = {.entries = 0};
    subi_result r = read_image(&m, file, size);
    if (r == SUBI_OK && m.header.e_phnum == HEADERS_MAX) {
        r = invalid(&m, "it has too many program headers");
    }
    *why = m.why;
    if (r != SUBI_OK) {
        return r;
    }
    lay_out(&m, edit, &a);
    unsigned char *copy = calloc(1, a.offset + a.end);
    if (copy == NULL) {
        return SUBI_NOMEM;
    }
    memcpy(copy, file, size);
    a.bytes = copy + a.offset;
    write_dynamic(&m, edit, &a);
    write_headers(&m, &a);
    m.header.e_phoff = a.offset + a.headers;
    m.header.e_phnum++;
    memcpy(copy, &m.header, sizeof(m.header));
    *out = copy;
    *out_size = a.offset + a.end;
    return SUBI_OK;
}
