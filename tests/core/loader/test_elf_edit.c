// SPDX-License-Identifier: MIT
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/elf_edit.h"
#include "loader/elf_image.h"

#include "call.h"
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

// An edit that adds one library, in the place of another; NULL: none.
#define NEEDS(to)                                                                                  \
    .needed = (const char *const[])                                                                \
    {                                                                                              \
        to, NULL                                                                                   \
    }
#define INSTEAD_OF(name)                                                                           \
    .renames = &(const subi__elf_rename){.from = name, .to = NULL}, .rename_count = 1

static file
edit(file f, const subi__elf_edit *e)
{
    subi__elf_patch p;
    const char *why;
    must(subi__elf_edit_make(f.bytes, f.size, e, &p, &why) == SUBI_OK);
    file copy = {calloc(1, p.offset + p.size), p.offset + p.size};
    must(copy.bytes != NULL);
    memcpy(copy.bytes, f.bytes, f.size);
    memcpy(copy.bytes, p.header, sizeof(p.header));
    for (size_t i = 0; i < p.changed_count; i++) {
        copy.bytes[p.changed[i].offset] = p.changed[i].value;
    }
    memcpy(copy.bytes + p.offset, p.bytes, p.size);
    subi__elf_patch_fini(&p);
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

    file f = edit(user, &(subi__elf_edit){NEEDS("new.so"), INSTEAD_OF("libelf_provider.so")});
    names after = needed_by(f, 100);
    ok(strncmp(after.text, "new.so ", 7) == 0, "what is added comes first: %s", after.text);
    ok(strstr(after.text, "libelf_provider.so ") == NULL, "what it replaces is gone");
    ok(strlen(after.text) - strlen("new.so") == strlen(before.text) - strlen("libelf_provider.so"),
       "the others are still there");
    free(f.bytes);

    f = edit(user, &(subi__elf_edit){NEEDS("new.so"), INSTEAD_OF("not there")});
    ok(strstr(needed_by(f, 100).text, before.text) != NULL, "nothing to replace is no fault");
    free(f.bytes);
}

static bool
wants(file f, const char *prefix)
{
    bool answer;
    const char *why;
    const char *const prefixes[] = {"none", prefix, NULL};
    must(subi__elf_wants(f.bytes, f.size, prefixes, &answer, &why) == SUBI_OK);
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
                 &(subi__elf_edit){.soname = "user-a.so", NEEDS("a.so"), INSTEAD_OF(old)});
    write_edited(user, "user-b.so",
                 &(subi__elf_edit){.soname = "user-b.so", NEEDS("b.so"), INSTEAD_OF(old)});
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
    subi__elf_edit e = {
        .soname = "user-c.so", NEEDS("c.so"), INSTEAD_OF("libelf_provider.so"), .origin = folder};
    must(mkdir(path_of("elsewhere"), 0700) == 0);
    write_edited(user, "elsewhere/user-c.so", &e);
    void *handle = load("elsewhere/user-c.so");
    ok(call(handle, "elf_use") == 101,
       "$ORIGIN in the runpath is the folder that it is said to be");
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
    const subi__elf_rename renames[] = {{"i", NULL}, {"libelf_provider.so", "another name"}};
    const subi__elf_edit e = {
        .soname = "s", .origin = "o", NEEDS("n"), .renames = renames, .rename_count = 2};
    const int64_t tags[] = {DT_SONAME, DT_RPATH, DT_RUNPATH, (int64_t)tap_seed % 40};
    names n = {.at_most = 10};
    bool answer;
    subi__elf_patch patch;
    n.at_most = 0;
    subi__elf_needed(bytes, size, collect, &n, why);
    subi__elf_wants(bytes, size, (const char *const[]){"Py", NULL}, &answer, why);
    for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
        const char *text = subi__elf_text(bytes, size, tags[i]);
        must(text == NULL || strlen(text) < size);
    }
    subi_result r = subi__elf_edit_make(bytes, size, &e, &patch, why);
    if (r == SUBI_OK) {
        must(patch.offset >= size);
        for (size_t i = 0; i < patch.changed_count; i++) {
            must(patch.changed[i].offset < size);
        }
        subi__elf_patch_fini(&patch);
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

// Wants symbols, and has none: GNU ld's hash table does not tell how many.
static void
test_only_wants(void)
{
    file f = read_file(getenv("ELF_HIDDEN"));
    ok(wants(f, "elf_count") && !wants(f, "elf_use"), "a file without symbols of its own");
    free(f.bytes);
}

static void
test_versions(void)
{
    file f = read_file(getenv("ELF_VERSIONED_USER"));
    file v = read_file(getenv("ELF_VERSIONED"));
    const char *old = "libelf_versioned.so";
    write_edited(v, "v.so", &(subi__elf_edit){.soname = "v.so"});
    write_edited(f, "user-v.so",
                 &(subi__elf_edit){.soname = "user-v.so",
                                   .renames = &(subi__elf_rename){.from = old, .to = "v.so"},
                                   .rename_count = 1});
    void *provided = load("v.so"), *handle = load("user-v.so");
    ok(call(handle, "elf_use") == 101, "versions are wanted of the library that is bound to");
    dlclose(handle);
    dlclose(provided);
    subi__elf_patch p;
    const char *why = NULL;
    subi_result r = subi__elf_edit_make(
        f.bytes, f.size, &(subi__elf_edit){INSTEAD_OF("libelf_versioned.so")}, &p, &why);
    ok(r == SUBI_INVALID && why != NULL, "and cannot be wanted of none: %s", why);
    free(f.bytes);
    free(v.bytes);
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
    test_only_wants();
    test_versions();
    const char *const made[] = {"a.so",      "b.so",      "c.so",
                                "user-a.so", "user-b.so", "elsewhere/user-c.so",
                                "round.so",  "v.so",      "user-v.so"};
    for (size_t k = 0; k < sizeof(made) / sizeof(*made); k++) {
        must(unlink(path_of(made[k])) == 0);
    }
    must(rmdir(path_of("elsewhere")) == 0 && rmdir(folder) == 0);
    free(provider.bytes);
    free(user.bytes);
    return tap_done();
}
