// SPDX-License-Identifier: MIT
//
// The folder of copies: which it is, what is refused, how much there is in it, and what happens when
// a copy is damaged or cannot be written. The folder is chosen once in a process, so each case has a
// process of its own.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "loader/cache.h"
#include "loader/copies.h"

#include "tap.h"

#define NOBODY 65534

static char base[] = "/tmp/test_cache.XXXXXX";
static const char *library;

static const char *
path_of(const char *name)
{
    static char paths[4][300];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
    return path;
}

static void
remove_all(const char *path)
{
    char command[400];
    snprintf(command, sizeof(command), "rm -rf %s", path);
    must(system(command) == 0);
}

// Runs the case in a process of its own; its result is the process's.
static bool
apart(bool (*run)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        _exit(run() ? 0 : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    return status == 0;
}

// ---- which folder -----------------------------------------------------------------------------

static const char *
choose(const char *chosen, const char *xdg, const char *home, const char *tmp)
{
    const char *const names[] = {"SUBINTERPRETERS_CACHE", "XDG_CACHE_HOME", "HOME", "TMPDIR"};
    const char *const values[] = {chosen, xdg, home, tmp};
    for (int i = 0; i < 4; i++) {
        must((values[i] != NULL ? setenv(names[i], values[i], 1) : unsetenv(names[i])) == 0);
    }
    return subi_cache_folder();
}

static bool
is(const char *folder, const char *expected)
{
    struct stat st;
    bool same = folder != NULL && strcmp(folder, expected) == 0 && stat(folder, &st) == 0 &&
                (st.st_mode & 0777) == 0700;
    if (!same) {
        printf("# it is %s\n", folder != NULL ? folder : "none");
    }
    return same;
}

static bool
chosen_one(void)
{
    return is(choose(path_of("a/b/c"), path_of("x"), path_of("h"), path_of("t")), path_of("a/b/c"));
}

static bool
in_xdg(void)
{
    return is(choose(NULL, path_of("x"), path_of("h"), path_of("t")), path_of("x/subinterpreters"));
}

static bool
in_home(void)
{
    return is(choose("", "relative", path_of("h"), NULL), path_of("h/.cache/subinterpreters"));
}

static bool
in_tmp(void)
{
    char name[60];
    snprintf(name, sizeof(name), "t/subinterpreters-%ld", (long)geteuid());
    return is(choose(NULL, NULL, "/proc/none", path_of("t")), path_of(name));
}

static bool
none_if_chosen_is_bad(void)
{
    return choose("relative", path_of("x"), path_of("h"), NULL) == NULL;
}

static bool
none_if_too_long(void)
{
    static char path[2 * PATH_MAX];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    return choose(path, NULL, NULL, NULL) == NULL;
}

static void
make_folder(const char *path, mode_t mode)
{
    must(mkdir(path, 0700) == 0 && chmod(path, mode) == 0);
}

static bool
writable_by_group(void)
{
    make_folder(path_of("group"), 0770);
    return choose(path_of("group"), NULL, NULL, NULL) == NULL;
}

static bool
a_link(void)
{
    make_folder(path_of("real"), 0700);
    must(symlink(path_of("real"), path_of("link")) == 0);
    return choose(path_of("link"), NULL, NULL, NULL) == NULL;
}

static bool
a_file(void)
{
    close(open(path_of("file"), O_CREAT | O_WRONLY, 0600));
    return choose(path_of("file"), NULL, NULL, NULL) == NULL;
}

static bool
of_others(void)
{
    make_folder(path_of("others"), 0755);
    must(chown(path_of("others"), NOBODY, NOBODY) == 0);
    return choose(path_of("others"), NULL, NULL, NULL) == NULL;
}

static bool
read_only(void)
{
    make_folder(path_of("readonly"), 0500);
    if (geteuid() == 0) {  // who can write anywhere
        must(chmod(base, 0711) == 0 && chown(path_of("readonly"), NOBODY, NOBODY) == 0);
        must(setresuid(NOBODY, NOBODY, NOBODY) == 0);
    }
    return choose(path_of("readonly"), NULL, NULL, NULL) == NULL;
}

// One that is mounted so that nothing can be loaded from it, if there is any.
static const char *
find_noexec(void)
{
    static char path[100];
    static const char *const folders[] = {"/dev/shm", "/run/lock", "/run", "/dev",
                                          "/sys/fs/cgroup"};
    struct statvfs fs;
    for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
        snprintf(path, sizeof(path), "%s/test_cache.%ld", folders[i], (long)getpid());
        if (statvfs(folders[i], &fs) == 0 && (fs.f_flag & ST_NOEXEC) != 0 &&
            mkdir(path, 0700) == 0) {
            return path;
        }
    }
    return NULL;
}

