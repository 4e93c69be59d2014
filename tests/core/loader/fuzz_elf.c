// SPDX-License-Identifier: MIT
//
// Shared objects that are cut off and damaged: whatever the bytes are, the loader answers, and looks
// at nothing beyond them. The sanitizers see to the latter. And what is whole can be loaded when it
// was edited.
//
//     fuzz_elf [seed [rounds [file...]]]
//
// A few seconds on the tests' own libraries ($ELF_FILES, separated by colons), or as many rounds for
// each file as wanted. When the first file is a libpython, the others may be extension modules.
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "elf_try.h"

#define ROUNDS    (13000 / (TAP_SLOW > 1 ? 5 : 1))
#define PARTS_MAX 16
#define EDITS_MAX 16  // changes of one input

// A stretch of the file that the loader follows: damage elsewhere tells little.
typedef struct part {
    size_t offset, size;
} part;

typedef struct file {
    unsigned char *bytes;  // of that size exactly, so that a read beyond them is seen
    size_t size;
    part parts[PARTS_MAX];
    size_t part_count;
} file;

static char folder[] = "/tmp/fuzz_elf.XXXXXX";

// ---- files ------------------------------------------------------------------------------------

static void
add_part(file *f, uint64_t offset, uint64_t size)
{
    if (f->part_count < PARTS_MAX && size > 0 && offset < f->size && size <= f->size - offset) {
        f->parts[f->part_count++] = (part){offset, size};
    }
}

static void
find_parts(file *f)
{
    Elf64_Ehdr h;
    memcpy(&h, f->bytes, sizeof(h));
    add_part(f, 0, sizeof(h));
    add_part(f, h.e_phoff, h.e_phnum * sizeof(Elf64_Phdr));
    for (size_t i = 0; i < h.e_shnum; i++) {
        Elf64_Shdr s;
        memcpy(&s, f->bytes + h.e_shoff + i * sizeof(s), sizeof(s));
        if (s.sh_type == SHT_DYNAMIC || s.sh_type == SHT_DYNSYM || s.sh_type == SHT_GNU_HASH ||
            s.sh_type == SHT_HASH || s.sh_type == SHT_GNU_verneed ||
            (s.sh_type == SHT_STRTAB && (s.sh_flags & SHF_ALLOC) != 0)) {
            add_part(f, s.sh_offset, s.sh_size);
        }
    }
}

static file
read_file(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, &st) == 0);
    file f = {malloc((size_t)st.st_size), (size_t)st.st_size, .part_count = 0};
    must(f.bytes != NULL && f.size > sizeof(Elf64_Ehdr));
    for (size_t done = 0; done < f.size;) {
        ssize_t n = read(fd, f.bytes + done, f.size - done);
        must(n > 0);
        done += (size_t)n;
    }
    close(fd);
    find_parts(&f);
    return f;
}

// ---- damage -----------------------------------------------------------------------------------

typedef struct change {
    size_t at, size;
    unsigned char old[8];
} change;

static uint64_t
choose_value(const file *f, uint64_t *random)
{
    const uint64_t values[] = {0,          1,       UINT64_MAX, UINT64_MAX / 2, (uint64_t)1 << 63,
                               UINT32_MAX, f->size, f->size - 1};
    uint64_t kind = tap_random(random) % 12;
    return kind < 8 ? values[kind] + tap_random(random) % 3 - 1 : tap_random(random) % f->size;
}

static change
damage_once(file *f, uint64_t *random)
{
    const part *p = &f->parts[tap_random(random) % f->part_count];
    size_t at = tap_random(random) % 16 == 0 ? tap_random(random) % f->size
                                             : p->offset + tap_random(random) % p->size;
    uint64_t how = tap_random(random) % 4, value = choose_value(f, random);
    change c = {.at = at, .size = how < 2 ? 1 : how == 2 ? 4 : 8};
    c.at = how < 2 ? c.at : c.at & ~(c.size - 1);
    c.size = c.size <= f->size - c.at ? c.size : f->size - c.at;
    memcpy(c.old, f->bytes + c.at, c.size);
    if (how == 0) {
        value = (uint64_t)c.old[0] ^ (uint64_t)1 << tap_random(random) % 8;
    }
    memcpy(f->bytes + c.at, &value, c.size);
    return c;
}

