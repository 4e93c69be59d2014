// SPDX-License-Identifier: MIT
//
// The part of libsubinterp that is for what makes and ends interpreters: their records, what they lend
// to each other, private copies of libpython and of extension modules, and the end of the process. It
// is not installed: it goes with one version of the binding.
#ifndef SUBINTERP_RUNTIME_H
#define SUBINTERP_RUNTIME_H

#include "subinterp.h"

#ifdef __cplusplus
extern "C" {
#endif

// ---- interpreters --------------------------------------------------------------------------

// The process-wide record of one interpreter. Ids count up from 0, the main interpreter, and are
// never used again. Reference counted.
typedef struct subi_interp subi_interp;

typedef enum subi_kind {
    SUBI_KIND_MAIN,     // the process's main interpreter, id 0
    SUBI_KIND_OWN,      // an interpreter of ours with a GIL of its own
    SUBI_KIND_SHARED,   // one that shares the main interpreter's GIL
    SUBI_KIND_PRIVATE,  // one in a Python runtime of its own, in a slot
    SUBI_KIND_FOREIGN,  // somebody else made it; it is known since it imported us
} subi_kind;

typedef enum subi_state {
    SUBI_STATE_IDLE,
    SUBI_STATE_RUNNING,
    SUBI_STATE_CLOSING,
    SUBI_STATE_CLOSED,
} subi_state;

// A new record in state RUNNING (it is being made), owned by interpreter `owner`. `name` is
// copied and may be NULL. *out gets one reference. SUBI_NOMEM, SUBI_CLOSED (subi_refuse_runs).
SUBI_EXPORT subi_result subi_interp_new(subi_kind kind, const char *name, int64_t owner,
                                        subi_interp **out);
SUBI_EXPORT void subi_interp_hold(subi_interp *i);
SUBI_EXPORT void subi_interp_drop(subi_interp *i);
SUBI_EXPORT subi_interp *subi_interp_main(void);  // a new reference; NULL: out of memory

// The interpreter with that id, as a new reference; NULL when there is none or it is closed.
SUBI_EXPORT subi_interp *subi_interp_lookup(int64_t id);

// The one whose native pointer that is, as a new reference, or NULL.
SUBI_EXPORT subi_interp *subi_interp_find(const void *native);

// The ids of all interpreters that are not closing or closed, ascending; the caller frees *ids.
SUBI_EXPORT subi_result subi_interp_list(int64_t **ids, size_t *count);

// Whether there is any of kind own or shared that has not ended, also one that is being made or closed, or that
// lingers.
SUBI_EXPORT bool subi_interp_any_in_main_runtime(void);

// As subi_channel_recv, but before the receivers that wait already.
SUBI_EXPORT subi_result subi_channel_recv_in_front(subi_channel *c, int64_t interp, subi_message *m,
                                                   int64_t deadline);

SUBI_EXPORT int64_t subi_interp_id(const subi_interp *i);
SUBI_EXPORT subi_kind subi_interp_kind(const subi_interp *i);
SUBI_EXPORT const char *subi_interp_name(const subi_interp *i);  // "" when it has none
SUBI_EXPORT int64_t subi_interp_owner(const subi_interp *i);
SUBI_EXPORT subi_state subi_interp_state(subi_interp *i);
SUBI_EXPORT bool subi_interp_stale(const subi_interp *i);  // made before a fork, in the parent

// The binding's pointer to its own interpreter and data. Set before the record is first idle, and
// to NULL before it is closed.
SUBI_EXPORT void subi_interp_set_native(subi_interp *i, const void *native, void *data);
SUBI_EXPORT const void *subi_interp_native(const subi_interp *i);
SUBI_EXPORT void *subi_interp_data(const subi_interp *i);

// idle -> running, for the calling thread alone; waits for another thread's run to end until the
// deadline. SUBI_BUSY (running, and SUBI_TRY, or its run will not end), SUBI_TIMEOUT,
// SUBI_INTERRUPTED, SUBI_CLOSED, SUBI_FORKED.
SUBI_EXPORT subi_result subi_interp_enter(subi_interp *i, int64_t deadline);

// running -> idle. Returns true when the interpreter has been orphaned meanwhile (see
// subi_interp_drop_user): the caller has to close it.
SUBI_EXPORT bool subi_interp_leave(subi_interp *i);

// idle -> closing; waits for a run to end until the deadline. From then on enter fails, lookup
// fails, and exactly one caller owns the closing, which it ends with subi_interp_end_close.
// SUBI_BUSY (SUBI_TRY and running), SUBI_TIMEOUT, SUBI_INTERRUPTED, SUBI_CLOSED (closing or
// closed already), SUBI_FORKED.
SUBI_EXPORT subi_result subi_interp_begin_close(subi_interp *i, int64_t deadline);

// closing -> closed, or back to idle when the interpreter could not be closed.
SUBI_EXPORT void subi_interp_end_close(subi_interp *i, bool closed);

// running -> closed, by the one who is making the interpreter and failed. The caller's reference is
// still its own.
SUBI_EXPORT void subi_interp_discard(subi_interp *i);

// Users are what keeps an interpreter from being closed by itself: the Python objects that stand
// for it. Each also needs a reference of its own. drop_user returns true when the last user went
// and the interpreter is idle: the caller has to close it. While it runs, subi_interp_leave says
// so instead.
SUBI_EXPORT void subi_interp_hold_user(subi_interp *i);
SUBI_EXPORT bool subi_interp_drop_user(subi_interp *i);

// While an interpreter is pinned no closing of it begins. False: it is closing or closed.
SUBI_EXPORT bool subi_interp_pin(subi_interp *i);
SUBI_EXPORT void subi_interp_unpin(subi_interp *i);

// ---- exports -------------------------------------------------------------------------------

// Something of one interpreter, its owner, that others may use without a copy: a buffer. Reference
// counted. The last drop, on any thread, releases it there and then if that thread is attached to the
// owner; else it returns it to the owner's record, where the owner finds it (subi_exports_drain), or
// the reaper does: a thread of the core's that soon visits the owner.
typedef struct subi_export subi_export;

// Functions for exports of one interpreter, which are there as long as it has any. `data` is what
// subi_export_data returns.
typedef struct subi_export_calls {
    // Whether the calling thread is attached to the owner right now.
    bool (*is_attached)(void *data);
    // By a thread that is attached to the owner: gives up what data stands for. The core frees data.
    void (*release)(void *data);
    // By the reaper: attaches itself to the owner, calls subi_exports_release(returned), and detaches
    // itself again. False: out of memory, and nothing was done.
    bool (*visit)(void *data, subi_export *returned);
} subi_export_calls;

// By a thread that is attached to the owner. *out gets one reference, and data of `size` bytes, all
// zero. SUBI_NOMEM, SUBI_CLOSED (subi_exports_end), SUBI_FORKED.
SUBI_EXPORT subi_result subi_export_new(subi_interp *owner, const subi_export_calls *calls,
                                        size_t size, subi_export **out);
SUBI_EXPORT void *subi_export_data(subi_export *e);
SUBI_EXPORT void subi_export_hold(subi_export *e);
SUBI_EXPORT void subi_export_drop(subi_export *e);

// A segment of that memory for a message; it holds a reference.
SUBI_EXPORT subi_segment subi_export_segment(subi_export *e, void *data, size_t size);

// By a thread that is attached to i: releases what was returned to it. One load if that is nothing.
SUBI_EXPORT void subi_exports_drain(subi_interp *i);

// The same for what the reaper gave to `visit`.
SUBI_EXPORT void subi_exports_release(subi_export *list);

// How many exports of i have not been released.
SUBI_EXPORT size_t subi_exports_count(subi_interp *i);

// Before i's native interpreter ends, or the process: no more exports can be made, and those that are
// left over are never released.
SUBI_EXPORT void subi_exports_end(subi_interp *i);

// In the place of subi_interp_end_close, for one that has exports: closing -> closed, but its native
// interpreter goes on until they have been released. The reaper calls `ending(i, data)` when some
// were returned, on a thread that is attached to nothing: it attaches itself, drains, and if nothing
// is left, ends the interpreter. False: something is left. Takes over one reference to i; the caller
// has another.
SUBI_EXPORT void subi_interp_linger(subi_interp *i, bool (*ending)(subi_interp *, void *data),
                                    void *data);

// For the process's exit: makes the reaper end, for good, and waits for that. SUBI_TIMEOUT: it is in
// an interpreter that does not react.
SUBI_EXPORT subi_result subi_reaper_stop(int64_t deadline);

// For the process's exit, after the reaper has stopped: calls `ending` of all that linger, and
// `abandon` for those that cannot be ended, whose exports then stay for good.
SUBI_EXPORT void subi_lingering_end(void (*abandon)(subi_interp *i, void *data));

// ---- processor time ------------------------------------------------------------------------

// A run in i begins and ends, on the calling thread. One at a time.
SUBI_EXPORT void subi_usage_begin(subi_interp *i);
SUBI_EXPORT void subi_usage_end(subi_interp *i);

// The processor time that the runs in i have used, with the one in progress, in nanoseconds; parts of
// less than 50 microseconds count as they took. By any thread.
SUBI_EXPORT int64_t subi_usage(subi_interp *i);

// ---- the reserve ---------------------------------------------------------------------------

// Interpreters that are ready to be used: some were closed, some were made in advance. The binding's data of
// each. At most `limit` of them; at first that is two for each processor, at least four.
#define SUBI_RESERVE_MAX ((size_t)256)  // the highest limit

// What an interpreter is made for: to have all that new ones have, or what does without Python's site, for which
// a full one will do, too; or others are made from it.
typedef enum subi_make { SUBI_MAKE_FULL, SUBI_MAKE_PLAIN, SUBI_MAKE_TEMPLATE } subi_make;

#define SUBI_MAKES 3

SUBI_EXPORT size_t subi_reserve_limit(void);
SUBI_EXPORT size_t subi_reserve_count(void);  // without templates

// Forgets, too, how many were wanted in advance.
SUBI_EXPORT void subi_reserve_set_limit(size_t limit);

// From now on somebody will empty it before the process ends; until then none is wanted.
SUBI_EXPORT void subi_reserve_open(void);

// Whether it is worth trying to make one ready: there is room, and earlier attempts succeeded.
SUBI_EXPORT bool subi_reserve_wants_one(void);
SUBI_EXPORT void subi_reserve_attempt_failed(void);

// False: there is no room, and `spare` still belongs to the caller.
SUBI_EXPORT bool subi_reserve_put(void *spare, subi_make make);

// The same for one that was made in advance, and for a template that was taken to be used.
SUBI_EXPORT bool subi_reserve_put_made(void *spare, subi_make make);
SUBI_EXPORT bool subi_reserve_give_back(void *spare);

// The one put last that will do, or NULL. Counts as a closing in progress (see subi_running) until the caller
// says that it has ended it, or given it to an interpreter that is being made.
SUBI_EXPORT void *subi_reserve_take(subi_make make);
SUBI_EXPORT void subi_reserve_done(void);

// The same, of all, or only while there are more than the limit.
SUBI_EXPORT void *subi_reserve_take_excess(bool all);

// Making them in advance: so many as the caller wants, or one for each few times that there was none; never
// more than the limit. One thread at a time makes them. After subi_reserve_begin_making the caller, or a
// thread that it starts, makes what subi_reserve_next asks for, until that is false, or it ends the making.
SUBI_EXPORT void subi_reserve_want(subi_make make, size_t number);
SUBI_EXPORT bool subi_reserve_begin_making(void);  // false: none is wanted, or somebody is at it
SUBI_EXPORT bool subi_reserve_next(subi_make *make);
SUBI_EXPORT void subi_reserve_making_failed(void);  // after a few in a row none is asked for
SUBI_EXPORT void subi_reserve_end_making(void);

// From now on none is made in advance, until as many calls of subi_reserve_resume; waits for the one that is
// being made. SUBI_TIMEOUT: it still is.
SUBI_EXPORT subi_result subi_reserve_pause(int64_t deadline);
SUBI_EXPORT void subi_reserve_resume(void);

// ---- private copies of shared objects ------------------------------------------------------

// A slot is one set of copies: one libpython, and whatever calls Python or counts on its GIL, each
// loaded from a file of its own that is bound to the others. So the process can have many Python
// runtimes. Other libraries are not copied: the process has one of each.
//
// On failure these return NULL or an error, and subi_slot_error says why.
typedef struct subi_slot subi_slot;

#define SUBI_SLOTS_MAX 1024U  // at a time

// A slot with a copy of the libpython at that path. SUBI_NOT_FOUND (it cannot be copied or loaded),
// SUBI_FULL, SUBI_NOMEM.
SUBI_EXPORT subi_result subi_slot_open(const char *libpython, subi_slot **out);

// The libpython that slots are to be opened with, once somebody has found it; NULL before that.
// SUBI_NOMEM.
SUBI_EXPORT subi_result subi_libpython_set(const char *path);
SUBI_EXPORT const char *subi_libpython(void);

// As dlopen, for the slot: loads a copy of what each slot has to have for itself, and anything else
// itself. The handle stays the slot's.
SUBI_EXPORT void *subi_slot_load(subi_slot *s, const char *path, int flags);

// A symbol of the slot's libpython; NULL: it has none of that name.
SUBI_EXPORT void *subi_slot_python_symbol(subi_slot *s, const char *name);

// Nothing runs in the copies any more, but perhaps threads that are just ending. With `unload` the
// copies are unloaded, and the slot's number is free again. False: they stay loaded for ever, since
// that was not wanted; or a thread that code in them has started has not ended within 100 ms, or is
// the caller, or may be there unseen; or a handler of signals that lies in them may be called later; or
// the dynamic linker did not do it. Blocks.
SUBI_EXPORT bool subi_slot_close(subi_slot *s, bool unload);

// What dlopen does in code of a copy, which `caller` is an address of.
SUBI_EXPORT void *subi_slot_dlopen(const char *path, int flags, const void *caller);

// What dladdr does there: the file of a copy is the one that it was made from. `info` is a Dl_info.
SUBI_EXPORT int subi_slot_dladdr(const void *address, void *info);

// What pthread_key_create and pthread_key_delete do there. A thread may outlive the code of a
// destructor, so only threads that the slot counts call it; and the slot's end deletes the keys that
// are left.
SUBI_EXPORT int subi_slot_key_create(pthread_key_t *key, void (*destructor)(void *),
                                     const void *caller);
SUBI_EXPORT int subi_slot_key_delete(pthread_key_t key);

// What pthread_create does there: the slot counts the threads that have not ended.
SUBI_EXPORT int subi_slot_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                                        void *(*run)(void *), void *arg, const void *caller);

