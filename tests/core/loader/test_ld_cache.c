// SPDX-License-Identifier: MIT
//
// The dynamic linker's list of libraries: the machine's own, if it has one, and damaged ones.
#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/ld_cache.h"

#include "tap.h"

#if defined(__aarch64__)
#define FLAGS 0x0a03
#else
#define FLAGS 0x0303
#endif

typedef struct entry {
    int32_t flags;
    uint32_t name, path, system;
    uint64_t processor;
} entry;

static size_t size;

// One with two libraries, one of them twice, for a processor and for any; `before` bytes come first.
static char *
make(size_t before)
{
    static const char texts[] = "libone.so\0/opt/libone.so\0/opt/v3/libone.so\0libtwo.so\0two.so";
    const uint32_t at = 48 + 4 * sizeof(entry);
    const entry entries[] = {{FLAGS, at, at + 25, 0, UINT64_C(1) << 62},
                             {FLAGS ^ 0x100, at, at + 25, 0, 0},
                             {FLAGS, at, at + 10, 0, 0},
                             {FLAGS, at + 43, at + 53, 0, 0}};
    const uint32_t count = 4;
    size = before + at + sizeof(texts);
    char *made = calloc(1, size);  // of this size, so that a sanitizer sees what is read beyond
    must(made != NULL);
    memcpy(made + before, "glibc-ld.so.cache1.1", 20);
    memcpy(made + before + 20, &count, sizeof(count));
    memcpy(made + before + 48, entries, sizeof(entries));
    memcpy(made + before + at, texts, sizeof(texts));
    return made;
}

static void
test_made(void)
{
    char *file = make(0);
    const char *path = subi__ld_cache_find(file, size, "libone.so");
    ok(path != NULL && strcmp(path, "/opt/libone.so") == 0, "the library for any processor");
    ok(subi__ld_cache_find(file, size, "libtwo.so") == NULL, "no path that is not absolute");
    ok(subi__ld_cache_find(file, size, "libon") == NULL, "none with another name");
    free(file);

    const uint32_t count = 2;
    file = make(16 + 2 * 12);
    memcpy(file, "ld.so-1.7.0", 11);
    memcpy(file + 12, &count, sizeof(count));
    path = subi__ld_cache_find(file, size, "libone.so");
    ok(path != NULL && strcmp(path, "/opt/libone.so") == 0, "after a table for older ones");
    free(file);
}

static void
test_damaged(void)
{
    int rounds = 200000 / TAP_SLOW, found = 0;
    char *whole = make(0);
    unsigned seed = (unsigned)tap_seed;
    for (int i = 0; i < rounds; i++) {
        size_t length = i % 2 == 0 ? size : (size_t)rand_r(&seed) % size;
        char *file = malloc(length + 1);
        must(file != NULL);
        memcpy(file, whole, length);
        for (int k = i % 4; k > 0 && length > 0; k--) {
            file[(size_t)rand_r(&seed) % length] = (char)rand_r(&seed);
        }
        char *last = realloc(file, length > 0 ? length : 1);
        must(last != NULL);
        found += subi__ld_cache_find(last, length, "libone.so") != NULL;
        free(last);
    }
    free(whole);
    ok(found > 0 && found < rounds, "damaged ones: found in %d of %d", found, rounds);
}

static void
test_machine(void)
{
    struct stat st;
    int fd = open(SUBI__LD_CACHE, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        ok(true, "the machine's # SKIP it has none");
        return;
    }
    char *file = malloc((size_t)st.st_size);
    must(file != NULL && read(fd, file, (size_t)st.st_size) == st.st_size && close(fd) == 0);
    const char *path = subi__ld_cache_find(file, (size_t)st.st_size, "libc.so.6");
    Dl_info info;
    struct stat one, other;
    ok(path != NULL && dladdr(dlsym(RTLD_DEFAULT, "getpid"), &info) != 0 && stat(path, &one) == 0 &&
           (stat(info.dli_fname, &other) != 0 || TAP_SLOW > 1 || one.st_ino == other.st_ino),
       "the machine's: libc is %s", path);
    free(file);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    test_made();
    test_damaged();
    test_machine();
    return tap_done();
}
