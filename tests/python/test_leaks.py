# SPDX-License-Identifier: MIT
"""Whatever is done a thousand times leaves the process as big as before."""

import sys

import pytest
from support import KINDS, not_under_asan, run_script

pytestmark = not_under_asan("keeps what was freed")

MEASURE = """
import ctypes, gc, os, sys, threading, time
import subinterpreters as si

libc = ctypes.CDLL(None)

def rss():
    gc.collect()
    libc.malloc_trim(0)
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

def tasks():
    return len(os.listdir("/proc/self/task"))

def counts(most_tasks):
    end = time.monotonic() + 5
    while tasks() > most_tasks and time.monotonic() < end:
        pass  # a thread that has ended for Python may take a moment to be gone
    with open("/proc/self/maps") as f:
        mappings = len(f.readlines())
    return len(os.listdir("/proc/self/fd")), tasks(), mappings

def grows(work, times, *, at_most, warm_up):
    work()  # after this the core has all of its own threads
    staying = min((time.sleep(0.001), tasks())[1] for _ in range(100))
    for _ in range(warm_up):
        work()
    fds, now, mappings = counts(staying)
    before = rss()
    for _ in range(times):
        work()
    growth = rss() - before
    assert growth < at_most, f"{growth} bytes more after {times} times"
    after = counts(staying)
    assert after[:2] == (fds, now), (after, fds, now)
    assert after[2] < mappings + 20, (after, mappings)
"""

CYCLES = """
kind, times, at_most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
if len(sys.argv) > 4:
    si.set_reserve_limit(int(sys.argv[4]))

def cycle():
    with si.create(isolation=kind, name="x" * 100) as interp:
        interp.prepare_main(x=1, y="y" * 1000)
        interp.exec("import threading; z = [x] * 1000")
grows(cycle, times, at_most=at_most, warm_up=50)
assert si.list_all() == [si.get_main()]
"""


@pytest.mark.skipif(sys.version_info < (3, 13), reason="before 3.13 closed interpreters are ended")
def test_create_and_use_again():
    run_script(MEASURE + CYCLES, "own", "300", str(5 << 20))


@pytest.mark.parametrize("kind", KINDS)
def test_create_and_end(kind):
    # up to 3.13 CPython itself loses 1.7 MB with every interpreter that has its own allocator
    # (immortal interned strings), and less with the others
    old = sys.version_info < (3, 14)
    times, at_most = ("100", 400) if old else ("300", 5)
    run_script(MEASURE + CYCLES, kind, times, str(at_most << 20), "0")


BURSTS = """
values = {
    "int": 7, "big int": 1 << 200, "float": 0.5, "None": None, "str": "x" * 100, "short str": "x",
    "unicode": chr(0x20AC) * 50, "bytes": b"x" * 100, "long bytes": b"x" * 5000,
    "tuple": (1, "two", (3.0, b"four" * 20)),
    "containers": [{"key": [n, {"key": 1j}]} for n in range(3)] + [{1}, frozenset([2])],
}
value, burst = values.get(sys.argv[1]), int(sys.argv[2])
recv, send = si.create_channel()
if sys.argv[1] == "containers":
    value.append(value)
if sys.argv[1] == "channel end":
    value = send
if sys.argv[3] == "interpreter":
    back, there = si.create_channel()
    interp = si.create()
    interp.prepare_main(recv=recv, send=there)
    interp.exec("def echo(n):\\n  for _ in range(n): send.send(recv.recv())")

def work():
    for _ in range(burst):
        send.send(value)
    if sys.argv[3] == "interpreter":
        interp.exec(f"echo({burst})")
        for _ in range(burst):
            back.recv()
    else:
        for _ in range(burst):
            recv.recv()

items = 60_000
times = max(2, items // burst)
# under one byte for each item, and what the allocators' own pages may add
grows(work, times, at_most=max(times * burst, 1 << 20), warm_up=max(2, times // 3))
"""

TYPES = ["int", "big int", "float", "None", "str", "short str", "unicode", "bytes", "long bytes"]


@pytest.mark.parametrize("burst", ["1", "300", "301", "5000"])
@pytest.mark.parametrize("value", [*TYPES, "tuple", "containers", "channel end"])
def test_messages(value, burst):
    run_script(MEASURE + BURSTS, value, burst, "here")


@pytest.mark.parametrize("burst", ["1", "301", "5000"])
@pytest.mark.parametrize("value", ["str", "tuple", "containers", "channel end"])
def test_messages_through_another_interpreter(value, burst):
    run_script(MEASURE + BURSTS, value, burst, "interpreter", timeout=60)


CALLS = {
    "exec": ("interp.exec('x = 1')", 50_000),
    "prepare_main": ("interp.prepare_main(x='x' * 100, y=(1, 2.5))", 20_000),
    "failing exec": (
        """
try: interp.exec("raise ValueError('v')")
except si.ExecutionFailed: pass
""",
        5_000,
    ),
    "failing exec with a big message": (
        """
try: interp.exec("raise ValueError('v' * 100_000)")
except si.ExecutionFailed: pass
""",
        1_000,
    ),
    "thread for each exec": (
        """
t = threading.Thread(target=interp.exec, args=["x = 1"])
t.start()
t.join()
""",
        1_000,
    ),
    "channels": ("r, s = si.create_channel(); s.send((r, s)); r.recv()", 20_000),
    "list_all": ("si.list_all(); si.get_current(); si.get_main()", 20_000),
    "time-outs": (
        """
for call in (recv.recv, lambda **k: si.select(recv, **k)):
    try: call(timeout=1e-6)
    except TimeoutError: pass
""",
        5_000,
    ),
    "bad input": (
        """
lock = threading.Lock()
for call in (
    lambda: interp.exec(b"x"), lambda: interp.exec("\\0"), lambda: interp.exec("\\udc80"),
    lambda: interp.exec("1 +"), lambda: interp.prepare_main(x=lock),
    lambda: interp.prepare_main({1: 2}), lambda: interp.prepare_main(x=["y" * 100, lock]),
    lambda: send.send(lock), lambda: send.send((1, "a" * 100, {"b": lock})),
    lambda: send.send("\\udc80" * 9, timeout=-1), lambda: send.send(1, timeout="x"),
    lambda: recv.recv(timeout=float("nan")), lambda: si.select(1), lambda: si.select((recv, 1)),
    lambda: si.create(isolation="none"), lambda: si.create(name=1),
    lambda: si.create_channel(-1), lambda: si.create_channel("x"), lambda: interp.close("x"),
    lambda: si.get_main().close(),
):
    try: call()
    except (TypeError, ValueError, si.InterpreterError): pass
    else: raise AssertionError(call)
""",
        2_000,
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_calls(call):
    code, times = CALLS[call]
    body = code.strip().replace("\n", "\n    ")
    run_script(
        f"{MEASURE}\ninterp = si.create()\nrecv, send = si.create_channel()\n"
        f"def work():\n    {body}\n"
        f"grows(work, {times}, at_most=1 << 20, warm_up={times // 5})\ninterp.close()\n",
        timeout=60,
    )


ALIVE = """
import subinterpreters as si

recv, send = si.create_channel()
interps = [si.create() for _ in range(200)]
for number, interp in enumerate(interps):
    interp.prepare_main(send=send, number=number)
for interp in interps:
    interp.exec("send.send(number)")
assert [recv.recv(timeout=5) for _ in interps] == list(range(200))
assert len(si.list_all()) == 201
for interp in interps[::2] + interps[1::2]:
    interp.close()
"""


def test_two_hundred_interpreters_at_once():
    run_script(ALIVE, timeout=60)
