# SPDX-License-Identifier: MIT
"""Locks and their kin: as those of threading, but for all interpreters; and owners that end."""

import copy
import math
import pickle
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support import KINDS, WAIT, Echo, Node, run_script, start

import subinterpreters as si
from subinterpreters import (
    Barrier,
    BoundedSemaphore,
    BrokenBarrierError,
    Condition,
    Event,
    Lock,
    LockOwnerDiedError,
    RLock,
    Semaphore,
    create,
    create_channel,
)

ALL: list[Callable[[], Any]] = [
    Lock,
    RLock,
    Semaphore,
    BoundedSemaphore,
    Event,
    Condition,
    lambda: Barrier(2),
]
NAMES = ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Event", "Condition", "Barrier"]
each_type = pytest.mark.parametrize("new", ALL, ids=NAMES)
each_lock = pytest.mark.parametrize("new", [Lock, RLock])
each_kind = pytest.mark.parametrize("kind", KINDS)

SOON = 0.02  # seconds


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread does."""
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.0005)


@contextmanager
def other_thread_has(lock: Any) -> Iterator[threading.Thread]:
    """Hold the lock on another thread, which releases it at the end."""
    has, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            has.set()
            release.wait(WAIT)

    thread = threading.Thread(target=hold)
    thread.start()
    assert has.wait(WAIT)
    try:
        yield thread
    finally:
        release.set()
        thread.join()


def die_with(lock: Any) -> None:
    """Acquire the lock on a thread that ends, and wait until that is noticed."""
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    with pytest.raises(LockOwnerDiedError):
        lock.acquire(timeout=WAIT)


# ---- all of them ---------------------------------------------------------------------------


@each_type
def test_identity(new: Callable[[], Any]) -> None:
    one, other = new(), new()
    recv, send = create_channel()
    send.send([one, {"one": (one,)}])
    again, nested = recv.recv()
    assert again is nested["one"][0] and again is not one
    assert again == one and hash(again) == hash(one) and again.id == one.id
    assert one != other and one != one.id and other.id > one.id
    assert type(again) is type(one)
    with pytest.raises(TypeError):
        one < other  # noqa: B015
    assert weakref.ref(one)() is one


@each_type
def test_not_pickled_elsewhere(new: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="cannot pickle"):
        pickle.dumps(new())
    with pytest.raises(TypeError, match="cannot pickle"):
        copy.deepcopy(new())


@pytest.mark.parametrize("kind", [Lock, RLock, Semaphore, BoundedSemaphore, Event, Condition])
def test_no_subclasses(kind: type) -> None:
    with pytest.raises(TypeError):
        type("Sub", (kind,), {})


def test_repr() -> None:
    lock, rlock, ident = Lock(), RLock(), threading.get_ident()
    here = f"thread {ident} of interpreter {si.get_current().id}"
    assert repr(lock) == f"<Lock {lock.id} unlocked>"
    with lock, rlock, rlock:
        assert repr(lock) == f"<Lock {lock.id} locked by {here}>"
        assert repr(rlock) == f"<RLock {rlock.id} locked by {here}, 2 times>"
        condition = Condition(lock)
        assert repr(condition) == f"<Condition {condition.id} of Lock {lock.id} locked by {here}>"
    semaphore, event, barrier = BoundedSemaphore(3), Event(), Barrier(2)
    assert repr(semaphore) == f"<BoundedSemaphore {semaphore.id} value=3>"
    assert repr(event) == f"<Event {event.id} unset>"
    event.set()
    assert repr(event) == f"<Event {event.id} set>"
    assert repr(barrier) == f"<Barrier {barrier.id} waiters=0/2>"
    barrier.abort()
    assert repr(barrier) == f"<Barrier {barrier.id} broken>"
    die_with(lock)
    assert repr(lock) == f"<Lock {lock.id} whose owner has died>"


@each_type
def test_sent_inside_pickled_objects(new: Callable[[], Any]) -> None:
    echo, sent = Echo(), new()
    try:
        back = echo(Node(sent, {"deep": [sent]}))
        assert isinstance(back, Node)
        assert back.parts[0] == sent and back.parts[1]["deep"][0] is back.parts[0]
        assert echo({"plain": (sent,)})["plain"][0] == sent
    finally:
        echo.close()


def test_threading_is_imported_late() -> None:
    run_script(
        """
        import sys
        import subinterpreters
        assert "threading" not in sys.modules and "subinterpreters._barrier" not in sys.modules
        assert "Barrier" in subinterpreters.__all__
        import threading
        assert subinterpreters.BrokenBarrierError is threading.BrokenBarrierError
        try:
            subinterpreters.nothing
        except AttributeError as error:
            assert "nothing" in str(error)
        """
    )


# ---- arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize("new", [Lock, RLock, Condition, Semaphore, BoundedSemaphore])
def test_bad_arguments_of_acquire(new: Callable[[], Any]) -> None:
    one = new()
    for arguments in [(True, -2), (True, -0.5), (True, math.nan), (False, 1), (False, 0)]:
        with pytest.raises(ValueError):
            one.acquire(*arguments)
    for bad in ["1", (), [1]]:
        with pytest.raises(TypeError, match="timeout must be a number of seconds or None"):
            one.acquire(timeout=bad)
    with pytest.raises(TypeError):
        one.acquire(nothing=1)
    if isinstance(one, (Semaphore, BoundedSemaphore)):
        with pytest.raises(ValueError):
            one.acquire(True, -1)
        assert one.acquire(True, None) and not one.acquire(False, None)
        one.release()
    else:
        assert one.acquire(False, -1)
        one.release()
    for arguments in [(), (True,), (1, None), (True, 0), (True, 5), (True, 1e300)]:
        assert one.acquire(*arguments) is True
        one.release()


def test_bad_arguments_of_the_others() -> None:
    for new in (Lock, RLock, Event):
        with pytest.raises(TypeError):
            new(1)
    for semaphore in (Semaphore, BoundedSemaphore):
        with pytest.raises(ValueError, match="initial value must be >= 0, got -1"):
            semaphore(-1)
        with pytest.raises(TypeError):
            semaphore("1")
        for n in (0, -1):
            with pytest.raises(ValueError, match="n must be one or more"):
                semaphore().release(n)
    for lock in (threading.Lock(), 1, Event()):
        with pytest.raises(TypeError, match="must be a Lock or RLock of subinterpreters"):
            Condition(lock)  # type: ignore[arg-type]
    for timeout in (-1, math.nan):
        with pytest.raises(ValueError):
            Event().wait(timeout)
        with pytest.raises(ValueError):
            Barrier(1, timeout=timeout)
        with pytest.raises(ValueError):
            Barrier(1).wait(timeout)
    for parties in (0, -1):
        with pytest.raises(ValueError, match="parties must be >= 1"):
            Barrier(parties)
    with pytest.raises(TypeError):
        Barrier(1.5)  # type: ignore[arg-type]


# ---- locks ---------------------------------------------------------------------------------


@each_lock
def test_lock(new: Callable[[], Any]) -> None:
    lock = new()
    with pytest.raises(RuntimeError):
        lock.release()
    with lock as got:
        assert got is True and lock.locked()
        began = time.monotonic()
        assert start(lock.acquire, False).result(WAIT) is False
        assert start(lock.acquire, timeout=SOON).result(WAIT) is False
        assert time.monotonic() - began >= SOON
    assert not lock.locked()
    with other_thread_has(lock):
        assert lock.locked() and lock.acquire(False) is False
    assert lock.acquire(False)
    lock.release()
    with pytest.raises(ZeroDivisionError), lock:
        raise ZeroDivisionError
    assert not lock.locked()


def test_another_thread_releases_a_lock() -> None:
    lock = Lock()
    lock.acquire()
    start(lock.release).result(WAIT)
    assert lock.acquire(False)


def test_rlock() -> None:
    lock = RLock()
    for _ in range(3):
        assert lock.acquire()
    for _ in range(3):
        with pytest.raises(RuntimeError, match="cannot release un-acquired lock"):
            start(lock.release).result(WAIT)
        assert lock.locked()
        lock.release()
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock.release()


@each_kind
def test_rlock_of_another_interpreter(kind: str) -> None:
    lock = RLock()
    with create(isolation=kind) as interp, lock:
        interp.prepare_main(lock=lock)
        interp.exec(
            "assert not lock.acquire(False)\n"  # though it is the same thread
            "try: lock.release()\n"
            "except RuntimeError: pass\n"
            "else: raise AssertionError"
        )


COUNT = """
import time
def add(n):
    for _ in range(n):
        with lock:
            number = view[0] << 8 | view[1]
            if number % 100 == 0: time.sleep(0)
            number += 1
            view[0], view[1] = number >> 8, number & 255
