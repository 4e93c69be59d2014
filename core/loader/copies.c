// SPDX-License-Identifier: MIT
#include "copies.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cache.h"
#include "recipe.h"

// ---- sources ----------------------------------------------------------------------------------

static subi_result
fail(const char **why, const char *text)
{
    *why = text;
    return SUBI_NOT_FOUND;
}

static uint64_t
nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000 + (uint64_t)t->tv_nsec;
}

static subi__identity
identity(const struct stat *st)
{
    return (subi__identity){.device = (uint64_t)st->st_dev,
                            .inode = (uint64_t)st->st_ino,
                            .changed = nanoseconds(&st->st_mtim)};
}

static subi_result
map(int fd, subi__source *s, const char **why)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return fail(why, strerror(errno));
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        errno = ENOEXEC;
        return fail(why, "it is no regular file, or empty");
    }
    s->id = identity(&st);
    s->size = (size_t)st.st_size;
    s->bytes = mmap(NULL, s->size, PROT_READ, MAP_PRIVATE, fd, 0);
    return s->bytes != MAP_FAILED ? SUBI_OK : fail(why, strerror(errno));
}

char *
subi__folder_of(const char *path)
{
    size_t n = (size_t)(strrchr(path, '/') - path);
    return strndup(path, n > 0 ? n : 1);  // that of /x is /
}

// The path that the dynamic linker would remember: absolute, links as they are. malloc'd; NULL, with
// errno.
static char *
make_absolute(const char *path)
{
    char here[PATH_MAX] = "";
    if (path[0] != '/' && getcwd(here, sizeof(here)) == NULL) {
        return NULL;
    }
    size_t size = strlen(here) + 1 + strlen(path) + 1;
    if (size > PATH_MAX) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    char *made = malloc(size);
    if (made != NULL) {
        strcpy(stpcpy(stpcpy(made, here), path[0] != '/' ? "/" : ""), path);
    }
    return made;
}

static subi_result
set_paths(const char *path, subi__source *s, const char **why)
{
    *s = (subi__source){.path = make_absolute(path)};
    if (s->path != NULL) {
        s->folder = subi__folder_of(s->path);
    }
    return s->folder != NULL ? SUBI_OK : fail(why, strerror(errno));
}

static subi_result
open_and_map(const char *path, subi__source *s, const char **why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return fail(why, strerror(errno));
    }
    subi_result r = map(fd, s, why);
    int error = errno;
    close(fd);
    errno = error;
    return r;
}

subi_result
subi__source_open(const char *path, subi__source *s, const char **why)
{
    subi_result r = set_paths(path, s, why);
    if (r == SUBI_OK) {
        r = open_and_map(path, s, why);
    }
    if (r != SUBI_OK) {
        int error = errno;
        free(s->path);
        free(s->folder);
        errno = error;
    }
    return r;
}

void
subi__source_close(subi__source *s)
{
    munmap((void *)(uintptr_t)s->bytes, s->size);
    free(s->path);
    free(s->folder);
}

// ---- names ------------------------------------------------------------------------------------

// FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo).
static uint64_t
mix(uint64_t hash, const void *data, size_t n)
{
    const unsigned char *p = data;
    while (n-- > 0) {
        hash = (hash ^ *p++) * UINT64_C(0x100000001b3);
    }
    return hash;
}

void
subi__mix(uint64_t *bound, const char *text)
{
    *bound = mix(*bound, text, strlen(text) + 1);
}

void
subi__copy_name(const subi__source *s, unsigned slot, uint64_t bound,
                char name[SUBI__COPY_NAME_MAX])
{
    const uint64_t numbers[] = {s->id.device, s->id.inode, s->id.changed, s->size, bound};
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), SUBI__RECIPE, sizeof(SUBI__RECIPE));
    hash = mix(hash, numbers, sizeof(numbers));
    hash = mix(hash, s->path, strlen(s->path));
    // Tools that look for the libpython of a process by its name are to find the program's. The slot comes
    // last: in a listing the copies of one source stand together.
    snprintf(name, SUBI__COPY_NAME_MAX, "private-%.80s.%016llx.%u", strrchr(s->path, '/') + 1,
             (unsigned long long)hash, slot);
}

// ---- copies -----------------------------------------------------------------------------------

// The end of each copy: a copy that was cut off, or is one of another source, has none like it.
typedef struct trailer {
    char magic[8];
    char name[SUBI__COPY_NAME_MAX];
    uint64_t size;  // of the file
    uint64_t sum;   // of what comes before
} trailer;

static const char magic[8] = "subi";

// Of the first size bytes. Eight sums at a time, each of every eighth word, since a processor can do
// these side by side. False: they cannot be read.
static bool
add_up(int fd, uint64_t size, uint64_t *sum)
{
    uint64_t words[1024], lanes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (uint64_t done = 0; done < size; done += sizeof(words)) {
        uint64_t left = size - done;
        size_t n = left < sizeof(words) ? (size_t)left : sizeof(words);
        if (pread(fd, words, n, (off_t)done) != (ssize_t)n) {
            return false;
        }
        memset((char *)words + n, 0, sizeof(words) - n);
        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i += 8) {
            for (size_t k = 0; k < 8; k++) {
                lanes[k] = (lanes[k] ^ words[i + k]) * UINT64_C(0x9e3779b97f4a7c15);
                lanes[k] ^= lanes[k] >> 32;
            }
        }
    }
    *sum = mix(size, lanes, sizeof(lanes));
    return true;
}

