# SPDX-License-Identifier: MIT
"""Queues between interpreters and threads."""

import gc
import math
import pickle
import queue
import random
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from support import KINDS, WAIT, Node, run_script, start

from subinterpreters import (
    Interpreter,
    NotShareableError,
    Queue,
    create,
    create_channel,
    create_queue,
    is_shareable,
)
from subinterpreters import _queues as q
from subinterpreters._subinterpreters import list_queues


@pytest.fixture(params=KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param) as each:
        yield each


def echo(items: Queue, answers: Queue) -> int:
    count = 0
    while (item := items.get()) is not None:
        answers.put(item)
        count += 1
    return count


# ---- the interface -------------------------------------------------------------------------------


def test_interface() -> None:
    items = create_queue(2)
    assert (items.maxsize, items.qsize(), items.empty(), items.full()) == (2, 0, True, False)
    items.put(1)
    items.put([2], block=False)
    assert (items.qsize(), items.empty(), items.full()) == (2, False, True)
    with pytest.raises(queue.Full) as full:
        items.put(3, block=False)
    assert isinstance(full.value, (q.QueueFull, q.QueueError)) and str(items.id) in str(full.value)
    for attempt in (
        lambda: items.put_nowait(3),
        lambda: items.put(3, timeout=0),
        lambda: items.put(3, True, 0.001),
        lambda: items.put(3, block=False, timeout=1000),
    ):
        with pytest.raises(q.QueueFull):
            attempt()
    assert items.get() == 1 and items.get(block=False) == [2]
    for attempt in (
        lambda: items.get_nowait(),
        lambda: items.get(timeout=0),
        lambda: items.get(True, 0.001),
        lambda: items.get(block=False, timeout=1000),
    ):
        with pytest.raises(queue.Empty) as empty:
            attempt()
        assert isinstance(empty.value, q.QueueEmpty)
    assert repr(items) == f"Queue({items.id})" and hash(items) == hash(Queue(items.id))
    assert items in list_queues() and items in q.list_all()
    assert [create_queue(n).maxsize for n in (0, -1, 5)] == [0, -1, 5]
    for n in range(1000):
        items = create_queue() if n == 0 else items
        items.put(n)
    assert not items.full() and [items.get() for _ in range(1000)] == list(range(1000))


def test_bad_arguments() -> None:
    items = create_queue()
    for bad in ("x", 1.5, None):
        with pytest.raises(TypeError):
            create_queue(bad)  # type: ignore[arg-type]
    for huge in (1 << 63, -(1 << 63) - 1):
        with pytest.raises(OverflowError):
            create_queue(huge)
    for unbound in (5, "UNBOUND", object()):
        with pytest.raises(ValueError, match="unbounditems must be"):
            create_queue(unbounditems=unbound)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="unbounditems must be"):
            items.put(1, unbounditems=unbound)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="unbounditems must be"):
            items.put_nowait(1, unbounditems=unbound)  # type: ignore[arg-type]
    for timeout, error in (
        (-1, ValueError),
        (-0.001, ValueError),
        (math.nan, ValueError),
        ("x", TypeError),
    ):
        with pytest.raises(error, match="timeout must"):
            items.put(1, timeout=timeout)  # type: ignore[arg-type]
        with pytest.raises(error, match="timeout must"):
            items.get(timeout=timeout)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        items.put()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        items.get(1, 2, 3)  # type: ignore[misc]
    for lock in (threading.Lock(), [threading.Lock()]):
        with pytest.raises(NotShareableError):
            items.put(lock)
    assert items.empty()
    items.put(1, timeout=math.inf)
    assert items.get(timeout=math.inf) == 1


def test_time_outs_are_floats() -> None:
    items = create_queue(1)
    for wait in (0.02, 0.0501):
        began = time.monotonic()
        with pytest.raises(q.QueueEmpty):
            items.get(timeout=wait)
        assert wait <= time.monotonic() - began < wait + WAIT
    items.put(1)
    began = time.monotonic()
    with pytest.raises(q.QueueFull):
        items.put(2, timeout=0.02)
    assert time.monotonic() - began >= 0.02 and items.qsize() == 1


