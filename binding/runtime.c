// SPDX-License-Identifier: MIT
#include "runtime.h"

#include "blocking.h"
#include "creation.h"
#include "interrupt.h"
#include "lifecycle.h"
#include "linger.h"
#include "pool/pool_type.h"
#include "private/start.h"
#include "spares.h"
#include "thread_state.h"

const runtime subi_runtime = {
    .create = subi_create_here,
    .end_if_possible = subi_linger_end_if_possible,
    .advance = subi_advance,
    .module_file = subi_module_file,
    .start = subi_private_start,
    .set_up = subi_set_up_here,
    .drop_mine = subi_thread_state_drop_mine,
    .perform = subi_run_here,
    .end = subi_lifecycle_end_here,
    .end_lingering = subi_linger_end_here,
    .end_spare = subi_lifecycle_end_spare_here,
    .interrupt = subi_interrupt_here,
    .count_threads = subi_count_threads_here,
    .handle_signals = subi_handle_signals_here,
    .announce = subi_pool_announce_here,
    .write_output = subi_output_write_here,
};
