// SPDX-License-Identifier: MIT
//
// Slots that cannot be opened, and libraries that cannot be loaded: it is said why, and the rest goes
// on.
#include <dirent.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>

#include "slot_test.h"

#define DEPTH 100

static const char *missing, *elsewhere, *pathless, *pathful;

static void
write_file(const char *name, const char *bytes, size_t size, char path[200])
{
    snprintf(path, 200, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    must(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    close(fd);
}

static void
check_refused(subi_slot *s, const char *path, const char *what)
{
    subi_slot *none;
    void *(*open_there)(const char *, int);
    char *(*error_there)(void);
    void *handle = subi_slot_load(s, path, RTLD_NOW);
    const char *why = subi_slot_error();
    why = why != NULL ? why : subi_slot_system_error();
    ok(handle == NULL && why != NULL && strncmp(why, path, strlen(path)) == 0, "%s: %s", what, why);
    ok(subi_slot_error() == NULL && subi_slot_system_error() == NULL, "it is said once");

    void *inside = load(s, extension);
    void *symbols[] = {dlsym(inside, "extension_open"), dlsym(inside, "extension_error")};
    memcpy(&open_there, &symbols[0], sizeof(open_there));
    memcpy(&error_there, &symbols[1], sizeof(error_there));
    handle = open_there(path, RTLD_NOW);
    why = error_there();
    ok(handle == NULL && why != NULL && strncmp(why, path, strlen(path)) == 0, "in a copy: %s",
       why);
    ok(error_there() == NULL, "it is said once");
    must(open_there(middle, RTLD_NOW) == load(s, middle));
    if (strcmp(path, missing) != 0) {
        subi_result r = subi_slot_open(path, &none);
        why = subi_slot_error();
        ok(r == SUBI_NOT_FOUND && why != NULL && strstr(why, path) != NULL, "as libpython: %s",
           why);
    }
}

static void
test_refused(void)
{
    static const char text[200] = "#!/bin/sh";
    static char bytes[100000];
    char path[200];
    subi_slot *s = open_slot();
    check_refused(s, "/not/there.so", "missing");
    write_file("text.so", text, sizeof(text), path);
    check_refused(s, path, "a text file");
    write_file("empty.so", text, 0, path);
    check_refused(s, path, "empty");
    int fd = open(extension, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && read(fd, bytes, sizeof(bytes)) > 8192);
    close(fd);
    write_file("cut.so", bytes, 4096, path);
    check_refused(s, path, "cut off");
    write_file("cut.so", bytes, 8192 + 100, path);
    check_refused(s, path, "cut off later");
    bytes[18] ^= 1;
    write_file("other.so", bytes, sizeof(bytes), path);
    check_refused(s, path, "for another machine");
    check_refused(s, missing, "with an undefined symbol");
    check_refused(s, folder, "a folder");
    must(subi_slot_close(s, true));
}

// size: of the file, or less.
static void
copy_file(const char *from, size_t size, const char *name, char path[200])
{
    static char bytes[1000000];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    must(fd >= 0);
    ssize_t n = read(fd, bytes, sizeof(bytes));
    must(n > 0 && n < (ssize_t)sizeof(bytes));
    close(fd);
    write_file(name, bytes, size < (size_t)n ? size : (size_t)n, path);
}

// The dynamic linker would crash on a library that was cut off, whoever needs it.
static void
test_cut_library(void)
{
    char path[200], library[200];
    subi_slot *s = open_slot();
    copy_file(pathful, SIZE_MAX, "needs.so", path);
    for (size_t size = 100; size <= 8192; size += size < 4096 ? 3996 : 4096) {
        copy_file(elsewhere, size, "libslot_over_there.so", library);
        void *handle = subi_slot_load(s, path, RTLD_NOW);
        const char *why = subi_slot_error();
        ok(handle == NULL && why != NULL && strncmp(why, library, strlen(library)) == 0,
           "a needed library of %zu bytes: %s", size, why);
    }
    copy_file(elsewhere, SIZE_MAX, "libslot_over_there.so", library);
    ok(call(load(s, path), "pathless_count") == 2001, "whole, it is loaded");
    must(subi_slot_close(s, true));
}

// One that needs `next`, whose name its file has in the place of another one.
static void
write_link(const char *from, const char *name, const char *next)
{
    static char bytes[1000000];
    char path[200];
    size_t length = strlen("libslot_over_there.so");
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, bytes, sizeof(bytes)) : -1;
    char *found = n > 0 ? memmem(bytes, (size_t)n, "libslot_over_there.so", length) : NULL;
    must(found != NULL && close(fd) == 0);
    memcpy(found, next, length);
    write_file(name, bytes, (size_t)n, path);
}

static void *
load_chain(void *s)
{
    char path[200];
    snprintf(path, sizeof(path), "%s/libslot_over_%05d.so", folder, 0);
    must(call(load(s, path), "pathless_count") == 2001);
    return NULL;
}

static void
test_deep(void)
{
    char path[200], name[40], last[40];
    pthread_attr_t attributes;
    pthread_t t;
    for (int k = 0; k < DEPTH; k++) {
        snprintf(name, sizeof(name), "libslot_over_%05d.so", k);
        snprintf(last, sizeof(last), "libslot_over_%05d.so", k + 1);
        write_link(pathful, name, last);
    }
    copy_file(elsewhere, SIZE_MAX, last, path);
    subi_slot *s = open_slot();
    must(pthread_attr_init(&attributes) == 0);
    must(pthread_attr_setstacksize(&attributes, 128 * 1024 * (TAP_SLOW > 1 ? 8 : 1)) == 0);
    must(pthread_create(&t, &attributes, load_chain, s) == 0);
    tap_join(t);
    pthread_attr_destroy(&attributes);
    ok(subi_slot_close(s, true), "libraries that need each other, %d of them, on a small stack",
       DEPTH);
}

// ---- libraries that only the dynamic linker finds ---------------------------------------------

// It has read LD_LIBRARY_PATH when the process began.
static int
be_unfound(void)
{
    const char *const folders = find_library("LD_LIBRARY_PATH");
    char path[200];
    snprintf(path, sizeof(path), "%s/needs.so", folders);
    must(unsetenv("LD_LIBRARY_PATH") == 0);
    subi_slot *s = open_slot();
    void *handle = subi_slot_load(s, path, RTLD_NOW);
    const char *why = subi_slot_error();
    printf("# %s\n", why != NULL ? why : "no error");
    fflush(stdout);
    bool good = handle == NULL && why != NULL && strncmp(why, path, strlen(path)) == 0 &&
                strstr(why, "LD_LIBRARY_PATH") != NULL && load(s, extension) != NULL &&
                subi_slot_close(s, true);
    char command[200];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    must(system(command) == 0);
    return good ? 0 : 1;
}

static void
test_unfound(void)
{
    char path[200], needed[PATH_MAX];
    int status;
    must(mkdir(strcat(strcpy(path, folder), "/there"), 0700) == 0);
    write_link(pathless, "there/needs.so", "libslot_over_where.so");
    copy_file(elsewhere, SIZE_MAX, "there/libslot_over_where.so", path);
    copy_file(python, SIZE_MAX, "there/libslot_python.so", path);
    snprintf(needed, sizeof(needed), "%s/there", folder);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        must(setenv("LD_LIBRARY_PATH", needed, 1) == 0 && setenv("SLOT_UNFOUND", "1", 1) == 0);
        execl("/proc/self/exe", "unfound", NULL);
        _exit(1);
    }
    must(waitpid(pid, &status, 0) == pid);
    ok(status == 0, "a library that calls Python and that only the dynamic linker finds: refused");
}