static const char *noexec;

static bool
not_executable(void)
{
    return choose(noexec, NULL, NULL, NULL) == NULL;
}

static void
test_noexec(void)
{
    noexec = find_noexec();
    if (noexec == NULL) {
        ok(true, "refused: nothing can be loaded from it # SKIP no such file system");
        return;
    }
    ok(apart(not_executable), "refused: nothing can be loaded from it (%s)", noexec);
    must(rmdir(noexec) == 0);
}

static void
test_folders(void)
{
    ok(apart(chosen_one), "$SUBINTERPRETERS_CACHE");
    ok(apart(in_xdg), "$XDG_CACHE_HOME");
    ok(apart(in_home), "$HOME, when these are empty or relative");
    ok(apart(in_tmp), "$TMPDIR, when there can be no other");
    ok(apart(none_if_chosen_is_bad), "none, when the chosen one will not do");
    ok(apart(none_if_too_long), "nor when its path is too long");
    ok(apart(writable_by_group), "refused: writable by others");
    ok(apart(a_link), "refused: a link");
    ok(apart(a_file), "refused: a file");
    ok(geteuid() != 0 || apart(of_others), "refused: somebody else's (as root)");
    ok(apart(read_only), "refused: not writable");
    test_noexec();
}

// ---- copies -----------------------------------------------------------------------------------

static bool may_vanish;  // others clear the folder

// Provides the copy for a slot. NULL: it failed, and why says what for.
static const char *
provide(unsigned slot, char *why, size_t size)
{
    static char path[PATH_MAX];
    char name[SUBI__COPY_NAME_MAX];
    subi__source s;
    const char *reason;
    if (subi__source_open(library, &s, &reason) != SUBI_OK) {
        snprintf(why, size, "%s", reason);
        return NULL;
    }
    subi__copy_name(&s, slot, 0, name);
    subi__elf_edit edit = {.soname = name};
    subi__identity id;
    subi_result r = subi__copy_provide(&s, name, &edit, path, &id, why, size);
    must(r != SUBI_OK || may_vanish || subi__copy_is(path, &id));
    subi__source_close(&s);
    return r == SUBI_OK ? path : NULL;
}

static const char *
must_provide(unsigned slot)
{
    char why[512];
    const char *path = provide(slot, why, sizeof(why));
    if (path == NULL) {
        printf("# %s\n", why);
    }
    must(path != NULL);
    return path;
}

static int
count_files(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    must(dir != NULL);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        count += d->d_name[0] != '.';
    }
    closedir(dir);
    return count;
}

// The sum of the file's bytes, so that two can be compared.
static uint64_t
look(const char *path, struct stat *st)
{
    uint64_t sum = 0;
    unsigned char bytes[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0 && fstat(fd, st) == 0);
    for (ssize_t n; (n = read(fd, bytes, sizeof(bytes))) > 0;) {
        for (ssize_t i = 0; i < n; i++) {
            sum = sum * 31 + bytes[i];
        }
    }
    close(fd);
    return sum;
}

