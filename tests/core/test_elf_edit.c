// SPDX-License-Identifier: MIT
#include "elf_edit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "tap.h"

typedef struct file {
    unsigned char *bytes;
    size_t size;
} file;

static file provider, user;
static char folder[] = "/tmp/test_elf.XXXXXX";

static file
read_file(const char *path)
{
    struct stat st;
    int fd = path != NULL ? open(path, O_RDONLY) : -1;
    must(fd >= 0 && fstat(fd, &st) == 0);
    file f = {malloc((size_t)st.st_size), (size_t)st.st_size};
    must(read(fd, f.bytes, f.size) == (ssize_t)f.size);
    close(fd);
    return f;
}

static const char *
path_of(const char *name)
{
    static char path[200];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static file
edit(file f, const subi__elf_edit *e)
{
    file copy = {NULL, 0};
    const char *why;
    void *bytes;
    must(subi__elf_edit_copy(f.bytes, f.size, e, &bytes, &copy.size, &why) == SUBI_OK);
    copy.bytes = bytes;
    return copy;
}

static void
write_edited(file f, const char *name, const subi__elf_edit *e)
{
    file copy = edit(f, e);
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_EXCL, 0700);
    must(fd >= 0 && write(fd, copy.bytes, copy.size) == (ssize_t)copy.size);
    close(fd);
    free(copy.bytes);
}

static void *
load(const char *name)
{
    void *handle = dlopen(path_of(name), RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        printf("# %s\n", dlerror());
    }
    must(handle != NULL);
    return handle;
}

static int
call(void *handle, const char *name)
{
    int (*function)(void);
    void *symbol = dlsym(handle, name);
    must(symbol != NULL);
    memcpy(&function, &symbol, sizeof(function));
    return function();
}

typedef struct names {
    char text[500];
    int at_most;
} names;

static bool
collect(const char *name, void *arg)
{
    names *n = arg;
    strcat(strcat(n->text, name), " ");
    return --n->at_most > 0;
}

static names
needed_by(file f, int at_most)
{
    names n = {.at_most = at_most};
    const char *why;
    must(subi__elf_needed(f.bytes, f.size, collect, &n, &why) == SUBI_OK);
    return n;
}

static void
test_needed(void)
{
    names before = needed_by(user, 100);
    ok(strstr(before.text, "libelf_provider.so ") != NULL, "a file tells what it needs");
    ok(strcmp(needed_by(user, 1).text, before.text) <= 0, "and stops when it is told to");

    file f = edit(user, &(subi__elf_edit){.needed = "new.so", .instead = "libelf_provider.so"});
    names after = needed_by(f, 100);
    ok(strncmp(after.text, "new.so ", 7) == 0, "what is added comes first: %s", after.text);
    ok(strstr(after.text, "libelf_provider.so ") == NULL, "what it replaces is gone");
    ok(strlen(after.text) - strlen("new.so") == strlen(before.text) - strlen("libelf_provider.so"),
       "the others are still there");
    free(f.bytes);

    f = edit(user, &(subi__elf_edit){.needed = "new.so", .instead = "not there"});
    ok(strstr(needed_by(f, 100).text, before.text) != NULL, "nothing to replace is no fault");
    free(f.bytes);
}

static bool
wants(file f, const char *prefix)
{
    bool answer;
    const char *why;
    must(subi__elf_wants(f.bytes, f.size, prefix, &answer, &why) == SUBI_OK);
    return answer;
}

static void
test_wants(void)
{
    ok(wants(user, "elf_cou") && wants(user, ""), "a file tells whether it wants symbols");
    ok(!wants(user, "elf_use") && !wants(user, "elf_countdown"),
       "those that it has are not wanted");
    ok(!wants(provider, "elf_"), "nor those that nobody wants");
}

// The purpose of it all.
static void
test_copies_are_apart(void)
{
    write_edited(provider, "a.so", &(subi__elf_edit){.soname = "a.so"});
    write_edited(provider, "b.so", &(subi__elf_edit){.soname = "b.so"});
    const char *old = "libelf_provider.so";
    write_edited(user, "user-a.so",
                 &(subi__elf_edit){.soname = "user-a.so", .needed = "a.so", .instead = old});
    write_edited(user, "user-b.so",
                 &(subi__elf_edit){.soname = "user-b.so", .needed = "b.so", .instead = old});
    void *a = load("a.so"), *b = load("b.so"), *user_a = load("user-a.so"),
         *user_b = load("user-b.so");
    ok(call(user_a, "elf_use") == 101 && call(user_a, "elf_use") == 102, "a copy works");
    ok(call(user_b, "elf_use") == 101, "another one has a library of its own");
    ok(call(a, "elf_count") == 3 && call(b, "elf_count") == 2, "it is the one it was bound to");
    dlclose(user_a);
    dlclose(user_b);
    dlclose(a);
    dlclose(b);
}

