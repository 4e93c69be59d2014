// SPDX-License-Identifier: MIT
#include "cache.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "linker.h"

// ---- where it is ------------------------------------------------------------------------------

static char folder[PATH_MAX];  // set once, by find_folder; "" when there is none
static pthread_once_t once = PTHREAD_ONCE_INIT;

// Libraries are loaded from it, so it must be nobody else's to write to.
static bool
is_safe(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0 && access(path, W_OK | X_OK) == 0;
}

static bool
can_be_loaded_from(const char *path)
{
    struct statvfs fs;
    return statvfs(path, &fs) == 0 && (fs.f_flag & (ST_NOEXEC | ST_RDONLY)) == 0;
}

// Makes the folders of path that are not there.
static bool
make_folders(const char *path)
{
    char part[PATH_MAX];
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
        if (mkdir(part, 0700) != 0 && errno != EEXIST && errno != EROFS && errno != EACCES) {
            return false;
        }
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

// base may be NULL.
static bool
try_folder(const char *base, const char *below)
{
    if (base == NULL || base[0] != '/' ||
        (size_t)snprintf(folder, sizeof(folder), "%s%s", base, below) >= sizeof(folder)) {
        return false;
    }
    return make_folders(folder) && is_safe(folder) && can_be_loaded_from(folder);
}

static void
find_folder(void)
{
    char name[60];
    const char *chosen = getenv("SUBINTERPRETERS_CACHE");
    snprintf(name, sizeof(name), "/subinterpreters-%ld", (long)geteuid());
    bool found = chosen != NULL && chosen[0] != 0
                     ? try_folder(chosen, "")
                     : try_folder(getenv("XDG_CACHE_HOME"), "/subinterpreters") ||
                           try_folder(getenv("HOME"), "/.cache/subinterpreters") ||
                           try_folder(getenv("TMPDIR"), name) || try_folder("/tmp", name) ||
                           try_folder("/dev/shm", name);
    if (!found) {
        folder[0] = 0;
    }
}

const char *
subi_cache_folder(void)
{
    pthread_once(&once, find_folder);
    return folder[0] != 0 ? folder : NULL;
}

void
subi__cache_restore(void)
{
    make_folders(folder);
}

// ---- how much is in it ------------------------------------------------------------------------

#define SIZE_DEFAULT  UINT64_C(2147483648)  // bytes
#define OLD           (60 * 60)             // seconds until a use is noted again
#define FRESH         60                    // seconds in which somebody may still want to load it
#define BETWEEN_LOOKS 32                    // files added

typedef struct entry {
    char *name;
    time_t used;
    uint64_t size;  // bytes on disk
    bool is_draft;  // not finished
} entry;

typedef struct listing {
    entry *entries;
    size_t count, room;
    uint64_t size;
    bool no_memory;
} listing;

// Digits, and perhaps a letter.
static bool
parse_size(const char *text, uint64_t *size)
{
    static const char letters[] = "KMGT";
    char *end = NULL;
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    const char *letter = *end != 0 ? strchr(letters, toupper((unsigned char)*end)) : NULL;
    unsigned shift = letter != NULL ? 10 * (unsigned)(letter - letters + 1) : 0;
    end += letter != NULL;
    *size = (uint64_t)n << shift;
    return errno == 0 && *end == 0 && *size >> shift == n;
}

static bool
get_limit(uint64_t *size)
{
    const char *text = getenv("SUBINTERPRETERS_CACHE_SIZE");
    *size = SIZE_DEFAULT;
    if (text == NULL || *text == 0 || parse_size(text, size)) {
        return true;
    }
    *size = SIZE_DEFAULT;
    return false;
}

uint64_t
subi_cache_limit(void)
{
    uint64_t size;
    get_limit(&size);
    return size;
}

bool
subi__cache_check(void)
{
    uint64_t size;
    bool valid = get_limit(&size);
    if (!valid) {
        subi__error_set("SUBINTERPRETERS_CACHE_SIZE is %.40s; it must be a number of bytes, or of "
                        "larger units with K, M, G or T after it",
                        getenv("SUBINTERPRETERS_CACHE_SIZE"));
    }
    return valid;
}

static bool
add_entry(listing *l, const char *name, bool is_draft, const struct stat *st)
{
    if (l->count == l->room) {
        size_t room = l->room == 0 ? 64 : 2 * l->room;
        entry *moved = realloc(l->entries, room * sizeof(*moved));
        if (moved == NULL) {
            return false;
        }
        l->entries = moved;
        l->room = room;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return false;
    }
    uint64_t size = (uint64_t)st->st_blocks * 512;
    l->entries[l->count++] =
        (entry){.name = copy, .used = st->st_mtime, .size = size, .is_draft = is_draft};
    l->size += size;
    return true;
}

// name.<16 hexadecimal digits>.<slot>, and perhaps .<6 letters> while it is written. Whatever else is
// in the folder is somebody else's: the user may have chosen one that was there.
static bool
is_ours(const char *name, bool *is_draft)
{
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        const char *end = dot + 1 + strspn(dot + 1, "0123456789abcdef");
        if (end - dot != 17 || *end != '.') {
            continue;
        }
        size_t digits = strspn(end + 1, "0123456789");
        const char *rest = end + 1 + digits;
        *is_draft = *rest == '.' && strlen(rest) == 7;
        if (digits > 0 && (*rest == 0 || *is_draft)) {
            return true;
        }
    }
    return false;
}