static void
damage(const char *path, int how)
{
    static const char zeros[4096];
    struct stat st;
    must(chmod(path, 0700) == 0 && stat(path, &st) == 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    must(fd >= 0);
    switch (how) {
    case 0:
        must(ftruncate(fd, st.st_size / 2) == 0);
        break;
    case 1:
        must(ftruncate(fd, 0) == 0);
        break;
    case 2:
        must(ftruncate(fd, st.st_size - 1) == 0);
        break;
    case 3:
        must(pwrite(fd, "x", 1, st.st_size) == 1);
        break;
    case 4:
        must(pwrite(fd, "x", 1, st.st_size - 140) == 1);
        break;
    case 5:  // only a sum tells
        must(pwrite(fd, "x", 1, st.st_size - 200) == 1);
        break;
    case 6:
        must(pwrite(fd, zeros, sizeof(zeros), 4096) == (ssize_t)sizeof(zeros));
        break;
    default:
        must(pwrite(fd, "x", 1, st.st_size / 3 + 3) == 1);
    }
    close(fd);
}

static bool
made_again(void)
{
    struct stat before, after, same;
    choose(path_of("again"), NULL, NULL, NULL);
    uint64_t sum = look(must_provide(1), &before);
    bool good = look(must_provide(1), &same) == sum && same.st_ino == before.st_ino;
    for (int how = 0; how < 5; how++) {
        damage(must_provide(1), how);
        good = good && look(must_provide(1), &after) == sum && after.st_size == before.st_size;
    }
    return good && (after.st_mode & 0777) == 0500 && count_files(path_of("again")) == 1;
}

// A machine that was started this moment: files are older.
static bool just_started;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int
__wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    int result = __real_clock_gettime(clock, time);
    if (clock == CLOCK_BOOTTIME && just_started) {
        *time = (struct timespec){0};
    }
    return result;
}

static bool
made_again_after_boot(void)
{
    struct stat before, same, after;
    choose(path_of("boot"), NULL, NULL, NULL);
    uint64_t sum = look(must_provide(1), &before);
    just_started = true;
    bool good = look(must_provide(1), &same) == sum && same.st_ino == before.st_ino &&
                (same.st_ctim.tv_sec > before.st_ctim.tv_sec ||
                 same.st_ctim.tv_nsec > before.st_ctim.tv_nsec);
    for (int how = 5; how < 8; how++) {
        damage(must_provide(1), how);
        good = good && look(must_provide(1), &after) == sum;
    }
    just_started = false;
    damage(must_provide(1), 5);
    return good && look(must_provide(1), &after) != sum;
}

// Many processes want the same, and others remove it.
static bool
at_once(void)
{
    int status, bad = 0;
    char why[512];
    choose(path_of("once"), NULL, NULL, NULL);
    may_vanish = true;
    for (int i = 0; i < 4; i++) {
        if (fork() == 0) {
            for (int round = 0; round < 200; round++) {
                if (provide((unsigned)round % 3, why, sizeof(why)) == NULL) {
                    printf("# %s\n", why);
                    fflush(stdout);
                    _exit(1);
                }
                if (i == 3 && round % 4 == 0) {
                    subi_cache_clear();
                }
            }
            _exit(0);
        }
    }
    while (wait(&status) > 0) {
        bad += status != 0;
    }
    for (unsigned slot = 0; slot < 3; slot++) {
        must_provide(slot);
    }
    return bad == 0 && count_files(path_of("once")) == 3;
}

static bool
limited(void)
{
    uint64_t size, one;
    size_t count;
    char limit[40];
    choose(path_of("limit"), NULL, NULL, NULL);
    must_provide(0);
    must(subi_cache_size(&one, &count) == SUBI_OK && count == 1 && one > 0);
    snprintf(limit, sizeof(limit), "%llu", 5ULL * one);
    must(setenv("SUBINTERPRETERS_CACHE_SIZE", limit, 1) == 0 && subi_cache_limit() == 5 * one);
    close(open(path_of("limit/precious.txt"), O_CREAT | O_WRONLY, 0600));
    for (unsigned slot = 1; slot < 33; slot++) {  // the 33rd looks
        struct timespec when[2] = {{.tv_sec = 1000 + slot}, {.tv_sec = 1000 + slot}};
        must(slot == 32 || utimensat(AT_FDCWD, must_provide(slot), when, 0) == 0);
    }
    const char *newest = must_provide(32);
    bool there = access(newest, F_OK) == 0;
    must(subi_cache_size(&size, &count) == SUBI_OK);
    bool good = there && count == 5 && size <= 5 * one;
    must(subi_cache_clear() == SUBI_OK && subi_cache_size(&size, &count) == SUBI_OK);
    good = good && count == 0 && size == 0 && access(path_of("limit/precious.txt"), F_OK) == 0;
    return good;
}

