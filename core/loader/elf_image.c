// SPDX-License-Identifier: MIT
#include "elf_image.h"

#include <string.h>

#if defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_X86_64
#endif

#define ENTRIES_MAX 4096  // of entries in its dynamic section
#define FILE_MAX    ((size_t)1 << 40)

subi_result
subi__elf_invalid(subi__elf_image *m, const char *why)
{
    m->why = why;
    return SUBI_INVALID;
}

bool
subi__elf_has(const subi__elf_image *m, uint64_t offset, uint64_t size)
{
    return offset <= m->size && size <= m->size - offset;
}

// Files may be mapped, and need not be aligned.
Elf64_Dyn
subi__elf_entry(const subi__elf_image *m, size_t index)
{
    Elf64_Dyn d;
    memcpy(&d, m->bytes + m->dynamic.p_offset + index * sizeof(d), sizeof(d));
    return d;
}

bool
subi__elf_find(const subi__elf_image *m, Elf64_Sxword tag, uint64_t *value)
{
    for (size_t i = 0; i < m->entries; i++) {
        Elf64_Dyn d = subi__elf_entry(m, i);
        if (d.d_tag == tag) {
            *value = d.d_un.d_val;
            return true;
        }
    }
    return false;
}

Elf64_Phdr
subi__elf_segment(const subi__elf_image *m, size_t index)
{
    Elf64_Phdr p;
    memcpy(&p, m->bytes + m->header.e_phoff + index * sizeof(p), sizeof(p));
    return p;
}

bool
subi__elf_offset(const subi__elf_image *m, uint64_t address, uint64_t size, uint64_t *offset)
{
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        Elf64_Phdr p = subi__elf_segment(m, i);
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr <= p.p_filesz &&
            size <= p.p_filesz - (address - p.p_vaddr)) {
            *offset = p.p_offset + (address - p.p_vaddr);
            return subi__elf_has(m, *offset, size);
        }
    }
    return false;
}

static bool
is_foreign(const Elf64_Ehdr *h)
{
    return h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
           h->e_machine != MACHINE;
}

static subi_result
read_header(subi__elf_image *m)
{
    if (!subi__elf_has(m, 0, sizeof(m->header)) || m->size > FILE_MAX) {
        return subi__elf_invalid(m, "it is shorter than an ELF header");
    }
    memcpy(&m->header, m->bytes, sizeof(m->header));
    const Elf64_Ehdr *h = &m->header;
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return subi__elf_invalid(m, "it is no ELF file");
    }
    if (is_foreign(h)) {
        return subi__elf_invalid(m, "it is for another machine");
    }
    if (h->e_type != ET_DYN) {
        return subi__elf_invalid(m, "it is no shared object");
    }
    if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phnum == 0 ||
        h->e_phnum > SUBI__ELF_HEADERS_MAX ||
        !subi__elf_has(m, h->e_phoff, (uint64_t)h->e_phnum * sizeof(Elf64_Phdr))) {
        return subi__elf_invalid(m, "its program headers are malformed");
    }
    return SUBI_OK;
}

static subi_result
read_segments(subi__elf_image *m)
{
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        Elf64_Phdr p = subi__elf_segment(m, i);
        if (p.p_type == PT_DYNAMIC) {
            m->dynamic = p;
        }
        else if (p.p_type != PT_LOAD) {
            continue;
        }
        if (!subi__elf_has(m, p.p_offset, p.p_filesz) || p.p_memsz < p.p_filesz ||
            p.p_vaddr > UINT64_MAX / 2 || p.p_memsz > UINT64_MAX / 4) {
            return subi__elf_invalid(m, "a segment is not in the file");
        }
    }
    return m->dynamic.p_type == PT_DYNAMIC ? SUBI_OK
                                           : subi__elf_invalid(m, "it has no dynamic section");
}

static subi_result
read_dynamic(subi__elf_image *m)
{
    size_t capacity = m->dynamic.p_filesz / sizeof(Elf64_Dyn);
    capacity = capacity < ENTRIES_MAX ? capacity : ENTRIES_MAX;
    while (m->entries < capacity && subi__elf_entry(m, m->entries).d_tag != DT_NULL) {
        m->entries++;
    }
    if (m->entries == capacity) {
        return subi__elf_invalid(m, "its dynamic section has no end");
    }
    uint64_t address, size, offset;
    if (!subi__elf_find(m, DT_STRTAB, &address) || !subi__elf_find(m, DT_STRSZ, &size) ||
        size == 0 || !subi__elf_offset(m, address, size, &offset) ||
        m->bytes[offset + size - 1] != 0) {
        return subi__elf_invalid(m, "its string table is malformed");
    }
    m->strings = (const char *)m->bytes + offset;
    m->strings_size = size;
    return SUBI_OK;
}

