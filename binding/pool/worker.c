// SPDX-License-Identifier: MIT
#include "worker.h"

#include <stdlib.h>

#include "blocking.h"
#include "codec/codec.h"
#include "import_error.h"
#include "interrupted_imports.h"
#include "job.h"
#include "run.h"
#include "runtime.h"

// A job's worker lets other tasks have their turn when this time is over.
#define TURN INT64_C(20000000)  // ns

// Items that take less are taken more than one at a time.
#define SHORT      INT64_C(20000)  // ns
#define SHORT_ONES 16

// So long a result is left for who has submitted its task to fetch, if that is what they do.
#define FETCH_TIME INT64_C(50000)  // ns

typedef struct worker {
    subi_interp *interp;
    native *n;
    module_state *state;
    pool *pool;
    void *owner;         // see worker_order
    uint64_t left;       // calls it may perform
    bool gives_up;       // see worker_order
    bool spoilt;         // see WORKER_SPOILT
    bool has_performed;  // a call that has a future
    known_callees callees;
} worker;

// ---- one call ---------------------------------------------------------------------------------

typedef struct one_call {
    worker *w;
    callee *callee;
    const subi_message *arguments;
    bool is_named;
    bool succeeded;
    bool refused;  // for want of a module: it is to be done elsewhere
    subi_message result;
    subi_failure failure;
} one_call;

// A new reference, or NULL with an exception.
static PyObject *
call(const one_call *c)
{
    PyObject *callable = subi_callee_decode(c->w->state, &c->w->callees, c->callee);
    PyObject *decoded = callable != NULL ? subi_decode(c->w->state, c->arguments) : NULL;
    PyObject *result = NULL;
    if (decoded != NULL && c->is_named) {
        result =
            subi_run_call(callable, PyTuple_GET_ITEM(decoded, 0), PyTuple_GET_ITEM(decoded, 1));
    }
    else if (decoded != NULL) {
        result = subi_run_call(callable, decoded, NULL);
    }
    Py_XDECREF(callable);
    Py_XDECREF(decoded);
    return result;
}

static void
perform_call(void *arg)
{
    one_call *c = arg;
    if (c->w->gives_up) {
        subi_import_refusal_forget(c->w->state);
    }
    PyObject *result = call(c);
    c->result = subi_message_none();
    c->succeeded =
        result != NULL && subi_encode_keeping_arrays(c->w->state, result, &c->result) == 0;
    if (!c->succeeded) {
        c->refused = c->w->gives_up && PyErr_ExceptionMatches(PyExc_Exception) &&
                     subi_import_was_refused(c->w->state);  // not one that is interrupted
        c->failure = (subi_failure){.text = subi_message_none()};
        subi_run_capture(c->w->n, &c->failure, FAILURE_WITH_EXCEPTION);
    }
    Py_XDECREF(result);
}

static void
perform(worker *w, one_call *c)
{
    subi_run_task(w->interp, perform_call, c);
    if (w->n->interrupted) {
        w->spoilt = w->spoilt || subi_interrupted_imports_left_parts();
    }
    if (c->refused) {
        return;
    }
    atomic_fetch_add_explicit(&w->pool->performed, 1, memory_order_relaxed);
    if (!c->succeeded) {
        atomic_fetch_add_explicit(&w->pool->failed, 1, memory_order_relaxed);
    }
    if (w->left > 0) {
        w->left--;
    }
}

// ---- a task with a future ---------------------------------------------------------------------

// Its outcome goes back; when nobody waits for it any more, it goes away.
static void
hand_back(worker *w, task *t)
{
    if (subi_pool_send_surely(w->pool->done, t) != SUBI_OK) {
        subi_task_drop(t);
    }
}

static task_place
place_here(const worker *w)
{
    subi_interp_hold(w->interp);
    return (task_place){.interp = w->interp,
                        .run = subi_run_next(w->n),
                        .thread = PyThread_get_thread_ident(),
                        .started = subi_now()};
}

// True: it has been given up meanwhile.
static bool
perform_running(worker *w, task *t, task **again)
{
    one_call c = {.w = w, .callee = t->callee, .arguments = &t->arguments, .is_named = t->is_named};
    perform(w, &c);
    if (c.refused && atomic_load(&t->state) == TASK_RUNNING) {
        t->failure = c.failure;
        *again = t;
        return false;
    }
    t->succeeded = c.succeeded;
    t->result = c.result;
    if (!c.succeeded) {
        t->failure = c.failure;
    }
    subi_message_fini(&t->arguments);  // what they lend is its owner's again
    t->arguments = subi_message_none();
    bool given_up = !subi_task_change(t, TASK_RUNNING, TASK_PERFORMED);
    if (!given_up) {
        atomic_fetch_sub(&w->pool->load, 1);
    }
    hand_back(w, t);
    return given_up;
}