"""


@each_kind
@pytest.mark.parametrize("new", [Lock, RLock, Semaphore, Condition])
def test_mutual_exclusion(new: Callable[[], Any], kind: str) -> None:
    """What two interpreters do to shared memory in two steps."""
    lock, memory, number = new(), bytearray(2), 10000
    with create(isolation=kind) as one, create(isolation=kind) as two:
        for interp in (one, two):
            interp.prepare_main(lock=lock, view=memory)
            interp.exec(COUNT)
        calls = [start(interp.exec, f"add({number})") for interp in (one, two)]
        here: dict[str, Any] = {"lock": lock, "view": memory}
        exec(COUNT, here)  # noqa: S102 (the same code as in the interpreters)
        here["add"](number)
        for call in calls:
            call.result(WAIT)
        assert memory[0] << 8 | memory[1] == 3 * number
        for interp in (one, two):
            interp.exec("del view")


# ---- owners that end -----------------------------------------------------------------------


@each_lock
def test_thread_that_ends(new: Callable[[], Any]) -> None:
    lock, waits, acquired, ends = new(), threading.Event(), threading.Event(), threading.Event()
    condition = Condition(lock)

    def wait_for_notification() -> None:
        with condition:
            waits.set()
            condition.wait()

    def acquire_and_end() -> None:
        lock.acquire()  # which has to wait until the other one waits for a notification
        acquired.set()
        ends.wait(WAIT)

    notified = start(wait_for_notification)
    assert waits.wait(WAIT)
    start(acquire_and_end)
    assert acquired.wait(WAIT)
    waiter = start(lock.acquire)
    ends.set()
    for future in (waiter, notified):
        with pytest.raises(LockOwnerDiedError, match="has ended without releasing it"):
            future.result(WAIT)
    for call in (lock.acquire, lock.release, lock.__enter__, condition.acquire, condition.notify):
        with pytest.raises(LockOwnerDiedError):
            call()
    assert issubclass(LockOwnerDiedError, RuntimeError) and lock.locked()
    lock.reset()
    assert lock.acquire(False)
    with pytest.raises(RuntimeError, match="cannot reset a lock whose owner has not ended"):
        lock.reset()
    lock.release()


@each_lock
@each_kind
def test_interpreter_that_closes(new: Callable[[], Any], kind: str) -> None:
    lock = new()
    interp = create(isolation=kind)
    interp.prepare_main(lock=lock)
    interp.exec("lock.acquire(); import builtins; builtins.lock = lock")
    assert not lock.acquire(False)
    waiter = start(lock.acquire)
    interp.exec("pass")
    assert lock.locked() and not waiter.done()
    interp.close()
    with pytest.raises(LockOwnerDiedError):
        waiter.result(WAIT)
    with pytest.raises(LockOwnerDiedError), lock:
        pass
    lock.reset()
    with lock:
        pass


@each_kind
def test_thread_of_an_interpreter_that_ends(kind: str) -> None:
    lock = Lock()
    with create(isolation=kind) as interp:
        interp.prepare_main(lock=lock)
        interp.exec(
            "import threading\nt = threading.Thread(target=lock.acquire)\nt.start()\nt.join()"
        )
        with pytest.raises(LockOwnerDiedError):
            lock.acquire(timeout=WAIT)


def test_released_before_the_end() -> None:
    lock = Lock()
    with other_thread_has(lock):
        pass
    with lock:
        pass


# ---- semaphores and events -----------------------------------------------------------------


@pytest.mark.parametrize("new", [Semaphore, BoundedSemaphore])
def test_semaphore(new: Callable[[int], Any]) -> None:
    semaphore = new(2)
    assert semaphore.acquire() and semaphore.acquire() and not semaphore.acquire(False)
    assert not semaphore.acquire(timeout=SOON)
    takers = [start(semaphore.acquire) for _ in range(2)]
    start(semaphore.release, 2).result(WAIT)  # there is no owner
    assert [taker.result(WAIT) for taker in takers] == [True, True]
    assert not semaphore.acquire(blocking=False)
    semaphore.release(n=2)
    with semaphore as got, semaphore:
        assert got is True and not semaphore.acquire(False)
    if new is BoundedSemaphore:
        with pytest.raises(ValueError, match="released too many times"):
            semaphore.release()
    else:
        semaphore.release()
        assert all(semaphore.acquire(False) for _ in range(3))


@each_kind
def test_event(kind: str) -> None:
    there, back = Event(), Event()
    with create(isolation=kind) as interp:
        interp.prepare_main(there=there, back=back)
        run = start(interp.exec, "there.wait()\nassert there.is_set()\nback.set()")
        assert not back.wait(SOON) and not back.is_set() and not back.wait(0)
        there.set()
        assert back.wait(WAIT) is True and back.wait() is True
        run.result(WAIT)
    there.clear()
    assert not there.is_set() and there.wait(timeout=0) is False


# ---- conditions ----------------------------------------------------------------------------


@each_lock
def test_condition(new: Callable[[], Any]) -> None:
    lock = new()
    condition = Condition(lock)
    for call in (condition.wait, condition.notify, condition.notify_all, condition.release):
        with pytest.raises(RuntimeError):
            call()
    with condition as got:
        assert got is True and lock.locked() and condition.locked()
        began = time.monotonic()
        assert condition.wait(SOON) is False and time.monotonic() - began >= SOON
        assert condition.wait(0) is False
        assert condition.wait_for(lambda: 0, timeout=SOON) == 0
        assert condition.wait_for(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            condition.wait_for(lambda: 1 / 0)
        with pytest.raises(RuntimeError):  # of another thread
            start(condition.notify).result(WAIT)
    assert not lock.locked()
    order: list[int] = []

    def wait(number: int) -> bool:
        with condition:
            order.append(-number)
            got = condition.wait(WAIT)
            order.append(number)
            return got

    waiters = []
    for number in range(1, 5):
        waiters.append(start(wait, number))
        until(lambda number=number: -number in order)
    for n, woken in [(1, [1]), (2, [1, 2, 3])]:
        with condition:
            condition.notify(n)
            assert len(order) == 4 + len(woken) - n
        until(lambda woken=woken: sorted(order[4:]) == woken)
    with condition:
        condition.notify_all()
    assert all(waiter.result(WAIT) for waiter in waiters)


def test_condition_restores_recursion() -> None:
    condition = Condition()
    with condition, condition, condition:
        waited = start(lambda: condition.acquire() and (condition.notify(), condition.release()))
        assert condition.wait(WAIT)
        waited.result(WAIT)
        assert not start(condition.acquire, False).result(WAIT)
    assert start(lambda: condition.acquire(False) and condition.release() is None).result(WAIT)


EXCHANGE = """
for number in range(500):
    with condition:
        condition.wait_for(lambda: view[0] == mine)
        view[0] = 1 - mine
        condition.notify_all()
