// SPDX-License-Identifier: MIT
//
// Slots: copies that are apart, what they share, and how they are opened and closed.
#include <errno.h>
#include <limits.h>

#include "slot_test.h"

#define MANY    64
#define THREADS 8

static const char *elsewhere, *pathless, *staying, *unique, *unique_too;

// How many lines of /proc/self/maps have the text.
static int
count_maps(const char *text)
{
    char line[5000];
    int count = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    must(f != NULL);
    while (fgets(line, sizeof(line), f) != NULL) {
        count += strstr(line, text) != NULL;
    }
    fclose(f);
    return count;
}

static void
test_apart(void)
{
    subi_slot *a = open_slot(), *b = open_slot();
    void *in_a = load(a, extension), *in_b = load(b, extension);
    ok(call(in_a, "extension_early") == 1 && call(in_b, "extension_early") == 1,
       "dlopen(NULL) in a constructor gives the slot's libpython");
    ok(call(in_a, "extension_count") == 2 && call(in_a, "extension_count_opened") == 3,
       "and in a function: it is the one that the copy is bound to");
    ok(call(in_a, "extension_middle") == 1004, "so is what a library needs");
    ok(call_python(a) == 5 && call_python(b) == 2, "two slots are apart");
    ok(call(load(a, middle), "middle_count") == 1006, "a needed library is there once in a slot");
    ok(load(a, extension) == in_a && in_a != in_b, "a file is loaded once in a slot");
    ok(call(load(a, middle), "middle_unique") == 1 && call(load(b, middle), "middle_unique") == 1,
       "unique symbols are not unique in the process");
    ok(call(in_a, "extension_plain") == 1 && call(in_b, "extension_plain") == 2 &&
           call(load(b, plain), "plain_count") == 3,
       "libraries that do not call Python are shared");
    ok(subi_slot_python_symbol(a, "Py_NotThere") == NULL, "a symbol that is not there");
    ok(subi_slot_load(a, NULL, RTLD_NOW) == subi_slot_load(a, "", RTLD_NOW), "no path: libpython");
    ok(subi_slot_load(a, "libc.so.6", RTLD_NOW) != NULL, "a name without a folder is searched");
    ok(subi_slot_close(a, true) && call_python(b) == 3, "one is closed, the other one goes on");
    ok(subi_slot_close(b, true) && count_maps(cache) == 0, "nothing of them is left in memory");
}

// libslot_over_there.so is in a folder beside the libraries and the program, where it stays.
static void
test_run_paths(void)
{
    char beside[PATH_MAX], link[PATH_MAX + 30];
    void *(*open_there)(const char *, int);
    snprintf(beside, sizeof(beside), "%.*s/elsewhere", (int)(strrchr(elsewhere, '/') - elsewhere),
             elsewhere);
    snprintf(link, sizeof(link), "%s/libslot_over_there.so", beside);
    must(mkdir(beside, 0700) == 0 || errno == EEXIST);
    must(symlink(elsewhere, link) == 0 || errno == EEXIST);
    subi_slot *s = open_slot();
    ok(call(load(s, pathless), "pathless_count") == 2001,
       "a library without a run path needs one that that of the program leads to");
    must(subi_slot_close(s, true));

    s = open_slot();
    void *symbol = dlsym(load(s, extension), "extension_open");
    memcpy(&open_there, &symbol, sizeof(open_there));
    void *handle = open_there("libslot_over_there.so", RTLD_NOW);
    ok(handle != NULL && call(handle, "elsewhere_count") == 2002,
       "the run path of a copy leads to what is opened there");
    ok(open_there("libslot_over_there.so", RTLD_NOW | RTLD_NOLOAD) == handle &&
           open_there("libslot_nowhere.so", RTLD_NOW) == NULL,
       "once; and what is nowhere is not found");
    must(subi_slot_close(s, true));
}