static bool
perform_task(worker *w, task *t, task **again)
{
    t->places[0] = place_here(w);
    if (!subi_task_change(t, TASK_WAITING, TASK_RUNNING)) {
        subi_task_drop(t);  // whoever cancelled it has told its future
        return false;
    }
    return perform_running(w, t, again);
}

// It has been running all the time, for all that others see.
static bool
perform_again(worker *w, task *t)
{
    task *unused = NULL;
    subi_failure_fini(&t->failure);
    t->failure = (subi_failure){.text = subi_message_none(), .exception = subi_message_none()};
    t->places[1] = place_here(w);
    atomic_store(&t->is_again, true);
    return perform_running(w, t, &unused);
}

// ---- a part of a job --------------------------------------------------------------------------

static void
store(item *it, one_call *c)
{
    subi_message_fini(&it->message);
    it->message = c->result;
    if (!c->succeeded && (it->failure = malloc(sizeof(c->failure))) != NULL) {
        *it->failure = c->failure;
    }
    else if (!c->succeeded) {
        subi_failure_fini(&c->failure);  // without one it is a MemoryError
    }
}

// False: this worker cannot do all of them, and has returned some.
static bool
perform_items(worker *w, job *j, size_t first, size_t n)
{
    size_t k = first, end = first + n;
    bool refused = false;
    for (; k < end && !w->n->exiting && !w->spoilt; k++) {
        item *it = subi_job_item(j, k);
        if (it->message.tag == SUBI_TAG_NONE) {
            subi_job_finish(j, k, ITEM_FAILED);  // it could not be sent
            continue;
        }
        one_call c = {.w = w, .callee = j->callee, .arguments = &it->message};
        perform(w, &c);
        if (c.refused) {
            subi_failure_fini(&c.failure);
            refused = true;
            break;
        }
        store(it, &c);
        subi_job_finish(j, k, c.succeeded ? ITEM_SUCCEEDED : ITEM_FAILED);
    }
    for (; k < end && !w->n->exiting; k++) {
        subi_job_return(j, k);
    }
    return !refused;
}

static size_t
most_at_a_time(const worker *w, const job *j, int64_t last)
{
    size_t most = j->chunk > 0 ? j->chunk : last < SHORT ? SHORT_ONES : 1;
    return w->left > 0 && w->left < most ? (size_t)w->left : most;
}

// True: it is over, or will not go on here; false: others are to have their turn, and if *refused, without this
// worker.
static bool
work_on(worker *w, job *j, uint64_t most, bool *refused)
{
    int64_t begin = subi_now(), now = begin, last = SHORT;
    for (;;) {
        if (atomic_load(&w->pool->refusals) != j->refusals) {
            subi_job_cancel(j, true);
        }
        size_t first, n = subi_job_take(j, most_at_a_time(w, j, last), &first);
        if (n == 0) {
            if (subi_job_leave(j)) {
                return true;
            }
            continue;
        }
        int64_t before = now;
        *refused = !perform_items(w, j, first, n);
        if (w->n->exiting) {
            subi_job_cancel(j, true);
            return true;
        }
        if (*refused) {
            return false;
        }
        now = subi_now();
        last = (now - before) / (int64_t)n;
        if (w->spoilt || (most > 0 && w->left == 0) ||
            (now - begin > TURN && subi_channel_count(w->pool->tasks) > 0)) {
            return false;
        }
    }
}

// A task that is not over goes to the end of the queue; when that takes no more, on with it. True: this worker
// cannot do it.
static bool
perform_job(worker *w, task *t, uint64_t most)
{
    bool refused = false;
    while (!work_on(w, t->job, most, &refused)) {
        subi_message m = subi_task_message(t);
        bool leaves = refused || w->spoilt || (most > 0 && w->left == 0);
        if (subi_pool_send(w->pool->tasks, t) == SUBI_OK ||
            (leaves && subi_channel_put_back(w->pool->tasks, &m) == SUBI_OK)) {
            return refused;
        }
        if (leaves) {
            subi_job_cancel(t->job, true);  // the process is ending
            break;
        }
    }
    atomic_fetch_sub(&w->pool->load, 1);
    subi_task_drop(t);
    return refused;
}

// ---- all --------------------------------------------------------------------------------------

// Whether the thread that completes futures may have to be started: somebody does it after the first call.
static bool
starts_completer(const worker *w)
{
    return w->has_performed && !atomic_load(&w->pool->announced);
}

// Whether it has something to do.
static bool
needs_completer(const worker *w)
{
    return starts_completer(w) || subi_channel_count(w->pool->done) > 0;
}

