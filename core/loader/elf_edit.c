// SPDX-License-Identifier: MIT
#include "elf_edit.h"

#include <stdlib.h>
#include <string.h>

#include "elf_image.h"

// The file is not changed where it is. A new segment at its end gets new program headers, a new
// dynamic section and a new string table; the file header then refers to these. So there is always
// room, and nothing else moves:
//
//     ELF header --e_phoff--------------------------------+
//     (all the rest as before)                            |
//     padding to ALIGNMENT                                v
//     new segment, readable and writable:  program headers | dynamic section | strings

#define ALIGNMENT ((size_t)0x10000)  // the largest page of any machine

// The new segment, while it is put together.
typedef struct addition {
    uint64_t offset;     // in the file
    uint64_t address;    // in memory
    Elf64_Dyn *dynamic;  // at least 1 more than entries, for DT_NULL
    size_t entries;      // written so far
    char *strings;
    size_t strings_size;  // written so far
    size_t strings_room;
    bool no_memory;
} addition;

static uint64_t
align(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void
place(const subi__elf_image *m, addition *a)
{
    uint64_t end = 0;
    for (size_t i = 0; i < m->header.e_phnum; i++) {
        Elf64_Phdr p = subi__elf_segment(m, i);
        if (p.p_type == PT_LOAD && p.p_vaddr + p.p_memsz > end) {
            end = p.p_vaddr + p.p_memsz;
        }
    }
    a->offset = align(m->size);
    a->address = align(end);
}

static void
add_entry(addition *a, Elf64_Sxword tag, uint64_t value)
{
    a->dynamic[a->entries++] = (Elf64_Dyn){.d_tag = tag, .d_un.d_val = value};
}

static void
append(addition *a, const char *bytes, size_t n)
{
    if (a->strings_room - a->strings_size < n) {
        size_t room = 2 * (a->strings_size + n);
        char *moved = realloc(a->strings, room);
        if (moved == NULL) {
            a->no_memory = true;
            return;
        }
        a->strings = moved;
        a->strings_room = room;
    }
    memcpy(a->strings + a->strings_size, bytes, n);
    a->strings_size += n;
}

static uint64_t
add_string(addition *a, const char *s)
{
    uint64_t offset = a->strings_size;
    append(a, s, strlen(s) + 1);
    return offset;
}

static uint64_t
add_run_path(addition *a, const char *path, const char *origin)
{
    uint64_t offset = a->strings_size;
    while (*path != 0) {
        size_t n = subi__elf_origin(path);
        append(a, n > 0 ? origin : path, n > 0 ? strlen(origin) : 1);
        path += n > 0 ? n : 1;
    }
    append(a, "", 1);
    return offset;
}

static const subi__elf_rename *
find_rename(const subi__elf_edit *edit, const char *name)
{
    for (size_t i = 0; i < edit->rename_count; i++) {
        if (strcmp(name, edit->renames[i].from) == 0) {
            return &edit->renames[i];
        }
    }
    return NULL;
}

static void
copy_needed(addition *a, const subi__elf_edit *edit, const char *name, uint64_t value)
{
    const subi__elf_rename *found = name != NULL ? find_rename(edit, name) : NULL;
    if (found == NULL) {
        add_entry(a, DT_NEEDED, value);
    }
    else if (found->to != NULL) {
        add_entry(a, DT_NEEDED, add_string(a, found->to));
    }
}

static void
copy_entry(const subi__elf_image *m, const subi__elf_edit *edit, addition *a, const Elf64_Dyn *d)
{
    const char *text = subi__elf_string(m, d->d_un.d_val);
    switch (d->d_tag) {
    case DT_NEEDED:
        copy_needed(a, edit, text, d->d_un.d_val);
        break;
    case DT_SONAME:
        if (edit->soname == NULL) {
            add_entry(a, d->d_tag, d->d_un.d_val);
        }
        break;
    case DT_RUNPATH:
    case DT_RPATH:
        add_entry(a, d->d_tag,
                  edit->origin != NULL && text != NULL ? add_run_path(a, text, edit->origin)
                                                       : d->d_un.d_val);
        break;
    default:
        add_entry(a, d->d_tag, d->d_un.d_val);
    }
}

static void
write_dynamic(const subi__elf_image *m, const subi__elf_edit *edit, addition *a)
{
    append(a, m->strings, m->strings_size);
    for (size_t i = 0; edit->needed != NULL && edit->needed[i] != NULL; i++) {
        add_entry(a, DT_NEEDED, add_string(a, edit->needed[i]));  // the first: searched first
    }
    if (edit->soname != NULL) {
        add_entry(a, DT_SONAME, add_string(a, edit->soname));
    }
    for (size_t i = 0; i < m->entries; i++) {
        Elf64_Dyn d = subi__elf_entry(m, i);
        copy_entry(m, edit, a, &d);
    }
    add_entry(a, DT_NULL, 0);
}

// These two name the place and the size of the strings, which are known only when all are written.
static void
settle_strings(addition *a, uint64_t strings)
{
    for (size_t i = 0; i < a->entries; i++) {
        if (a->dynamic[i].d_tag == DT_STRTAB) {
            a->dynamic[i].d_un.d_val = a->address + strings;
        }
        else if (a->dynamic[i].d_tag == DT_STRSZ) {
            a->dynamic[i].d_un.d_val = a->strings_size;
        }
    }
}

// Headers, dynamic section, strings; sizes as in patch.
static void
write_headers(const subi__elf_image *m, const addition *a, unsigned char *out, size_t dynamic,
              size_t size)
{
    Elf64_Phdr segments[SUBI__ELF_HEADERS_MAX + 1];
    size_t count = m->header.e_phnum;
    for (size_t i = 0; i < count; i++) {
        segments[i] = subi__elf_segment(m, i);
        Elf64_Phdr *p = &segments[i];
        size_t at = p->p_type == PT_DYNAMIC ? dynamic : 0;
        if (p->p_type == PT_DYNAMIC || p->p_type == PT_PHDR) {
            p->p_offset = a->offset + at;
            p->p_vaddr = p->p_paddr = a->address + at;
            p->p_filesz = p->p_memsz =
                p->p_type == PT_DYNAMIC ? a->entries * sizeof(Elf64_Dyn) : (count + 1) * sizeof(*p);
        }
    }
    segments[count] = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_W,  // the dynamic linker writes into the dynamic section
        .p_offset = a->offset,
        .p_vaddr = a->address,
        .p_paddr = a->address,
        .p_filesz = size,
        .p_memsz = size,
        .p_align = ALIGNMENT,
    };
    memcpy(out, segments, (count + 1) * sizeof(*segments));
}