static void
test_unique(void)
{
    subi_slot *a = open_slot(), *b = open_slot();
    must(load(a, unique_too) != NULL);  // before: its numbers come from what it needs
    void *in_a = load(a, unique), *too_a = load(a, unique_too), *in_b = load(b, unique);
    void *too_b = load(b, unique_too);
    ok(call(in_a, "unique_middle") == 1 && call(load(a, middle), "middle_unique") == 2 &&
           call(too_a, "unique_middle") == 3,
       "what is unique in a process is so in a slot: of a library and one that it needs");
    ok(call(in_a, "unique_own") == 1 && call(too_a, "unique_own") == 2 &&
           call(in_a, "unique_own") == 3,
       "of two that know nothing of each other");
    ok(call(in_a, "unique_thread") == 1 && call(too_a, "unique_thread") == 2,
       "also if each thread has its own");
    ok(call(in_b, "unique_middle") == 1 && call(in_b, "unique_own") == 1 &&
           call(in_b, "unique_thread") == 1 && call(too_b, "unique_own") == 2,
       "other slots have others");
    int number = call(load(a, plain), "plain_unique");
    ok(call(in_a, "unique_plain") == number + 1 && call(in_b, "unique_plain") == number + 2 &&
           call(too_a, "unique_plain") == number + 3,
       "what a shared library has is shared");
    ok(subi_slot_close(a, true) && subi_slot_close(b, true) && count_maps(cache) == 0,
       "all of it is unloaded");

    a = open_slot();
    in_a = load(a, unique);
    must(call(in_a, "unique_own") == 1);
    dlclose(in_a);
    must(count_maps("slot_unique.") == 0);
    too_a = load(a, unique_too);
    ok(call(too_a, "unique_own") == 1 && call(load(a, unique), "unique_own") == 2,
       "who was unloaded has nothing any more");
    ok(subi_slot_close(a, true) && count_maps(cache) == 0, "all of it is unloaded, once more");
}

// With another malloc, which ends the program when it gets what it has not made: see slot_malloc.c. So does
// AddressSanitizer's.
static void
test_memory(void)
{
#ifdef __SANITIZE_THREAD__
    ok(true, "memory crosses # SKIP not to what ThreadSanitizer has");
    return;
#endif
    subi_slot *s = open_slot();
    void *(*allocate)(void *);
    void *symbol = dlsym(load(s, extension), "extension_allocate");
    memcpy(&allocate, &symbol, sizeof(allocate));
    void *block = allocate(malloc(100));
    free(realloc(block, 1000));
    ok(block != NULL && subi_slot_close(s, true), "memory crosses");
}

static void
test_addresses(void)
{
    subi_slot *s = open_slot();
    const char *(*path)(const void *);
    void *symbol = dlsym(load(s, extension), "extension_path");
    memcpy(&path, &symbol, sizeof(path));
    const char *of_python = path(subi_slot_python_symbol(s, "Py_Count"));
    ok(strcmp(path(NULL), extension) == 0 && of_python != NULL && strcmp(of_python, python) == 0,
       "dladdr tells what a copy was made from");
    const char *of_libc = path(dlsym(RTLD_DEFAULT, "getpid"));
    ok(of_libc != NULL && strstr(of_libc, ".so") != NULL && path((void *)16) == NULL,
       "of the rest, what it is");
    must(subi_slot_close(s, true));
}

static void
test_closing(void)
{
    subi_slot *a = open_slot();
    for (int i = 0; i < 20; i++) {
        load(a, extension);
        call_python(a);
    }
    void *handle = load(a, middle);
    dlclose(handle);  // it is the slot's; code in copies does so all the same
    dlclose(handle);
    must(count_maps(".0") > 0);
    ok(subi_slot_close(a, true) && count_maps(cache) == 0, "whoever closed what, all is unloaded");

    a = open_slot();
    handle = load(a, middle);
    dlclose(handle);
    must(count_maps("slot_middle") == 0);
    must(subi_cache_clear() == SUBI_OK);
    ok(call(load(a, middle), "middle_unique") == 1, "what others have unloaded is loaded again");
    ok(subi_slot_close(a, true) && count_maps(cache) == 0, "and unloaded");
}

static void
test_no_load(void)
{
    subi_slot *s = open_slot();
    ok(subi_slot_load(s, middle, RTLD_NOW | RTLD_NOLOAD) == NULL && subi_slot_error() == NULL,
       "RTLD_NOLOAD: not loaded");
    void *program = dlopen(middle, RTLD_LAZY);
    ok(subi_slot_load(s, middle, RTLD_NOW | RTLD_NOLOAD) == NULL, "in this slot");
    void *handle = load(s, middle);
    ok(handle != program && subi_slot_load(s, middle, RTLD_NOW | RTLD_NOLOAD) == handle, "loaded");
    must(subi_slot_close(s, true));
    if (program != NULL) {
        dlclose(program);
    }
}