// What __cxa_thread_atexit does there: destroys an object of this thread when it ends, unless the slot
// that has the address is closed before.
SUBI_EXPORT int subi_slot_thread_atexit(void (*function)(void *), void *object, void *address);

// What sigaction does there: a handler in a copy goes with it. When the slot is closed, what was there
// before is put back; if somebody else may put the handler back, the slot stays.
struct sigaction;
SUBI_EXPORT int subi_slot_sigaction(int number, const struct sigaction *action,
                                    struct sigaction *old, const void *caller);

// What std::thread does there to start one that runs and deletes state. False: it is not done; the
// state is of no slot, or the system refused.
struct subi_std_thread_state;
SUBI_EXPORT bool subi_slot_std_thread_start(pthread_t *thread, struct subi_std_thread_state *state);

// What the last call on this thread failed for; NULL: for something that the dynamic linker knows
// (the other one). Each tells it once.
SUBI_EXPORT const char *subi_slot_error(void);
SUBI_EXPORT char *subi_slot_system_error(void);

// The files with the copies are in a folder that all processes of the user share:
// $SUBINTERPRETERS_CACHE, or `subinterpreters` in the user's cache folder, or one for temporary
// files. NULL: none of them will do.
SUBI_EXPORT const char *subi_cache_folder(void);

