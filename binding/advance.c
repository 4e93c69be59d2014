// SPDX-License-Identifier: MIT
#include "advance.h"

#include <stdlib.h>

#include "creation.h"
#include "lifecycle.h"
#include "renewal/birth.h"
#include "thread_state.h"
#include "tracing.h"

// One that cannot be renewed could not be reset either, if the process's environment had changed meanwhile.
static void
make_one(subi_make make)
{
    creation *c = calloc(1, sizeof(*c));
    native *n = NULL;
    uint64_t environment =
        subi_birth_sum_environment();  // its os.environ is made before it is noted
    if (c != NULL) {
        c->backend = subi_backend_of(SUBI_KIND_OWN);
        c->make = make;
        subi_workshop_enter(false);
        n = subi_creation_make(c);
        subi_workshop_leave(false);
    }
    free(c);
    if (n == NULL || (n->birth == NULL && make != SUBI_MAKE_TEMPLATE)) {
        subi_reserve_making_failed();
    }
    else {
        bool fits = n->birth == NULL || n->birth->environment == environment;
        subi_thread_state_drop_mine(n);
        if (fits && subi_reserve_put_made(n, n->make)) {
            return;
        }
    }
    if (n != NULL) {
        subi_lifecycle_end_spare_here(n);
    }
}

static void
make_all(void *unused)
{
    subi_make make;
    while (subi_reserve_next(&make)) {
        if (subi_tracing_forbids(SUBI_KIND_OWN)) {
            subi_reserve_end_making();
            break;
        }
        make_one(make);
    }
}

void
subi_advance(void)
{
    if (subi_backend_of(SUBI_KIND_OWN)->renewable && subi_reserve_begin_making() &&
        PyThread_start_new_thread(make_all, NULL) == PYTHREAD_INVALID_THREAD_ID) {
        subi_reserve_end_making();
    }
}
