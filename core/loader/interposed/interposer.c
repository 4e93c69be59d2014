// SPDX-License-Identifier: MIT
//
// libsubinterp_interposer: every private copy needs this library first, so that these functions are
// called there in place of the system's. It is nobody else's. What they do is in the other files of this
// folder.
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "subinterp_runtime.h"

SUBI_EXPORT void *
dlopen(const char *path, int flags)
{
    return subi_slot_dlopen(path, flags, __builtin_return_address(0));
}

SUBI_EXPORT char *
dlerror(void)
{
    const char *text = subi_slot_error();
    return text != NULL ? (char *)(uintptr_t)text : subi_slot_system_error();
}

SUBI_EXPORT int
dladdr(const void *address, Dl_info *info)
{
    return subi_slot_dladdr(address, info);
}

SUBI_EXPORT int
pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    return subi_slot_key_create(key, destructor, __builtin_return_address(0));
}

SUBI_EXPORT int
pthread_key_delete(pthread_key_t key)
{
    return subi_slot_key_delete(key);
}

SUBI_EXPORT int
pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg)
{
    return subi_slot_thread_create(thread, attributes, run, arg, __builtin_return_address(0));
}

SUBI_EXPORT int
sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
    return subi_slot_sigaction(number, action, old, __builtin_return_address(0));
}

SUBI_EXPORT void (*signal(int number, void (*handler)(int)))(int)
{
    struct sigaction new = {.sa_handler = handler, .sa_flags = SA_RESTART}, old;
    sigemptyset(&new.sa_mask);
    if (sigaddset(&new.sa_mask, number) != 0 ||
        subi_slot_sigaction(number, &new, &old, __builtin_return_address(0)) != 0) {
        return SIG_ERR;
    }
    return old.sa_handler;
}

// For objects of threads, in C++ by way of libstdc++, and in Rust.
typedef int thread_atexit(void (*)(void *), void *, void *);

SUBI_EXPORT thread_atexit __cxa_thread_atexit, __cxa_thread_atexit_impl;

int
__cxa_thread_atexit(void (*destroy)(void *), void *object, void *address)
{
    return subi_slot_thread_atexit(destroy, object, address);
}

int
__cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *address)
{
    return subi_slot_thread_atexit(destroy, object, address);
}

// std::thread::_M_start_thread(std::unique_ptr<std::thread::_State>, void (*)()) of libstdc++, which
// calls pthread_create itself. A unique_ptr is passed by its address, and empty afterwards.
typedef void start_thread(pthread_t *, struct subi_std_thread_state **, void (*)(void));

#define START_THREAD                                                                               \
    "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE"

SUBI_EXPORT start_thread subi_start_thread __asm__(START_THREAD);

// libstdc++ itself throws what there is to throw.
void
subi_start_thread(pthread_t *thread, struct subi_std_thread_state **state, void (*depend)(void))
{
    if (subi_slot_std_thread_start(thread, *state)) {
        *state = NULL;
        return;
    }
    void *library = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_NOLOAD);
    void *symbol = library != NULL ? dlsym(library, START_THREAD) : NULL;
    start_thread *start;
    if (symbol == NULL) {
        abort();  // whoever calls this has been bound to it
    }
    memcpy(&start, &symbol, sizeof(start));
    start(thread, state, depend);
}