// The oldest files are removed when there are more bytes than that ($SUBINTERPRETERS_CACHE_SIZE: a
// number, perhaps with K, M, G or T; with anything else no slot is opened), if they are older than a
// minute.
SUBI_EXPORT uint64_t subi_cache_limit(void);

// What is in it: bytes on disk, and files. SUBI_NOT_FOUND: there is no folder. SUBI_NOMEM: it is more.
SUBI_EXPORT subi_result subi_cache_size(uint64_t *size, size_t *count);

// Removes all files, but those that have been begun within a minute and may be being written. Those that
// are loaded somewhere stay loaded. SUBI_NOT_FOUND; SUBI_NOMEM: some are left.
SUBI_EXPORT subi_result subi_cache_clear(void);

// ---- signals -------------------------------------------------------------------------------

// What tells whether signals have come that the calling thread is to handle, and has not yet; to be called at any
// time, without any lock.
SUBI_EXPORT void subi_signals_set(bool (*are_pending)(void));

// Whether waits of the calling thread end with SUBI_INTERRUPTED for signals that came before it slept, too, not just
// for those that end the sleep itself. It has to handle them, or the next wait ends at once as well. Returns what
// was so before; at first they do not.
SUBI_EXPORT bool subi_signals_heed(bool heed);

// ---- the foreground ------------------------------------------------------------------------