static void
read_folder(listing *l, DIR *dir)
{
    struct dirent *d;
    struct stat st;
    bool is_draft;
    while (!l->no_memory && (d = readdir(dir)) != NULL) {
        if (is_ours(d->d_name, &is_draft) &&
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
            l->no_memory = !add_entry(l, d->d_name, is_draft, &st);
        }
    }
}

static int
compare_use(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->used < y->used ? -1 : x->used > y->used;
}

// The clock that files get their times from may be ahead of time(): by some milliseconds on Linux 6.13 and
// newer, by more when it is another machine's.
static bool
is_fresh(const entry *e)
{
    time_t age = time(NULL) - e->used;
    return age > -FRESH && age < FRESH;
}

// Removes the oldest until at most `limit` bytes are left, but nothing fresh, which somebody may be about
// to load. To clear the folder: all, also what has no bytes, but no fresh drafts. What is left, in *l's
// size and count.
static void
trim(listing *l, DIR *dir, uint64_t limit, bool clear)
{
    size_t removed = 0;
    qsort(l->entries, l->count, sizeof(*l->entries), compare_use);
    for (size_t i = 0; i < l->count && (clear || l->size > limit); i++) {
        const entry *e = &l->entries[i];
        bool spared = (e->is_draft || !clear) && is_fresh(e);
        if (!spared && unlinkat(dirfd(dir), e->name, 0) == 0) {
            l->size -= l->entries[i].size;
            removed++;
        }
    }
    for (size_t i = 0; i < l->count; i++) {
        free(l->entries[i].name);
    }
    free(l->entries);
    l->count -= removed;
}

// UINT64_MAX removes nothing.
static subi_result
look_through(uint64_t limit, bool clear, uint64_t *size, size_t *count)
{
    listing l = {NULL};
    DIR *dir = subi_cache_folder() != NULL ? opendir(folder) : NULL;
    if (dir == NULL) {
        return SUBI_NOT_FOUND;
    }
    read_folder(&l, dir);
    if (l.count > 0) {
        trim(&l, dir, limit, clear);
    }
    closedir(dir);
    *size = l.size;
    *count = l.count;
    return l.no_memory ? SUBI_NOMEM : SUBI_OK;
}

subi_result
subi_cache_size(uint64_t *size, size_t *count)
{
    return look_through(UINT64_MAX, false, size, count);
}

subi_result
subi_cache_clear(void)
{
    uint64_t size;
    size_t count;
    return look_through(0, true, &size, &count);
}

bool
subi__cache_used(int fd, struct stat *st)
{
    if (time(NULL) - st->st_mtime <= OLD) {
        return true;
    }
    futimens(fd, NULL);
    return fstat(fd, st) == 0;
}

void
subi__cache_grew(void)
{
    static _Atomic unsigned added;  // atomic: counts calls
    uint64_t size;
    size_t count;
    if (atomic_fetch_add(&added, 1) % BETWEEN_LOOKS == 0) {
        look_through(subi_cache_limit(), false, &size, &count);
    }
}