static size_t
damage(file *f, change changes[EDITS_MAX], uint64_t *random)
{
    size_t count = tap_random(random) % (tap_random(random) % 4 == 0 ? EDITS_MAX : 4);
    for (size_t i = 0; i < count; i++) {
        changes[i] = damage_once(f, random);
    }
    return count;
}

static void
repair(file *f, const change *changes, size_t count)
{
    while (count-- > 0) {
        memcpy(f->bytes + changes[count].at, changes[count].old, changes[count].size);
    }
}

// ---- rounds ----------------------------------------------------------------------------------

static void
try_cut(const file *f, elf_tally *t, uint64_t *random)
{
    const part *p = &f->parts[tap_random(random) % f->part_count];
    size_t size = tap_random(random) % 2 == 0 ? tap_random(random) % f->size
                                              : p->offset + tap_random(random) % (p->size + 1);
    unsigned char *bytes = malloc(size + (size == 0));
    must(bytes != NULL);
    memcpy(bytes, f->bytes, size);
    elf_try(bytes, size, t);
    free(bytes);
}

static void
fuzz(file *f, const char *name, unsigned long rounds)
{
    uint64_t random = tap_seed;
    change changes[EDITS_MAX];
    elf_tally t = {0, 0, 0, 0};
    unsigned long cut = 0;
    for (unsigned long i = 0; i < rounds; i++) {
        size_t count = damage(f, changes, &random);
        if (tap_random(&random) % 8 == 0) {
            try_cut(f, &t, &random);
            cut++;
        }
        else {
            elf_try(f->bytes, f->size, &t);
        }
        repair(f, changes, count);
    }
    ok(f->part_count >= 4 && t.refused > rounds / 50 && t.edited > rounds / 50,
       "%lu damaged, %lu of them cut off: %u refused, %u edited, %u twice: %s", rounds, cut,
       t.refused, t.edited, t.edited_again, name);
}

// ---- what is whole ----------------------------------------------------------------------------

static int
load_apart(const char *first, const char *path)
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        void *python = dlopen(first, RTLD_LAZY | RTLD_GLOBAL);
        _exit(python != NULL && dlopen(path, RTLD_LAZY | RTLD_LOCAL) != NULL ? 0 : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    return status;
}

static void
test_whole(const file *f, const char *first, const char *path)
{
    char edited[100];
    subi__elf_patch patch;
    const char *why;
    const subi__elf_edit e = {.soname = "edited.so", .origin = "/nowhere"};
    snprintf(edited, sizeof(edited), "%s/edited.so", folder);
    must(subi__elf_edit_make(f->bytes, f->size, &e, &patch, &why) == SUBI_OK);
    unsigned char *made = elf_apply(f->bytes, f->size, &patch);
    size_t size = patch.offset + patch.size;
    int fd = open(edited, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    must(fd >= 0 && write(fd, made, size) == (ssize_t)size && close(fd) == 0);
    int expected = load_apart(first, path), status = load_apart(first, edited);
    ok(status == expected && WIFEXITED(status), "%s: %s",
       expected == 0 ? "loaded when it was edited" : "for itself it is not loaded, either", path);
    must(unlink(edited) == 0);
    free(made);
    subi__elf_patch_fini(&patch);
}

static void
test_file(const char *first, const char *path, unsigned long rounds)
{
    file f = read_file(path);
    test_whole(&f, first, path);
    fuzz(&f, path, rounds);
    free(f.bytes);
}

static void
test_own(unsigned long rounds)
{
    char *list = getenv("ELF_FILES");
    must(list != NULL && (list = strdup(list)) != NULL);
    for (char *path = strtok(list, ":"); path != NULL; path = strtok(NULL, ":")) {
        test_file(path, path, rounds);
    }
    free(list);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : ROUNDS;
    must(mkdtemp(folder) != NULL);
    for (int i = 3; i < argc; i++) {
        test_file(argv[3], argv[i], rounds);
    }
    if (argc <= 3) {
        test_own(rounds);
    }
    must(rmdir(folder) == 0);
    return tap_done();
}