static void
test_retired(void)
{
    subi_slot *a = open_slot(), *b;
    void *handle = load(a, extension);
    ok(!subi_slot_close(a, false), "a slot that must stay is not closed");
    ok(call(handle, "extension_count_opened") == 2, "its code goes on");
    b = open_slot();
    ok(count_maps(".1") > 0, "its number is not used again");
    must(subi_slot_close(b, true));
    b = open_slot();
    void *held = load(b, middle);
    must(subi_slot_load(b, middle, RTLD_NOW | RTLD_NODELETE) == held);
    load(b, extension);
    int before = count_maps(cache);
    ok(!subi_slot_close(b, true), "nor one whose library refuses to go");
    ok(count_maps(cache) == before, "all that it may call stays");
    b = open_slot();
    load(b, extension);
    held = load(b, staying);
    before = count_maps(cache);
    ok(!subi_slot_close(b, true) && count_maps(cache) == before &&
           call(held, "elsewhere_count") == 2002,
       "the same if the file itself says so");
}

static void
test_many(void)
{
    subi_slot *s[MANY];
    int good = 0;
    for (int i = 0; i < MANY; i++) {
        s[i] = open_slot();
        load(s[i], extension);
    }
    for (int i = 0; i < MANY; i++) {
        good += call_python(s[i]) == 2;
    }
    ok(good == MANY, "%d slots at a time", MANY);
    int before = count_maps(cache);
    for (int i = 0; i < MANY; i++) {
        good -= subi_slot_close(s[i], true);
    }
    ok(good == 0 && count_maps(cache) < before / 8, "and all are closed");
}

// ---- several threads, processes ---------------------------------------------------------------

static subi_slot *common;

static void *
load_into_one(void *handle)
{
    for (int i = 0; i < 20; i++) {
        must(load(common, extension) == load(common, extension));
        must(call(load(common, extension), "extension_plain") > 0);
        must(subi_slot_load(common, "/not/there", RTLD_NOW) == NULL);
    }
    *(void **)handle = load(common, extension);
    return NULL;
}

static void *
load_into_own(void *unused)
{
    for (int i = 0; i < 5; i++) {
        subi_slot *s = open_slot();
        must(call(load(s, extension), "extension_early") == 1 && call_python(s) == 2);
        must(subi_slot_close(s, true));
    }
    return unused;
}

static void
test_threads(void)
{
    pthread_t t[2 * THREADS];
    void *handles[THREADS];
    int same = 0;
    must(subi_cache_clear() == SUBI_OK);
    common = open_slot();
    for (int i = 0; i < THREADS; i++) {
        t[2 * i] = tap_thread(load_into_one, &handles[i]);
        t[2 * i + 1] = tap_thread(load_into_own, NULL);
    }
    for (int i = 0; i < 2 * THREADS; i++) {
        tap_join(t[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        same += handles[i] == handles[0];
    }
    ok(same == THREADS, "threads that load into one slot get the same");
    ok(subi_slot_close(common, true), "as often as it was opened, it is closed");
}

// In the child, locks may be held by threads that it does not have.
static void *
be_busy(void *stop)
{
    while (!atomic_load((atomic_bool *)stop)) {
        must(subi_slot_load(common, middle, RTLD_NOW) != NULL);
    }
    return NULL;
}

static void
test_fork(void)
{
    atomic_bool stop = false;
    int status, good = 0, forks = 20;
    common = open_slot();
    load(common, middle);
    pthread_t t = tap_thread(be_busy, &stop);
    for (int i = 0; i < forks; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            alarm(10);
            _exit(call_python(common) == 1 && load(common, middle) != NULL ? 0 : 1);
        }
        must(waitpid(pid, &status, 0) == pid);
        good += status == 0;
    }
    ok(good >= forks - TAP_MAY_HANG(forks), "%d of %d children go on with their parent's slot",
       good, forks);
    atomic_store(&stop, true);
    tap_join(t);
    must(subi_slot_close(common, true));
}

int
main(int argc, char **argv)
{
    slot_test_start(argc, argv);
    elsewhere = find_library("SLOT_ELSEWHERE");
    pathless = find_library("SLOT_PATHLESS");
    staying = find_library("SLOT_STAYING");
    unique = find_library("SLOT_UNIQUE");
    unique_too = find_library("SLOT_UNIQUE_TOO");
    test_apart();
    test_run_paths();
    test_unique();
    test_memory();
    test_addresses();
    test_closing();
    test_no_load();
    test_threads();
    test_fork();
    test_many();
    test_retired();
    return slot_test_done();
}