// Detached, as is what follows.
static void
call_completer(const worker *w)
{
    if (starts_completer(w) && !atomic_exchange(&w->pool->announced, true)) {
        w->n->outer_runtime->announce(w->n, w->owner);
    }
    subi_pool_call(w->pool);
}

// The one that has waited for the shortest time gets the next task: it may even spin.
static subi_result
receive(const worker *w, subi_message *m, int64_t deadline)
{
    return subi_channel_recv_in_front(w->pool->tasks, SUBI_NOBODY, m, deadline);
}

// Who has submitted a task may be about to wait for its result: the thread that completes futures would be
// woken in vain, would take this worker's processor, and then contend for a GIL.
static subi_result
receive_and_see_to_results(const worker *w, subi_message *m)
{
    if (!needs_completer(w)) {
        return receive(w, m, SUBI_FOREVER);
    }
    bool waits = atomic_load(&w->pool->is_fetched);
    subi_result r = receive(w, m, waits ? subi_now() + FETCH_TIME : SUBI_TRY);
    // who submits may keep the GIL that it takes to start it: others can perform the task meanwhile
    if (r == SUBI_OK && starts_completer(w) &&
        subi_channel_put_back(w->pool->tasks, m) == SUBI_OK) {
        r = SUBI_EMPTY;
    }
    if (needs_completer(w)) {
        call_completer(w);
    }
    return r == SUBI_TIMEOUT || r == SUBI_EMPTY ? receive(w, m, SUBI_FOREVER) : r;
}

// Nobody interrupts the wait for a task: what comes then is late for the one before. SystemExit is for the worker.
static bool
goes_on(module_state *state)
{
    bool ends = PyErr_Occurred() || subi_check_signals(state) < 0
                    ? PyErr_ExceptionMatches(PyExc_SystemExit)
                    : false;
    if (!ends) {
        PyErr_Clear();
    }
    return !ends;
}

// SUBI_INTERRUPTED, SUBI_NOMEM: with an exception.
static subi_result
next_task(worker *w, task **t)
{
    subi_message m;
    subi_result r;
    subi_known_callees_trim(&w->callees, false);
    do {
        r = needs_completer(w) ? SUBI_EMPTY
                               : subi_channel_recv(w->pool->tasks, SUBI_NOBODY, &m, SUBI_TRY);
        if (r == SUBI_EMPTY) {
            PyThreadState *here = subi_wait_begin(w->state);
            r = receive_and_see_to_results(w, &m);
            subi_wait_end(here);
        }
        r = subi_blocking_result(r);
    } while (r == SUBI_INTERRUPTED && goes_on(w->state));
    if (r == SUBI_OK) {
        *t = subi_task_of(&m);
    }
    else if (r == SUBI_NOMEM) {
        PyErr_NoMemory();
    }
    return r;
}

static int
serve(worker *w, worker_order *order)
{
    for (;;) {
        task *t = order->again;
        bool is_again = t != NULL, given_up = false, refused = false;
        order->again = NULL;
        subi_result r = is_again ? SUBI_OK : next_task(w, &t);
        if (r != SUBI_OK) {
            order->end = WORKER_CLOSED;
            return PyErr_Occurred() ? -1 : 0;
        }
        bool is_job = t->job != NULL;  // it may be gone soon
        atomic_fetch_add(&w->pool->busy, 1);
        if (is_job) {
            refused = perform_job(w, t, order->most);
        }
        else if (is_again) {
            given_up = perform_again(w, t);
        }
        else {
            given_up = perform_task(w, t, &order->again);
        }
        atomic_fetch_sub(&w->pool->busy, 1);
        if (w->n->exiting) {
            PyErr_SetNone(PyExc_SystemExit);
            return -1;
        }
        w->has_performed = w->has_performed || (!is_job && order->again == NULL);
        if (refused || order->again != NULL) {
            order->end = WORKER_REFUSED;
            return 0;
        }
        if (given_up || w->spoilt || (order->most > 0 && w->left == 0)) {
            order->end = given_up ? WORKER_GIVEN_UP : w->spoilt ? WORKER_SPOILT : WORKER_USED_UP;
            return 0;
        }
    }
}

int
subi_worker_serve(native *n, worker_order *order)
{
    module_state *state = subi_state_here();
    if (state == NULL) {
        return -1;
    }
    worker w = {
        .interp = state->self,
        .n = n,
        .state = state,
        .pool = order->pool,
        .owner = order->owner,
        .left = order->most,
        .gives_up = order->gives_up,
    };
    int result = serve(&w, order);
    if (!n->exiting) {
        PyThreadState *here = PyEval_SaveThread();
        call_completer(&w);
        PyEval_RestoreThread(here);
    }
    subi_known_callees_trim(&w.callees, true);
    return result;
}