static void
set_age(const char *path, int seconds)
{
    time_t then = time(NULL) - seconds;
    struct timespec when[2] = {{.tv_sec = then}, {.tv_sec = then}};
    must(utimensat(AT_FDCWD, path, when, 0) == 0);
}

// One that was not used for hours is still the file that it was found to be, and now it is new.
static bool
used_again(void)
{
    struct stat st;
    choose(path_of("used"), NULL, NULL, NULL);
    set_age(must_provide(1), 3 * 60 * 60);
    return stat(must_provide(1), &st) == 0 && time(NULL) - st.st_mtime < 60;
}

// Two are written, one a while ago, and there is room for none. The clock of the file system may be ahead.
static bool
spared(void)
{
    uint64_t size;
    size_t count;
    choose(path_of("spared"), NULL, NULL, NULL);
    must(setenv("SUBINTERPRETERS_CACHE_SIZE", "1", 1) == 0);
    set_age(must_provide(0), -5);
    char old[PATH_MAX];
    strcpy(old, must_provide(1));
    char draft[PATH_MAX + 8], old_draft[PATH_MAX + 8];
    snprintf(draft, sizeof(draft), "%s.abcdef", old);
    snprintf(old_draft, sizeof(old_draft), "%s.ABCDEF", old);
    close(open(draft, O_CREAT | O_WRONLY, 0600));
    close(open(old_draft, O_CREAT | O_WRONLY, 0600));
    set_age(old, 100);
    set_age(old_draft, 100);
    for (unsigned slot = 2; slot < 33; slot++) {
        must_provide(slot);
    }
    must(subi_cache_size(&size, &count) == SUBI_OK);
    bool good = count == 32 + 1 && access(old, F_OK) != 0 && access(draft, F_OK) == 0 &&
                access(old_draft, F_OK) != 0;
    return good && subi_cache_clear() == SUBI_OK && count_files(path_of("spared")) == 1 &&
           access(draft, F_OK) == 0;
}

static bool
sizes(void)
{
    static const struct {
        const char *text;
        uint64_t size;  // 0: refused
    } cases[] = {{"2147483649", 2147483649},
                 {"3K", 3072},
                 {"5m", 5242880},
                 {"2G", 2147483648},
                 {"1T", UINT64_C(1) << 40},
                 {"", 2147483648},
                 {"many", 0},
                 {"-1", 0},
                 {" 1", 0},
                 {"1 ", 0},
                 {"1GB", 0},
                 {"G", 0},
                 {"1.5G", 0},
                 {"99999999999T", 0},
                 {"99999999999999999999", 0}};
    int good = 0, all = sizeof(cases) / sizeof(*cases);
    for (int i = 0; i < all; i++) {
        setenv("SUBINTERPRETERS_CACHE_SIZE", cases[i].text, 1);
        bool valid = subi__cache_check();
        const char *why = subi_slot_error();
        uint64_t expected = cases[i].size != 0 ? cases[i].size : UINT64_C(2147483648);
        bool right = valid == (cases[i].size != 0) && subi_cache_limit() == expected &&
                     (valid || strstr(why, "SUBINTERPRETERS_CACHE_SIZE") != NULL);
        good += right;
        if (!right) {
            printf("# %s\n", cases[i].text);
        }
    }
    return good == all;
}

// With all that is in it.
static bool
folder_removed(void)
{
    choose(path_of("gone/below"), NULL, NULL, NULL);
    must_provide(0);
    remove_all(path_of("gone"));
    must_provide(0);
    return count_files(path_of("gone/below")) == 1;
}

static int
count_descriptors(void)
{
    return count_files("/proc/self/fd");
}