subi_result
subi__elf_read(subi__elf_image *m, const void *file, size_t size)
{
    *m = (subi__elf_image){.bytes = file, .size = size};
    subi_result r = read_header(m);
    if (r == SUBI_OK) {
        r = read_segments(m);
    }
    if (r == SUBI_OK) {
        r = read_dynamic(m);
    }
    return r;
}

const char *
subi__elf_string(const subi__elf_image *m, uint64_t offset)
{
    return offset < m->strings_size ? m->strings + offset : NULL;
}

// ---- symbols ----------------------------------------------------------------------------------

// The symbols that a file wants come first in its table. *count of them, and the one without a name.
static bool
count_wanted(const subi__elf_image *m, uint64_t *count)
{
    uint64_t address, offset;
    uint32_t words[2];  // GNU: buckets, first symbol that it has; SysV: buckets, symbols
    if (!subi__elf_find(m, DT_GNU_HASH, &address) && !subi__elf_find(m, DT_HASH, &address)) {
        return false;
    }
    if (!subi__elf_offset(m, address, sizeof(words), &offset)) {
        return false;
    }
    memcpy(words, m->bytes + offset, sizeof(words));
    *count = words[1];
    return true;
}

// The number of symbols that a GNU hash table knows of; 0 if it is malformed.
static uint64_t
count_hashed(const subi__elf_image *m, uint64_t address)
{
    uint32_t head[4];  // buckets, first symbol, words of the filter, shift
    uint32_t last = 0, link = 0;
    uint64_t offset;
    if (!subi__elf_offset(m, address, sizeof(head), &offset)) {
        return 0;
    }
    memcpy(head, m->bytes + offset, sizeof(head));
    uint64_t buckets = offset + sizeof(head) + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * sizeof(uint32_t);
    if (!subi__elf_has(m, buckets, (uint64_t)head[0] * sizeof(uint32_t))) {
        return 0;
    }
    for (uint32_t i = 0; i < head[0]; i++) {
        uint32_t first;
        memcpy(&first, m->bytes + buckets + i * sizeof(first), sizeof(first));
        last = first > last ? first : last;
    }
    if (last < head[1]) {
        return head[1];  // there are none
    }
    do {  // the chain of the last bucket, which a link with its lowest bit set ends
        uint64_t at = chains + (uint64_t)(last - head[1]) * sizeof(link);
        if (!subi__elf_has(m, at, sizeof(link)) || last == UINT32_MAX) {
            return 0;
        }
        memcpy(&link, m->bytes + at, sizeof(link));
        last++;
    } while ((link & 1) == 0);
    return last;
}

static uint64_t
count_symbols(const subi__elf_image *m)
{
    uint64_t address, count;
    if (subi__elf_find(m, DT_GNU_HASH, &address)) {
        return count_hashed(m, address);
    }
    return count_wanted(m, &count) ? count : 0;  // DT_HASH: all of them
}

bool
subi__elf_symbols(const subi__elf_image *m, uint64_t *offset, uint64_t *count)
{
    uint64_t address;
    *count = count_symbols(m);
    return subi__elf_find(m, DT_SYMTAB, &address) &&
           subi__elf_offset(m, address, *count * sizeof(Elf64_Sym), offset);
}

// ---- questions --------------------------------------------------------------------------------

subi_result
subi__elf_check(const void *file, size_t size, const char **why)
{
    subi__elf_image m;
    subi_result r = subi__elf_read(&m, file, size);
    *why = m.why;
    return r;
}

bool
subi__elf_is_foreign(const void *file, size_t size)
{
    Elf64_Ehdr h;
    if (size < sizeof(h)) {
        return false;
    }
    memcpy(&h, file, sizeof(h));
    return memcmp(h.e_ident, ELFMAG, SELFMAG) == 0 && is_foreign(&h);
}

subi_result
subi__elf_needed(const void *file, size_t size, bool (*each)(const char *, void *), void *arg,
                 const char **why)
{
    subi__elf_image m;
    subi_result r = subi__elf_read(&m, file, size);
    for (size_t i = 0; r == SUBI_OK && i < m.entries; i++) {
        Elf64_Dyn d = subi__elf_entry(&m, i);
        if (d.d_tag != DT_NEEDED) {
            continue;
        }
        const char *name = subi__elf_string(&m, d.d_un.d_val);
        if (name == NULL) {
            r = subi__elf_invalid(&m, "the name of a needed library is not in its string table");
        }
        else if (!each(name, arg)) {
            break;
        }
    }
    *why = m.why;
    return r;
}