// ---- limits -----------------------------------------------------------------------------------

static int
count_descriptors(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    must(dir != NULL);
    while (readdir(dir) != NULL) {
        count++;
    }
    closedir(dir);
    return count;
}

// Opens a slot with less of something. False: it is refused, with a reason.
static bool
open_within(int resource, rlim_t soft)
{
    struct rlimit old, little;
    subi_slot *s;
    must(getrlimit((unsigned)resource, &old) == 0);
    little = (struct rlimit){soft, old.rlim_max};
    must(setrlimit((unsigned)resource, &little) == 0);
    bool opened = subi_slot_open(python, &s) == SUBI_OK;
    bool loaded = opened && subi_slot_load(s, extension, RTLD_NOW) != NULL;
    const char *why = subi_slot_error();
    must(setrlimit((unsigned)resource, &old) == 0);
    must(loaded || why != NULL);
    must(!opened || subi_slot_close(s, true));
    return loaded;
}

static void
test_no_descriptors(void)
{
    int before = count_descriptors(), refused = 0, lowest = dup(0);
    close(lowest);
    must(subi_cache_clear() == SUBI_OK);
    while (refused < 20 && !open_within(RLIMIT_NOFILE, (rlim_t)(lowest + refused))) {
        refused++;
    }
    ok(refused > 0 && refused < 20 && count_descriptors() == before,
       "no descriptors: refused with less than %d", refused);
}

static void
test_no_room(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
    must(sigaction(SIGXFSZ, &ignore, &old) == 0 && subi_cache_clear() == SUBI_OK);
    ok(!open_within(RLIMIT_FSIZE, 4000) && open_within(RLIMIT_FSIZE, 10000000),
       "no room for a copy: refused");
    must(sigaction(SIGXFSZ, &old, NULL) == 0);
}

static size_t
address_space(void)
{
    unsigned long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    must(f != NULL && fscanf(f, "%lu", &pages) == 1);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

// In a child: what the dynamic linker has then is its own affair.
static void
test_no_memory(void)
{
    int status;
    if (TAP_SLOW > 1) {
        ok(true, "no memory # SKIP a sanitizer needs some itself");
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        int refused = 0;
        alarm(60);
        size_t more = 0;
        while (more < 100000000 && !open_within(RLIMIT_AS, address_space() + more)) {
            more += 10000;
            refused++;
        }
        printf("# %zu more bytes are enough\n", more);
        fflush(stdout);
        _exit(refused > 5 && open_within(RLIMIT_AS, RLIM_INFINITY) ? 0 : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    ok(status == 0, "no memory: refused (%d)", status);
}

int
main(int argc, char **argv)
{
    slot_test_start(argc, argv);
    missing = find_library("SLOT_MISSING");
    elsewhere = find_library("SLOT_ELSEWHERE");
    pathless = find_library("SLOT_PATHLESS");
    pathful = find_library("SLOT_PATHFUL");
    if (getenv("SLOT_UNFOUND") != NULL) {
        return be_unfound();
    }
    test_refused();
    test_cut_library();
    test_deep();
    test_unfound();
    test_no_descriptors();
    test_no_room();
    test_no_memory();
    return slot_test_done();
}