// The runs on the thread that the process began with. It is there that Python handles signals, but not
// before the run ends; so SIGINT, which Ctrl-C sends, has to interrupt the run.
typedef struct subi_foreground {
    struct subi_foreground *outer;
    subi_interp *interp;
    uint64_t run;
    uint32_t signals;  // how many SIGINTs there had been before
} subi_foreground;

// By that thread, before and after a run, to which the caller has given a number. When SIGINT has been
// handled meanwhile by whoever handles it, a thread of the core's calls `interrupt` for all such runs, the
// innermost first, with the number of SIGINTs that there were; the run may have ended by then. A SIGINT that
// came before the outermost run is not its business: look for it after this. With `interrupt` NULL, as for a
// run inside another, what was said last is called. False: nobody handles SIGINT, or there is no memory, and
// there is nothing to leave.
SUBI_EXPORT bool subi_foreground_enter(subi_foreground *f, subi_interp *i, uint64_t run,
                                       void (*interrupt)(subi_interp *i, uint64_t run,
                                                         uint32_t signals));
SUBI_EXPORT void subi_foreground_leave(subi_foreground *f);

// Whether a run of it is in progress.
SUBI_EXPORT bool subi_foreground_is_busy(void);

// How many SIGINTs there were.
SUBI_EXPORT uint32_t subi_foreground_signals(void);