def test_blocking(interp: Interpreter) -> None:
    items, answers = create_queue(1), create_queue(1)
    run = start(interp.call, echo, items, answers)
    for n in range(200):
        items.put(n, timeout=WAIT)
        assert answers.get(timeout=WAIT) == n
    for n in range(3):  # the last one waits, for room in `items`
        items.put(n, timeout=WAIT)
    waiting = start(items.put, None)
    assert [answers.get(timeout=WAIT) for _ in range(3)] == [0, 1, 2]
    waiting.result(WAIT)
    assert run.result(WAIT) == 203


# ---- one object for each -------------------------------------------------------------------------


def test_identity() -> None:
    items = create_queue(3)
    assert Queue(items.id) is items
    assert pickle.loads(pickle.dumps(items)) is items
    assert next(each for each in list_queues() if each == items) is items
    other = create_queue()
    assert other != items and len({items, other, Queue(other.id)}) == 2
    number, gone = items.id, weakref.ref(items)
    del items
    gc.collect()
    assert gone() is None
    with pytest.raises(q.QueueNotFoundError, match=str(number)):
        Queue(number)
    assert issubclass(q.QueueNotFoundError, q.QueueError)


def test_ids_of_no_queue() -> None:
    recv, _send = create_channel()
    for bad in (recv.id, 1 << 40, -1, 1 << 63, 1 << 70, -(1 << 70)):
        with pytest.raises(q.QueueNotFoundError):
            Queue(bad)
    for wrong in ("1", 1.0, None):
        with pytest.raises(TypeError, match="id must be an int"):
            Queue(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Queue()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Queue(1, other=2)  # type: ignore[call-arg]
    assert recv.id not in [each.id for each in list_queues()]
    assert len(recv) == 0


def test_inside_objects(interp: Interpreter) -> None:
    items = create_queue()

    def put(obj: Any) -> int:
        (obj.parts[0]["q"] if hasattr(obj, "parts") else obj[0][1]).put("here")
        return len(obj.parts) if hasattr(obj, "parts") else 0

    assert interp.call(put, ((1, items),)) == 0
    assert interp.call(put, Node({"q": items}, items)) == 2
    assert [items.get(timeout=WAIT) for _ in range(2)] == ["here", "here"]
    for obj in (items, [items, items], Node(items)):
        items.put(obj)
    assert items.get() is items
    pair = items.get()
    assert pair[0] is items and pair[1] is items
    assert items.get().parts[0] is items
    assert interp.call(pickle.loads, pickle.dumps([items]))[0] is items
    interp.prepare_main(items=items)
    interp.exec("import subinterpreters as si; assert si.Queue(items.id) is items")
    assert interp.call(create_queue, 7).maxsize == 7


def test_a_queue_in_itself_goes_with_what_is_in_it() -> None:
    """Nobody has the queue any more but an item of it, or a message on its way."""
    outer, inner = create_queue(), create_queue()
    number = inner.id
    inner.put("kept")
    outer.put(inner)
    del inner
    gc.collect()
    assert Queue(number).get() == "kept"
    assert outer.get().id == number


def test_is_shareable() -> None:
    items = create_queue()
    for yes in (None, True, 1, 1.0, "x", b"x", (1, ("x",)), memoryview(b"x"), items, (items, 1)):
        assert is_shareable(yes) is True, yes
    for no in ([], {}, {1}, object(), (1, []), bytearray(), lambda: 1, len, 1j, threading.Lock()):
        assert is_shareable(no) is False, no
    deep: Any = ()
    for _ in range(100_000):
        deep = (deep,)
    try:
        assert is_shareable(deep) in (True, False)
    except RecursionError:
        pass
    while deep:
        deep = deep[0]


# ---- items of closed interpreters ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_unbound_items(kind: str) -> None:
    items = create_queue()
    assert items.unbounditems is None
    with create(isolation=kind) as interp:
        interp.prepare_main(items=items)
        interp.exec("""if True:
            from subinterpreters import _queues as q
            items.put(["default"])
            items.put("replaced", unbounditems=q.UNBOUND)
            items.put("removed", unbounditems=q.UNBOUND_REMOVE)
            items.put("an error", unbounditems=q.UNBOUND_ERROR)
            items.put_nowait("replaced", unbounditems=q.UNBOUND)
            items.put("removed", unbounditems=q.UNBOUND_REMOVE)
        """)
        items.put("ours", unbounditems=q.UNBOUND_ERROR)
        assert items.get() == ["default"] and items.get() == "replaced" and items.get() == "removed"
    with pytest.raises(q.ItemInterpreterDestroyed, match=str(items.id)):
        items.get()
    assert items.get() is q.UNBOUND
    assert items.get() == "ours"
    with pytest.raises(q.QueueEmpty):
        items.get(timeout=0)
    assert repr(q.UNBOUND) == "<UNBOUND>" and pickle.loads(pickle.dumps(q.UNBOUND)) is q.UNBOUND


@pytest.mark.parametrize("kind", KINDS)
def test_unbound_by_default(kind: str) -> None:
    for fate in (q.UNBOUND, q.UNBOUND_ERROR, q.UNBOUND_REMOVE):
        items = create_queue(unbounditems=fate)
        assert items.unbounditems is fate
        with create(isolation=kind) as interp:
            interp.call(lambda q: q.put(1), items)
            assert interp.call(lambda q: repr(q.unbounditems), items) == repr(fate)
            assert items.get() == 1
            interp.call(lambda q: q.put(2), items)
        if fate is q.UNBOUND:
            assert items.get(timeout=WAIT) is q.UNBOUND
        else:
            with pytest.raises(
                q.ItemInterpreterDestroyed if fate is q.UNBOUND_ERROR else q.QueueEmpty
            ):
                items.get(timeout=0)
        with pytest.raises(q.QueueEmpty):
            items.get_nowait()


def test_closed_with_items_in_flight(interp: Interpreter) -> None:
    items = create_queue()
    interp.prepare_main(items=items)
    interp.exec(
        "import support\n"
        "for n in range(100): items.put([n, bytearray(b'x' * 5000), support.Node(n)])\n"
        "items.put(memoryview(bytearray(b'y' * 100000)))"
    )
    interp.close()
    for n in range(100):
        got = items.get(timeout=WAIT)
        assert got[0] == n and bytes(got[1]) == b"x" * 5000 and got[2].parts == (n,)
    assert bytes(items.get(timeout=WAIT)) == b"y" * 100000
    assert items.empty()


# ---- many at once --------------------------------------------------------------------------------

EACH = 150


def produce(items: Queue, who: int, seed: int) -> int:
    rng, total = random.Random(seed), 0
    for n in range(EACH):
        value = rng.randrange(1000)
        total += value
        items.put((who, n, value))
    return total


def consume(items: Queue) -> tuple[int, int, bool]:
    last: dict[int, int] = {}
    count = total = 0
    ordered = True
    while (item := items.get()) is not None:
        who, n, value = item
        ordered = ordered and n > last.get(who, -1)
        last[who] = n
        count, total = count + 1, total + value
    return count, total, ordered


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("maxsize", [0, 3])
def test_producers_and_consumers(kind: str, maxsize: int) -> None:
    seed = random.randrange(1 << 32)
    items = create_queue(maxsize)
    interps = [create(isolation=kind) for _ in range(4)]
    producers = [interps[n].submit(produce, items, n, seed + n) for n in range(2)]
    producers += [start(produce, items, n, seed + n) for n in (2, 3)]
    consumers: list[Any] = [interps[n].submit(consume, items) for n in (2, 3)]
    consumers += [start(consume, items) for _ in range(2)]
    totals = [each.result(WAIT) for each in producers]
    for _ in consumers:
        items.put(None, timeout=WAIT)
    got = [each.result(WAIT) for each in consumers]
    assert sum(count for count, _, _ in got) == 4 * EACH, f"seed {seed}"
    assert sum(total for _, total, _ in got) == sum(totals), f"seed {seed}"
    assert all(ordered for _, _, ordered in got), f"seed {seed}"
    assert items.empty()
    for each in interps:
        each.close()


def test_objects_made_and_dropped_by_many_threads() -> None:
    """There is one object for each queue, or none; also while the last one goes."""
    keep, number = create_channel(), 0
    items = create_queue()
    recv, send = keep
    send.send(items)  # a message keeps it
    number = items.id
    del items

    def look() -> None:
        for _ in range(1000):
            one, two = Queue(number), Queue(number)
            assert one is two

    for each in [start(look) for _ in range(4)]:
        each.result(WAIT)
    assert recv.recv().id == number


# ---- processes -----------------------------------------------------------------------------------

CTRL_C = """
import os, signal, sys, threading, time
import subinterpreters as si

kind, what = sys.argv[1:]
items = si.create_queue(1)
if what == "put":
    items.put(0)
function = items.get if what == "get" else lambda: items.put(1)

def press():
    time.sleep(0.1)
    os.kill(os.getpid(), signal.SIGINT)

for _ in range(3):
    threading.Thread(target=press).start()
    try:
        function()
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
assert items.qsize() == (what == "put")
with si.create(isolation=kind) as interp:
    interp.prepare_main(items=items)
    threading.Thread(target=press).start()
    try:
        interp.exec("items.get()" if what == "get" else "items.put(1)")
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError
"""


@pytest.mark.parametrize("what", ["get", "put"])
@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c(kind: str, what: str) -> None:
    run_script(CTRL_C, kind, what)


FORK = """
import os, warnings
import subinterpreters as si
from subinterpreters._queues import QueueError, QueueEmpty

warnings.simplefilter("ignore")
items = si.create_queue()
items.put(1)
number = items.id
pid = os.fork()
if pid == 0:
    for attempt in items.get, items.get_nowait, lambda: items.put(1), lambda: items.put_nowait(1):
        try:
            attempt()
        except QueueError as error:
            assert "forked" in str(error), error
        else:
            os._exit(1)
    for attempt in lambda: si.Queue(number), :
        try:
            attempt()
        except QueueError:
            pass
        else:
            os._exit(2)
    repr(items), hash(items), items.qsize(), items.maxsize
    new = si.create_queue()
    new.put([1])
    assert new.get() == [1]
    assert items not in si._queues.list_all()
    del items, new
    os._exit(0)
_, status = os.waitpid(pid, 0)
assert status == 0, status
assert items.get() == 1
"""


def test_fork() -> None:
    run_script(FORK)


EXIT = """
import sys, threading
import subinterpreters as si

kind, what = sys.argv[1:]
items = si.create_queue(1)
told, tell = si.create_channel()
if what == "put":
    items.put(0)

def wait(items, told, what):
    told.send(None)
    items.get() if what == "get" else items.put(1)

interps = [si.create(isolation=kind) for _ in range(2)]
for function in wait, *(lambda *args, i=i: i.call(wait, *args) for i in interps):
    threading.Thread(target=function, args=(items, tell, what), daemon=True).start()
    told.recv(timeout=20)
print("end")
"""


@pytest.mark.parametrize("what", ["get", "put"])
@pytest.mark.parametrize("kind", KINDS)
def test_exit_with_blocked_threads(kind: str, what: str) -> None:
    assert run_script(EXIT, kind, what, traceback=True).stdout == "end\n"
