// SPDX-License-Identifier: MIT
//
// A library that calls Python, needs one that does so, too, and opens libraries, for test_slot.c.
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int Py_Count(void);
int middle_count(void);
int plain_count(void);

int extension_count(void);
int extension_middle(void);
int extension_plain(void);
int extension_early(void);
int extension_count_opened(void);
void *extension_open(const char *path, int flags);
char *extension_error(void);
void *extension_allocate(void *old);
int extension_install(int number, struct sigaction *old);
int extension_restore(int number, const struct sigaction *old);
int extension_signal(int number);
int extension_handled(void);
const char *extension_path(const void *address);

static int
count_opened(void)
{
    void *handle = dlopen(NULL, RTLD_NOW);
    void *symbol = handle != NULL ? dlsym(handle, "Py_Count") : NULL;
    int (*count)(void);
    memcpy(&count, &symbol, sizeof(count));
    return symbol != NULL ? count() : -1;
}

static int early;

__attribute__((constructor)) static void
open_early(void)
{
    early = count_opened();
}

int
extension_early(void)
{
    return early;
}

int
extension_count_opened(void)
{
    return count_opened();
}

int
extension_count(void)
{
    return Py_Count();
}

int
extension_middle(void)
{
    return middle_count();
}

int
extension_plain(void)
{
    return plain_count();
}

void *
extension_open(const char *path, int flags)
{
    void *volatile handle = dlopen(path, flags);  // no tail call: the caller is to be here
    return handle;
}

char *
extension_error(void)
{
    return dlerror();
}

// Frees the old block.
void *
extension_allocate(void *old)
{
    free(old);
    return malloc(100);
}

static volatile sig_atomic_t handled;

static void
handle(int number)
{
    handled += number > 0;
}

int
extension_install(int number, struct sigaction *old)
{
    struct sigaction new = {.sa_handler = handle};
    return sigaction(number, &new, old);
}

int
extension_restore(int number, const struct sigaction *old)
{
    return sigaction(number, old, NULL);
}

int
extension_signal(int number)
{
    return signal(number, handle) == SIG_ERR;
}

int
extension_handled(void)
{
    return (int)handled;
}

// Its own for NULL.
const char *
extension_path(const void *address)
{
    Dl_info info;
    return dladdr(address != NULL ? address : &early, &info) != 0 ? info.dli_fname : NULL;
}