// Not changed since the machine was started. Copies are never changed; but when the power fails, what a
// file system has promised to write may be lost.
static bool
is_of_this_boot(const struct stat *st)
{
    struct timespec now, up;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0) {
        return false;
    }
    uint64_t changed = nanoseconds(&st->st_ctim);
    return changed > nanoseconds(&now) - nanoseconds(&up) && changed <= nanoseconds(&now);
}

// Looks at the contents once in each boot.
static bool
is_undamaged(int fd, const trailer *t, struct stat *st)
{
    uint64_t sum;
    if (is_of_this_boot(st)) {
        return subi__cache_used(fd, st);
    }
    if (!add_up(fd, t->size - sizeof(*t), &sum) || sum != t->sum) {
        return false;
    }
    futimens(fd, NULL);  // changed now
    return fstat(fd, st) == 0;
}

static bool
is_whole(const char *path, const char *name, subi__identity *id)
{
    trailer t;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return false;
    }
    bool whole = fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(t) &&
                 pread(fd, &t, sizeof(t), st.st_size - (off_t)sizeof(t)) == (ssize_t)sizeof(t) &&
                 memcmp(t.magic, magic, sizeof(magic)) == 0 &&
                 strncmp(t.name, name, sizeof(t.name)) == 0 && t.size == (uint64_t)st.st_size &&
                 is_undamaged(fd, &t, &st);
    *id = identity(&st);
    close(fd);
    return whole;
}

static bool
write_at(int fd, const void *data, size_t n, uint64_t offset)
{
    const char *p = data;
    while (n > 0) {
        ssize_t done = pwrite(fd, p, n, (off_t)offset);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return false;
        }
        p += done;
        offset += (uint64_t)done;
        n -= (size_t)done;
    }
    return true;
}

static bool
write_changed(int fd, const subi__elf_patch *p)
{
    for (size_t i = 0; i < p->changed_count; i++) {
        if (!write_at(fd, &p->changed[i].value, 1, p->changed[i].offset)) {
            return false;
        }
    }
    return true;
}

static bool
write_copy(int fd, const subi__source *s, const char *name, const subi__elf_patch *p)
{
    trailer t = {.size = p->offset + p->size + sizeof(t)};
    uint64_t before = t.size - sizeof(t);
    memcpy(t.magic, magic, sizeof(magic));
    strcpy(t.name, name);
    return write_at(fd, p->header, sizeof(p->header), 0) &&
           write_at(fd, (const char *)s->bytes + sizeof(p->header), s->size - sizeof(p->header),
                    sizeof(p->header)) &&
           write_changed(fd, p) && write_at(fd, p->bytes, p->size, p->offset) &&
           add_up(fd, before, &t.sum) && write_at(fd, &t, sizeof(t), before);
}

// A new file in the cache, under a name that nobody looks for, then renamed.
static subi_result
write_file(const char *path, const subi__source *s, const char *name, const subi__elf_patch *p,
           subi__identity *id, char *why, size_t size)
{
    struct stat st;
    char draft[PATH_MAX + 8];
    snprintf(draft, sizeof(draft), "%s.XXXXXX", path);
    int fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0) {
        int error = errno;
        snprintf(why, size, "no file can be made in %s: %s", subi_cache_folder(), strerror(error));
        errno = error;
        return SUBI_NOT_FOUND;
    }
    bool written = write_copy(fd, s, name, p) && fchmod(fd, 0500) == 0 && fstat(fd, &st) == 0;
    int error = errno;
    written = close(fd) == 0 && written;
    if (written && rename(draft, path) == 0) {
        *id = identity(&st);
        subi__cache_grew();
        return SUBI_OK;
    }
    error = written ? errno : error;
    unlink(draft);
    snprintf(why, size, "a copy of it cannot be written to %s: %s", subi_cache_folder(),
             strerror(error));
    errno = error;
    return SUBI_NOT_FOUND;
}

static subi_result
make_copy(const char *path, const subi__source *s, const char *name, const subi__elf_edit *edit,
          subi__identity *id, char *why, size_t size)
{
    subi__elf_patch patch;
    const char *invalid;
    subi_result r = subi__elf_edit_make(s->bytes, s->size, edit, &patch, &invalid);
    if (r != SUBI_OK) {
        snprintf(why, size, "%s", r == SUBI_NOMEM ? "out of memory" : invalid);
        return r;
    }
    r = write_file(path, s, name, &patch, id, why, size);
    subi__elf_patch_fini(&patch);
    return r;
}

subi_result
subi__copy_provide(const subi__source *s, const char *name, const subi__elf_edit *edit,
                   char path[PATH_MAX], subi__identity *id, char *why, size_t size)
{
    const char *folder = subi_cache_folder();
    if (folder == NULL) {
        snprintf(why, size,
                 "there is no folder for copies of shared libraries that can be written to and "
                 "loaded from; set SUBINTERPRETERS_CACHE to one");
        return SUBI_NOT_FOUND;
    }
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", folder, name) >= PATH_MAX) {
        snprintf(why, size, "the path of the cache is too long");
        return SUBI_NOT_FOUND;
    }
    if (is_whole(path, name, id)) {
        return SUBI_OK;
    }
    subi_result r = make_copy(path, s, name, edit, id, why, size);
    // Somebody has removed the folder, or a draft of long ago.
    for (int i = 0; i < SUBI__COPY_ATTEMPTS && r == SUBI_NOT_FOUND && errno == ENOENT; i++) {
        subi__cache_restore();
        r = make_copy(path, s, name, edit, id, why, size);
    }
    return r;
}

bool
subi__copy_is(const char *path, const subi__identity *id)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        return false;
    }
    subi__identity now = identity(&st);
    return subi__same(&now, id);
}