"""


@each_kind
@each_lock
def test_condition_between_interpreters(new: Callable[[], Any], kind: str) -> None:
    memory, condition = bytearray(1), Condition(new())
    with create(isolation=kind) as one, create(isolation=kind) as two:
        calls = []
        for mine, interp in enumerate((one, two)):
            interp.prepare_main(condition=condition, view=memory, mine=mine)
            calls.append(start(interp.exec, EXCHANGE + "del view"))
        for call in calls:
            call.result(WAIT)
    assert memory[0] == 0


# ---- barriers ------------------------------------------------------------------------------


def test_barrier() -> None:
    actions: list[int] = []
    barrier = Barrier(3, lambda: actions.append(barrier.n_waiting))
    for number in range(1, 4):
        futures = [start(barrier.wait) for _ in range(3)]
        assert sorted(future.result(WAIT) for future in futures) == [0, 1, 2]
        assert actions == [0] * number
    assert barrier.parties == 3 and not barrier.broken and barrier.n_waiting == 0
    futures = [start(barrier.wait) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    barrier.reset()
    for future in futures:
        with pytest.raises(BrokenBarrierError):
            future.result(WAIT)
    assert not barrier.broken
    waiter = start(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(BrokenBarrierError):
        barrier.wait(SOON)
    with pytest.raises(BrokenBarrierError):
        waiter.result(WAIT)
    assert barrier.broken
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    barrier.reset()
    barrier.abort()
    assert barrier.broken and len(actions) == 3


def test_barrier_with_an_action_that_raises() -> None:
    barrier = Barrier(2, action=lambda: 1 / 0)
    waiter = start(barrier.wait)
    until(lambda: barrier.n_waiting == 1)
    with pytest.raises(ZeroDivisionError):
        barrier.wait()
    with pytest.raises(BrokenBarrierError):
        waiter.result(WAIT)
    assert barrier.broken


def test_timeout_of_a_barrier() -> None:
    barrier = Barrier(2, timeout=SOON)
    began = time.monotonic()
    with pytest.raises(BrokenBarrierError):
        barrier.wait()
    assert time.monotonic() - began >= SOON
    assert Barrier(1, timeout=0).wait() == 0


@each_kind
def test_barrier_between_interpreters(kind: str) -> None:
    barrier, total = Barrier(3), memoryview(bytearray(3))  # a bytearray would be pickled with it
    code = "for n in range(1, 101):\n view[me] = n\n barrier.wait()\n assert min(view) == n\n barrier.wait()"
    with create(isolation=kind) as one, create(isolation=kind) as two:
        calls = []
        for me, interp in enumerate((one, two)):
            interp.prepare_main(barrier=barrier, view=total, me=me)
            calls.append(start(interp.exec, code + "\ndel view"))
        exec(code, {"barrier": barrier, "view": total, "me": 2})  # noqa: S102 (the same code)
        for call in calls:
            call.result(WAIT)


@each_kind
def test_action_is_sent_with_its_barrier(kind: str) -> None:
    recv, send = create_channel()
    barrier = Barrier(1, action=time.monotonic)
    with create(isolation=kind) as interp:
        interp.prepare_main(barrier=barrier, send=send)
        interp.exec("send.send((barrier._action is __import__('time').monotonic, barrier.wait()))")
    assert recv.recv() == (True, 0)


# ---- forks, the end ---------------------------------------------------------------


def test_fork() -> None:
    run_script(
        """
        import os, warnings
        import subinterpreters as si
        warnings.simplefilter("ignore", DeprecationWarning)
        lock, rlock, semaphore, event = si.Lock(), si.RLock(), si.Semaphore(), si.Event()
        condition, barrier = si.Condition(lock), si.Barrier(1)
        lock.acquire()
        pid = os.fork()
        if pid == 0:
            for call in [lock.acquire, lock.release, lock.locked, lock.reset, rlock.acquire,
                         rlock.release, semaphore.acquire, semaphore.release, event.wait, event.set,
                         event.clear, event.is_set, condition.wait, condition.notify,
                         condition.acquire, barrier.wait, barrier.reset, barrier.abort,
                         lambda: barrier.broken, lambda: si.Condition(lock)]:
                try:
                    call()
                except RuntimeError as error:
                    assert "forked from" in str(error), error
                else:
                    os._exit(1)
            for each in (lock, rlock, semaphore, event, condition, barrier):
                assert repr(each).endswith("of another process>"), repr(each)
            new = si.Lock()
            with new:
                assert new.id > barrier.id
            with si.create() as interp:
                interp.prepare_main(lock=new)
                interp.exec("with lock: pass")
            del lock, rlock, semaphore, event, condition, barrier
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        lock.release()
        """
    )


BLOCKED = {
    "Lock": "lock.acquire()",
    "with": "lock.__enter__()",
    "timeout": "lock.acquire(timeout=60)",
    "RLock": "rlock.acquire()",
    "Semaphore": "semaphore.acquire()",
    "Event": "event.wait()",
    "Condition": "condition.acquire(); condition.wait()",
    "Barrier": "barrier.wait()",
}


@each_kind
@pytest.mark.parametrize("where", ["interpreter", "main"])
def test_exit(where: str, kind: str) -> None:
    """The process ends though threads wait; what waits inside a with statement says nothing."""
    done = run_script(
        """
        import sys, threading
        import subinterpreters as si
        kind, where, *blocked = sys.argv[1:]
        names = dict(lock=si.Lock(), rlock=si.RLock(), semaphore=si.Semaphore(0), event=si.Event(),
                     condition=si.Condition(), barrier=si.Barrier(2), begun=si.Semaphore(0))
        names["lock"].acquire(), names["rlock"].acquire()
        if where == "main":
            for code in blocked:
                threading.Thread(target=exec, args=["begun.release()\\n" + code, names]).start()
        else:
            for code in blocked:
                interp = si.create(isolation=kind)
                interp.prepare_main(names)
                threading.Thread(target=interp.exec, args=["begun.release()\\n" + code]).start()
        interp = si.create(isolation=kind)  # so that the exit is watched
        for _ in blocked:
            names["begun"].acquire()
        """,
        kind,
        where,
        *BLOCKED.values(),
        "with condition: condition.wait()",
    )
    assert "interrupted" in done.stderr
    assert "Error" not in done.stderr, done.stderr