const char *
subi__elf_text(const void *file, size_t size, int64_t tag)
{
    subi__elf_image m;
    uint64_t offset;
    if (subi__elf_read(&m, file, size) != SUBI_OK || !subi__elf_find(&m, tag, &offset)) {
        return NULL;
    }
    return subi__elf_string(&m, offset);
}

bool
subi__elf_stays(const void *file, size_t size)
{
    subi__elf_image m;
    uint64_t flags;
    return subi__elf_read(&m, file, size) == SUBI_OK && subi__elf_find(&m, DT_FLAGS_1, &flags) &&
           (flags & DF_1_NODELETE) != 0;
}

size_t
subi__elf_origin(const char *path)
{
    static const char *const words[] = {"$ORIGIN", "${ORIGIN}"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (strncmp(path, words[i], strlen(words[i])) == 0) {
            return strlen(words[i]);
        }
    }
    return 0;
}

bool
subi__elf_mentions(const void *file, size_t size, const char *const *texts)
{
    subi__elf_image m;
    bool found = false;
    bool valid = subi__elf_read(&m, file, size) == SUBI_OK;
    for (size_t i = 0; valid && texts[i] != NULL && !found; i++) {
        found = memmem(m.strings, m.strings_size, texts[i], strlen(texts[i])) != NULL;
    }
    return found;
}

// The most symbols that there can be: up to the string table, which follows, or the segment's end.
static uint64_t
count_possible(const subi__elf_image *m, uint64_t address)
{
    uint64_t strings, offset, room = 0;
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        Elf64_Phdr p = subi__elf_segment(m, i);
        uint64_t before = address - p.p_vaddr;
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && before <= p.p_filesz) {
            room = p.p_filesz - before;
            break;
        }
    }
    if (subi__elf_find(m, DT_STRTAB, &strings) && strings > address && strings - address < room) {
        room = strings - address;
    }
    return subi__elf_offset(m, address, room, &offset) ? room / sizeof(Elf64_Sym) : 0;
}

// Where the symbols are that a file wants: the first *count of the table, with others among them.
static bool
find_wanted(const subi__elf_image *m, uint64_t *offset, uint64_t *count)
{
    uint64_t address;
    if (!count_wanted(m, count) || !subi__elf_find(m, DT_SYMTAB, &address)) {
        return false;
    }
    if (*count <= 1) {  // GNU ld says 1 when the file has no symbols, however many it wants
        *count = count_possible(m, address);
    }
    return subi__elf_offset(m, address, *count * sizeof(Elf64_Sym), offset);
}

static bool
begins_with(const char *name, const char *const *prefixes)
{
    while (*prefixes != NULL && strncmp(name, *prefixes, strlen(*prefixes)) != 0) {
        prefixes++;
    }
    return *prefixes != NULL;
}

subi_result
subi__elf_wants(const void *file, size_t size, const char *const *prefixes, bool *wants,
                const char **why)
{
    subi__elf_image m;
    uint64_t offset, count;
    subi_result r = subi__elf_read(&m, file, size);
    *wants = false;
    if (r == SUBI_OK && !find_wanted(&m, &offset, &count)) {
        r = subi__elf_invalid(&m, "its symbol table is malformed");
    }
    for (uint64_t i = 0; r == SUBI_OK && i < count && !*wants; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, m.bytes + offset + i * sizeof(symbol), sizeof(symbol));
        const char *name = subi__elf_string(&m, symbol.st_name);
        *wants = symbol.st_shndx == SHN_UNDEF && name != NULL && begins_with(name, prefixes);
    }
    *why = m.why;
    return r;
}

size_t
subi__elf_unique(const void *file, size_t size, void (*each)(const char *, uint32_t, void *),
                 void *arg)
{
    subi__elf_image m;
    uint64_t offset, count;
    size_t unique = 0;
    if (subi__elf_read(&m, file, size) != SUBI_OK || !subi__elf_symbols(&m, &offset, &count)) {
        return 0;
    }
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Sym symbol;
        memcpy(&symbol, m.bytes + offset + i * sizeof(symbol), sizeof(symbol));
        const char *name = subi__elf_string(&m, symbol.st_name);
        if (ELF64_ST_BIND(symbol.st_info) != STB_GNU_UNIQUE || symbol.st_shndx == SHN_UNDEF ||
            name == NULL) {
            continue;
        }
        unique++;
        if (each != NULL) {
            each(name, (uint32_t)i, arg);
        }
    }
    return unique;
}