static void
test_runpath(void)
{
    write_edited(provider, "c.so", &(subi__elf_edit){.soname = "c.so"});
    subi__elf_edit e = {.soname = "user-c.so",
                        .needed = "c.so",
                        .instead = "libelf_provider.so",
                        .runpath = folder};
    write_edited(user, "user-c.so", &e);
    void *handle = load("user-c.so");
    ok(call(handle, "elf_use") == 101, "the runpath leads to what is needed");
    dlclose(handle);
}

static void
test_edits_of_edits(void)
{
    file once = edit(provider, &(subi__elf_edit){.soname = "a name that is rather long.so"});
    file f = once;
    for (int k = 0; k < 20; k++) {
        char name[20];
        snprintf(name, sizeof(name), "round-%d.so", k);
        file next = edit(f, &(subi__elf_edit){.soname = name});
        free(f.bytes);
        f = next;
    }
    write_edited(f, "round.so", &(subi__elf_edit){.soname = "round.so"});
    free(f.bytes);
    void *handle = load("round.so");
    ok(call(handle, "elf_count") == 1, "an edited file can be edited again, 21 times");
    dlclose(handle);
    file same = edit(user, &(subi__elf_edit){.soname = NULL});
    ok(strcmp(needed_by(same, 100).text, needed_by(user, 100).text) == 0, "or left as it is");
    free(same.bytes);
}

static subi_result
try_all(const void *bytes, size_t size, const char **why)
{
    const subi__elf_edit e = {.soname = "s", .runpath = "r", .needed = "n", .instead = "i"};
    names n = {.at_most = 10};
    bool answer;
    void *out;
    size_t out_size;
    n.at_most = 0;
    subi__elf_needed(bytes, size, collect, &n, why);
    subi__elf_wants(bytes, size, "Py", &answer, why);
    subi_result r = subi__elf_edit_copy(bytes, size, &e, &out, &out_size, why);
    if (r == SUBI_OK) {
        free(out);
    }
    return r;
}

static void
check_refused(const void *bytes, size_t size, const char *what)
{
    const char *why = "";
    subi_result r = try_all(bytes, size, &why);
    ok(r == SUBI_INVALID && why != NULL, "%s: %s", what, why);
}

static void
test_refused(void)
{
    const char *why;
    static const char text[200] = "#!/bin/sh";
    check_refused("", 0, "nothing");
    check_refused(text, sizeof(text), "a script");
    check_refused(provider.bytes, 4096, "cut off");
    for (size_t size = 0; size < 4096; size += 7) {
        must(try_all(provider.bytes, size, &why) == SUBI_INVALID);
    }
    static const struct {
        size_t offset;
        unsigned char value;
        const char *what;
    } changes[] = {{4, 1, "of 32 bits"},       {5, 2, "with the other byte order"},
                   {16, 2, "a program"},       {18, 40, "of another machine"},
                   {56, 0, "without headers"}, {54, 1, "with other headers"}};
    for (size_t k = 0; k < sizeof(changes) / sizeof(*changes); k++) {
        unsigned char kept = provider.bytes[changes[k].offset];
        provider.bytes[changes[k].offset] = changes[k].value;
        check_refused(provider.bytes, provider.size, changes[k].what);
        provider.bytes[changes[k].offset] = kept;
    }
}

// Whatever the bytes are: an answer, and no access beyond them (the sanitizers look).
static void
test_random_damage(void)
{
    uint64_t random = tap_seed;
    const char *why;
    int refused = 0;
    for (int round = 0; round < 100000; round++) {
        file f = round % 2 == 0 ? provider : user;
        size_t size = tap_random(&random) % 4 != 0 ? f.size : tap_random(&random) % f.size;
        unsigned char *bytes = malloc(size + 1);  // of that size, so that a read beyond it is seen
        must(bytes != NULL);
        memcpy(bytes, f.bytes, size);
        for (uint64_t flips = tap_random(&random) % 8; flips > 0 && size > 0; flips--) {
            size_t range = tap_random(&random) % 2 == 0 && size > 1024 ? 1024 : size;
            bytes[tap_random(&random) % range] ^= (unsigned char)(1 << tap_random(&random) % 8);
        }
        refused += try_all(bytes, size, &why) == SUBI_INVALID;
        free(bytes);
    }
    ok(refused > 1000 && refused < 99000, "100,000 damaged files: %d refused", refused);
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    provider = read_file(getenv("ELF_PROVIDER"));
    user = read_file(getenv("ELF_USER"));
    must(mkdtemp(folder) != NULL);
    test_needed();
    test_wants();
    test_copies_are_apart();
    test_runpath();
    test_edits_of_edits();
    test_refused();
    test_random_damage();
    const char *const made[] = {"a.so",      "b.so",      "c.so",    "user-a.so",
                                "user-b.so", "user-c.so", "round.so"};
    for (size_t k = 0; k < sizeof(made) / sizeof(*made); k++) {
        must(unlink(path_of(made[k])) == 0);
    }
    must(rmdir(folder) == 0);
    free(provider.bytes);
    free(user.bytes);
    return tap_done();
}