// Where the dynamic section is in the new segment: behind the program headers, one more than before.
static size_t
dynamic_offset(const subi__elf_image *m)
{
    return (size_t)(m->header.e_phnum + 1) * sizeof(Elf64_Phdr);
}

static subi_result
assemble(subi__elf_image *m, addition *a, subi__elf_patch *patch)
{
    size_t dynamic = dynamic_offset(m);
    size_t strings = dynamic + a->entries * sizeof(Elf64_Dyn);
    patch->size = strings + a->strings_size;
    patch->bytes = malloc(patch->size);
    if (patch->bytes == NULL) {
        return SUBI_NOMEM;
    }
    patch->offset = a->offset;
    settle_strings(a, strings);
    write_headers(m, a, patch->bytes, dynamic, patch->size);
    memcpy(patch->bytes + dynamic, a->dynamic, a->entries * sizeof(Elf64_Dyn));
    memcpy(patch->bytes + strings, a->strings, a->strings_size);
    m->header.e_phoff = a->offset;
    m->header.e_phnum++;
    memcpy(patch->header, &m->header, sizeof(m->header));
    return SUBI_OK;
}

static subi_result
add_changed(subi__elf_patch *patch, uint64_t offset, unsigned char value)
{
    size_t n = patch->changed_count;
    if ((n & (n - 1)) == 0) {  // a power of 2: full
        subi__elf_byte *moved = realloc(patch->changed, (n == 0 ? 1 : 2 * n) * sizeof(*moved));
        if (moved == NULL) {
            return SUBI_NOMEM;
        }
        patch->changed = moved;
    }
    patch->changed[patch->changed_count++] = (subi__elf_byte){offset, value};
    return SUBI_OK;
}

static subi_result
add_changed_bytes(subi__elf_patch *patch, uint64_t offset, const void *bytes, size_t n)
{
    subi_result r = SUBI_OK;
    for (size_t i = 0; i < n && r == SUBI_OK; i++) {
        r = add_changed(patch, offset + i, ((const unsigned char *)bytes)[i]);
    }
    return r;
}

static subi_result
rename_version(subi__elf_image *m, const subi__elf_edit *edit, addition *a, subi__elf_patch *patch,
               uint64_t offset, const char *name)
{
    const subi__elf_rename *found = name != NULL ? find_rename(edit, name) : NULL;
    if (found == NULL) {
        return SUBI_OK;
    }
    if (found->to == NULL) {
        return subi__elf_invalid(m, "it wants versions of a library that is to be removed");
    }
    Elf64_Word at = (Elf64_Word)add_string(a, found->to);
    return a->no_memory ? SUBI_NOMEM : add_changed_bytes(patch, offset, &at, sizeof(at));
}

// The versions that the file wants of a library name it, too: the dynamic linker aborts the process
// when none of that name is loaded.
static subi_result
rename_versions(subi__elf_image *m, const subi__elf_edit *edit, addition *a, subi__elf_patch *patch)
{
    uint64_t address, offset;
    Elf64_Verneed v;
    subi_result r = SUBI_OK;
    if (!subi__elf_find(m, DT_VERNEED, &address) ||
        !subi__elf_offset(m, address, sizeof(v), &offset)) {
        return SUBI_OK;
    }
    do {
        if (!subi__elf_has(m, offset, sizeof(v))) {
            return subi__elf_invalid(m, "the versions that it wants are malformed");
        }
        memcpy(&v, m->bytes + offset, sizeof(v));
        r = rename_version(m, edit, a, patch, offset + offsetof(Elf64_Verneed, vn_file),
                           subi__elf_string(m, v.vn_file));
        offset += v.vn_next;
    } while (v.vn_next != 0 && r == SUBI_OK);
    return r;
}