static bool
no_room(void)
{
    char why[512] = "";
    choose(path_of("room"), NULL, NULL, NULL);
    subi_cache_folder();
    int before = count_descriptors();
    struct rlimit old, little = {20000, 20000};
    signal(SIGXFSZ, SIG_IGN);
    must(getrlimit(RLIMIT_FSIZE, &old) == 0);
    little.rlim_max = old.rlim_max;
    must(setrlimit(RLIMIT_FSIZE, &little) == 0);
    bool refused = provide(1, why, sizeof(why)) == NULL;
    must(setrlimit(RLIMIT_FSIZE, &old) == 0);
    printf("# %s\n", why);
    return refused && strstr(why, "File too large") != NULL && count_files(path_of("room")) == 0 &&
           count_descriptors() == before && must_provide(1) != NULL;
}

static bool
no_descriptors(void)
{
    char why[512] = "";
    choose(path_of("files"), NULL, NULL, NULL);
    int before = count_descriptors(), good = 0;
    struct rlimit old, little;
    must(getrlimit(RLIMIT_NOFILE, &old) == 0);
    for (rlim_t more = 0; more < 3; more++) {
        int lowest = dup(0);
        close(lowest);
        little = (struct rlimit){(rlim_t)lowest + more, old.rlim_max};
        must(setrlimit(RLIMIT_NOFILE, &little) == 0);
        bool provided = provide(1, why, sizeof(why)) != NULL;
        must(setrlimit(RLIMIT_NOFILE, &old) == 0);
        good += provided || strstr(why, "Too many open files") != NULL;
        good -= (provided && more == 0) || (!provided && more > 0);
    }
    return good == 3 && count_files(path_of("files")) == 1 && count_descriptors() == before;
}

static bool
no_folder(void)
{
    char why[512] = "";
    uint64_t size;
    size_t count;
    choose("relative", NULL, NULL, NULL);
    return provide(1, why, sizeof(why)) == NULL && strstr(why, "SUBINTERPRETERS_CACHE") != NULL &&
           subi_cache_size(&size, &count) == SUBI_NOT_FOUND && subi_cache_clear() == SUBI_NOT_FOUND;
}

// The working directory is so deep that its path has no room for more.
static bool
deep_folder(void)
{
    char name[201];
    subi__source s;
    const char *why = NULL;
    memset(name, 'd', 200);
    name[200] = 0;
    make_folder(path_of("deep"), 0700);
    must(chdir(path_of("deep")) == 0);
    for (int i = 0; i < 22; i++) {
        must(mkdir(name, 0700) == 0 && chdir(name) == 0);
        close(open("x.so", O_CREAT | O_WRONLY, 0600));
        subi_result r = subi__source_open("./x.so", &s, &why);
        must(r == SUBI_NOT_FOUND && why != NULL);
    }
    return strcmp(why, "it is no regular file, or empty") != 0;
}

static bool
in_root(void)
{
    char *top = subi__folder_of("/none"), *below = subi__folder_of("/some/none");
    bool good = strcmp(top, "/") == 0 && strcmp(below, "/some") == 0;
    free(top);
    free(below);
    return good;
}

static void
test_copies(void)
{
    ok(apart(made_again), "a damaged copy is made again, a good one is not");
    ok(apart(made_again_after_boot),
       "one whose contents are damaged is, when the machine was started");
    ok(apart(at_once), "processes provide the same at once, while others remove it");
    ok(apart(limited), "the oldest go, when there are too many; files of others do not");
    ok(apart(used_again), "one that is old is used, and then it is new");
    ok(apart(spared), "fresh files are not removed, drafts not even when all are");
    ok(apart(sizes), "the size of the cache: which are understood");
    ok(apart(folder_removed), "a folder that was removed is made again");
    ok(apart(no_room), "no room: an error, and nothing is left");
    ok(apart(no_descriptors), "no descriptors: an error, and nothing is left");
    ok(apart(no_folder), "no folder: an error that tells what to set");
    ok(apart(deep_folder), "a path that is too long: an error");
    ok(apart(in_root), "the folder of a file in / is /");
}

int
main(int argc, char **argv)
{
    tap_start(argc, argv);
    library = getenv("ELF_PROVIDER");
    must(library != NULL && mkdtemp(base) != NULL);
    test_folders();
    test_copies();
    remove_all(base);
    return tap_done();
}