// ---- the process ---------------------------------------------------------------------------

// Counts the forks between the first process and this one; objects of another generation answer
// SUBI_FORKED.
SUBI_EXPORT uint32_t subi_generation(void);

// How many runs (see subi_interp_enter), makings and closings of interpreters are in progress, and
// how many threads are waiting on channels and locks.
SUBI_EXPORT uint32_t subi_running(void);
SUBI_EXPORT uint32_t subi_waiting(void);

// Waits until subi_running() is 0. SUBI_TIMEOUT, SUBI_INTERRUPTED.
SUBI_EXPORT subi_result subi_quiesce(int64_t deadline);

// A gate for work that keeps a processor busy, the making of interpreters: it lets as many threads
// in as there are processors, or one alone, in the order in which they came. The first run of an
// interpreter, until it waits on a channel, and its closing count too, for 20 ms at most: many
// interpreters made at once are then made and run a few at a time, which is faster and takes less
// memory. A thread that is inside may enter again. Blocks; not to be entered with a GIL held.
SUBI_EXPORT void subi_workshop_enter(bool alone);
SUBI_EXPORT void subi_workshop_leave(bool alone);

// Before the maker of an interpreter leaves: keeps a place until the interpreter's first run begins,
// for 5 ms at most.
SUBI_EXPORT void subi_interp_stay(subi_interp *i);

// What the binding in the main runtime does for those in private ones: a table of functions, which
// the core only keeps.
SUBI_EXPORT void subi_host_set(const void *table);
SUBI_EXPORT const void *subi_host(void);

// The environment of the process. Where the program has a variable `environ` of its own, copies see
// another one, which nobody sets.
SUBI_EXPORT char **subi_environment(void);

// For the process's exit: from now on no run begins and no interpreter is made (SUBI_CLOSED).
SUBI_EXPORT void subi_refuse_runs(void);

// For the process's exit: closes every channel, so that every waiting thread comes back with
// SUBI_CLOSED, also those that wait on locks. Later sends and receives fail the same way; and what
// would have to wait on a lock, but not what would not.
SUBI_EXPORT void subi_shutdown(void);
SUBI_EXPORT bool subi_is_shut_down(void);

#ifdef __cplusplus
}
#endif
#endif