// The symbol at offset becomes an ordinary one.
static subi_result
make_ordinary(subi__elf_patch *patch, uint64_t offset, const Elf64_Sym *symbol)
{
    return add_changed(patch, offset + offsetof(Elf64_Sym, st_info),
                       ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(symbol->st_info)));
}

// The symbol at offset becomes one that the file wants: without a type, since one of threads' memory
// would be taken for one that it has.
static subi_result
make_wanted(subi__elf_patch *patch, uint64_t offset, const Elf64_Sym *symbol)
{
    Elf64_Sym wanted = {.st_name = symbol->st_name,
                        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE),
                        .st_shndx = SHN_UNDEF};
    unsigned char bytes[sizeof(wanted)];
    subi_result r = SUBI_OK;
    memcpy(bytes, &wanted, sizeof(wanted));
    for (size_t i = 0; i < sizeof(wanted) && r == SUBI_OK; i++) {
        r = add_changed(patch, offset + i, bytes[i]);
    }
    return r;
}

static subi_result
settle_unique(const subi__elf_image *m, const subi__elf_edit *edit, subi__elf_patch *patch)
{
    uint64_t offset, count;
    size_t next = 0;  // of the foreign ones
    if (!subi__elf_symbols(m, &offset, &count)) {
        return SUBI_OK;  // the dynamic linker will say what it thinks of it
    }
    subi_result r = SUBI_OK;
    for (uint64_t i = 0; i < count && r == SUBI_OK; i++, offset += sizeof(Elf64_Sym)) {
        Elf64_Sym symbol;
        memcpy(&symbol, m->bytes + offset, sizeof(symbol));
        if (ELF64_ST_BIND(symbol.st_info) != STB_GNU_UNIQUE) {
            continue;
        }
        bool foreign = next < edit->foreign_count && edit->foreign[next] == i;
        r = foreign ? make_wanted(patch, offset, &symbol) : make_ordinary(patch, offset, &symbol);
        next += foreign;
    }
    return r;
}

// The section headers are for debuggers, which see by that of the dynamic section where a library was
// loaded. Others move nothing.
static subi_result
move_section(const subi__elf_image *m, const addition *a, subi__elf_patch *patch)
{
    size_t dynamic = dynamic_offset(m);
    const Elf64_Ehdr *h = &m->header;
    Elf64_Shdr section;
    if (h->e_shentsize != sizeof(section) ||
        !subi__elf_has(m, h->e_shoff, (uint64_t)h->e_shnum * sizeof(section))) {
        return SUBI_OK;
    }
    for (size_t i = 0; i < h->e_shnum; i++) {
        uint64_t at = h->e_shoff + i * sizeof(section);
        memcpy(&section, m->bytes + at, sizeof(section));
        if (section.sh_type == SHT_DYNAMIC) {
            section.sh_addr = a->address + dynamic;
            section.sh_offset = a->offset + dynamic;
            section.sh_size = a->entries * sizeof(Elf64_Dyn);
            return add_changed_bytes(patch, at, &section, sizeof(section));
        }
    }
    return SUBI_OK;
}

void
subi__elf_patch_fini(subi__elf_patch *p)
{
    free(p->changed);
    free(p->bytes);
}

static size_t
count_needed(const subi__elf_edit *edit)
{
    size_t n = 0;
    while (edit->needed != NULL && edit->needed[n] != NULL) {
        n++;
    }
    return n;
}

subi_result
subi__elf_edit_make(const void *file, size_t size, const subi__elf_edit *edit,
                    subi__elf_patch *patch, const char **why)
{
    subi__elf_image m;
    addition a = {.entries = 0};
    *patch = (subi__elf_patch){.size = 0};
    subi_result r = subi__elf_read(&m, file, size);
    if (r == SUBI_OK && m.header.e_phnum == SUBI__ELF_HEADERS_MAX) {
        r = subi__elf_invalid(&m, "it has too many program headers");
    }
    *why = m.why;
    if (r != SUBI_OK) {
        return r;
    }
    place(&m, &a);
    a.dynamic = malloc((m.entries + count_needed(edit) + 2) * sizeof(*a.dynamic));
    a.no_memory = a.dynamic == NULL;
    if (!a.no_memory) {
        write_dynamic(&m, edit, &a);
    }
    r = a.no_memory ? SUBI_NOMEM : settle_unique(&m, edit, patch);
    if (r == SUBI_OK) {
        r = rename_versions(&m, edit, &a, patch);
    }
    if (r == SUBI_OK) {
        r = move_section(&m, &a, patch);
    }
    if (r == SUBI_OK) {
        r = assemble(&m, &a, patch);
    }
    if (r != SUBI_OK) {
        *why = m.why;
        subi__elf_patch_fini(patch);
        *patch = (subi__elf_patch){.size = 0};
    }
    free(a.dynamic);
    free(a.strings);
    return r;
}
