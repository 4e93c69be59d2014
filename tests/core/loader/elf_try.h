// SPDX-License-Identifier: MIT
//
// What the programs do that give the loader damaged files: they ask all that it asks, and edit.
#ifndef ELF_TRY_H
#define ELF_TRY_H

#include <elf.h>
#include <string.h>

#include "loader/elf_edit.h"
#include "loader/elf_image.h"

#include "tap.h"

#define ELF_SMALL ((size_t)1 << 20)

typedef struct elf_tally {
    unsigned refused, checked, edited, edited_again;
} elf_tally;

static inline bool
elf_look(const char *name, void *left)
{
    return strlen(name) < SIZE_MAX && --*(int *)left > 0;
}

static inline void
elf_see(const char *name, uint32_t number, void *seen)
{
    must(strlen(name) < SIZE_MAX && number < UINT32_MAX);
    ++*(size_t *)seen;
}

static inline void
elf_ask(const void *bytes, size_t size)
{
    static const char *const prefixes[] = {"Py", "_ZNSt6thread15_M_start_thread", NULL};
    static const char *const texts[] = {"Py", "elf_", NULL};
    static const int64_t tags[] = {DT_SONAME, DT_RPATH, DT_RUNPATH, DT_STRTAB, 77};
    const char *why;
    bool answer;
    int left = 1000;
    size_t seen = 0;
    subi__elf_is_foreign(bytes, size);
    subi__elf_stays(bytes, size);
    subi__elf_mentions(bytes, size, texts);
    must(subi__elf_unique(bytes, size, elf_see, &seen) == seen);
    subi__elf_needed(bytes, size, elf_look, &left, &why);
    subi__elf_wants(bytes, size, prefixes, &answer, &why);
    for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
        const char *text = subi__elf_text(bytes, size, tags[i]);
        must(text == NULL || strlen(text) < size);
    }
}

static inline unsigned char *
elf_apply(const void *bytes, size_t size, const subi__elf_patch *p)
{
    unsigned char *made = calloc(1, p->offset + p->size);
    must(made != NULL);
    memcpy(made, bytes, size);
    memcpy(made, p->header, sizeof(p->header));
    for (size_t i = 0; i < p->changed_count; i++) {
        must(p->changed[i].offset < size);
        made[p->changed[i].offset] = p->changed[i].value;
    }
    memcpy(made + p->offset, p->bytes, p->size);
    return made;
}

static inline subi_result
elf_make_edit(const void *bytes, size_t size, subi__elf_patch *patch)
{
    static const char *const needed[] = {"first.so", NULL};
    static const subi__elf_rename renames[] = {{"libc.so.6", "other.so"},
                                               {"libelf_provider.so", NULL}};
    const subi__elf_edit e = {.soname = "name.so",
                              .origin = "/some/folder",
                              .needed = needed,
                              .renames = renames,
                              .rename_count = 2};
    const char *why = NULL;
    subi_result r = subi__elf_edit_make(bytes, size, &e, patch, &why);
    must(r == SUBI_OK ? patch->offset >= size : r == SUBI_INVALID && why != NULL);
    return r;
}

// What was edited is looked through and edited again, too.
static inline void
elf_try(const void *bytes, size_t size, elf_tally *t)
{
    subi__elf_patch patch, again;
    const char *why;
    bool checked = subi__elf_check(bytes, size, &why) == SUBI_OK;
    elf_ask(bytes, size);
    t->checked += checked;
    if (elf_make_edit(bytes, size, &patch) != SUBI_OK) {
        t->refused++;
        return;
    }
    must(checked);
    t->edited++;
    if (size < ELF_SMALL) {
        unsigned char *made = elf_apply(bytes, size, &patch);
        elf_ask(made, patch.offset + patch.size);
        if (elf_make_edit(made, patch.offset + patch.size, &again) == SUBI_OK) {
            t->edited_again++;
            subi__elf_patch_fini(&again);
        }
        free(made);
    }
    subi__elf_patch_fini(&patch);
}

#endif
