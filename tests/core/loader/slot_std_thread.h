// SPDX-License-Identifier: MIT
//
// What std::thread hands to libstdc++, for libraries in C that do the same.
#ifndef SLOT_STD_THREAD_H
#define SLOT_STD_THREAD_H

#include <pthread.h>

typedef struct std_state std_state;

typedef struct std_functions {
    void (*destroy)(std_state *);
    void (*delete)(std_state *);
    void (*run)(std_state *);
} std_functions;

struct std_state {
    const std_functions *functions;
};

void start_std_thread(pthread_t *thread, std_state **s, void (*depend)(void)) __asm__(
    "_ZNSt6thread15_M_start_threadESt10unique_ptrINS_6_StateESt14default_deleteIS1_EEPFvvE")
    __attribute__((weak));

#endif
