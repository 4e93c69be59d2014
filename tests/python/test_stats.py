# SPDX-License-Identifier: MIT
"""What interpreters say of themselves."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import KINDS, WAIT, YIELDING_KINDS, not_under_asan, run_script, start

from subinterpreters import Interpreter, create, create_channel, get_current, get_main


@pytest.fixture(params=YIELDING_KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param, name="its name") as interp:
        yield interp


def test_a_new_one(interp: Interpreter) -> None:
    stats = interp.stats()
    assert list(stats) == [
        "state",
        "name",
        "isolation",
        "threads",
        "tasks",
        "runs",
        "cpu_seconds",
        "bytes",
    ]
    assert stats["state"] == "idle"
    assert stats["name"] == "its name"
    assert stats["isolation"] == interp.isolation
    assert (stats["threads"], stats["tasks"], stats["runs"]) == (0, 0, 0)


def test_runs(interp: Interpreter) -> None:
    interp.exec("pass")
    interp.call(abs, -1)
    interp.prepare_main(x=1)
    with pytest.raises(ZeroDivisionError):
        interp.call(divmod, 1, 0)
    assert interp.stats()["runs"] == 4


def test_one_that_was_used_before() -> None:
    with create() as interp:
        interp.exec("pass")
    with create() as interp:
        assert interp.stats()["runs"] == 0


def test_while_it_runs(interp: Interpreter) -> None:
    go_recv, go = create_channel()
    recv, send = create_channel()
    interp.prepare_main(recv=go_recv, send=send)
    code = """
import threading

def run():
    send.send("runs")
    recv.recv()

threads = [threading.Thread(target=run) for _ in range(3)]
for each in threads:
    each.start()
run()
"""
    running = start(interp.exec, code)
    for _ in range(4):
        assert recv.recv(timeout=WAIT) == "runs"
    stats = interp.stats()
    assert (stats["state"], stats["threads"], stats["runs"]) == ("running", 4, 2)
    for _ in range(4):
        go.send(None)
    running.result(WAIT)
    interp.exec("for each in threads: each.join()")
    deadline = time.monotonic() + WAIT  # a thread has a thread state for a moment after its join
    while interp.stats()["threads"] and time.monotonic() < deadline:
        pass
    assert (interp.stats()["state"], interp.stats()["threads"]) == ("idle", 0)


def test_while_it_computes(interp: Interpreter) -> None:
    recv, send = create_channel()
    interp.prepare_main(send=send)
    running = start(interp.exec, "send.send(1)\nwhile True: pass")
    recv.recv(timeout=WAIT)
    assert interp.stats()["threads"] == 1
    while not running.done():
        interp.interrupt()
    assert running.exception() is not None


def test_code_that_keeps_the_gil() -> None:
    """Only of those that have a GIL of their own: else nobody can ask."""
    kind: Any = KINDS[0]
    with create(isolation=kind) as interp:
        recv, send = create_channel()
        interp.prepare_main(send=send)
        running = start(interp.exec, "import re\nsend.send(1)\nre.match('(a+)+$', 'a' * 23 + 'b')")
        recv.recv(timeout=WAIT)
        while not running.done():
            assert interp.stats()["threads"] in (None, 0, 1)
        running.result(WAIT)


def test_processor_time(interp: Interpreter) -> None:
    assert interp.stats()["cpu_seconds"] == 0
    work = "while time.thread_time() < end: pass"
    interp.exec(f"import time\nend = time.thread_time() + 0.2\n{work}")
    used = interp.stats()["cpu_seconds"]
    assert used is not None
    assert 0.2 <= used < 0.3
    interp.exec("time.sleep(0.3)")
    after = interp.stats()["cpu_seconds"]
    assert after is not None
    assert 0 <= after - used < 0.05


def test_processor_time_of_short_runs(interp: Interpreter) -> None:
    interp.exec("import time")
    before, begin = interp.stats()["cpu_seconds"], time.thread_time()
    assert before is not None
    for _ in range(5_000):
        interp.exec("pass")
    used, most = interp.stats()["cpu_seconds"], time.thread_time() - begin
    assert used is not None
    assert 0 < used - before < most * 1.5


def test_processor_time_of_a_run_in_progress(interp: Interpreter) -> None:
    recv, send = create_channel()
    interp.prepare_main(send=send)
    running = start(interp.exec, "while True: send.send(None)")
    for expected in (0.05, 0.1):
        while (interp.stats()["cpu_seconds"] or 0) < expected:
            recv.recv(timeout=WAIT)
    while not running.done():
        interp.interrupt()
        while not running.done() and len(recv):
            recv.recv(timeout=WAIT)
    assert (interp.stats()["cpu_seconds"] or 0) >= 0.1


def test_tasks(interp: Interpreter) -> None:
    recv, send = create_channel()
    futures = [interp.submit(type(recv).recv, recv) for _ in range(3)]
    assert interp.stats()["tasks"] == 3
    futures[2].cancel()
    assert interp.stats()["tasks"] == 2
    for left in (1, 0):
        send.send(None)
        futures[1 - left].result(WAIT)
        deadline = time.monotonic() + WAIT  # futures wake who waits before they call
        while interp.stats()["tasks"] != left and time.monotonic() < deadline:
            pass
        assert interp.stats()["tasks"] == left


@not_under_asan("wants PYTHONMALLOC, with which there is nothing to count")
def test_bytes(interp: Interpreter) -> None:
    before = interp.stats()["bytes"]
    if interp.isolation != "private":
        assert before is None
        return
    assert before is not None
    assert before > 1 << 20
    interp.exec("x = bytearray(50_000_000)")
    with_x = interp.stats()["bytes"]
    assert with_x is not None
    assert 50_000_000 <= with_x - before < 60_000_000
    interp.exec("x = bytearray(b'x') + x\nx = x[:20_000_000]\nx.extend(bytes(10))")
    interp.exec("del x")
    after = interp.stats()["bytes"]
    assert after is not None
    assert after - before < 10_000_000


def test_closed(interp: Interpreter) -> None:
    interp.exec("pass")
    interp.close()
    stats = interp.stats()
    assert stats["state"] == "closed"
    assert (stats["threads"], stats["runs"], stats["bytes"]) == (None, None, None)
    assert stats["name"] == "its name"


def test_closing(interp: Interpreter) -> None:
    go_recv, go = create_channel()
    recv, send = create_channel()
    interp.prepare_main(go=go_recv, send=send)
    interp.exec("import atexit\natexit.register(lambda: (send.send(1), go.recv()))")
    closing = start(interp.close)
    recv.recv(timeout=WAIT)
    assert interp.stats()["state"] == "closing"
    go.send(None)
    closing.result(WAIT)


def test_of_main() -> None:
    stats = get_main().stats()
    assert (stats["state"], stats["isolation"]) == ("running", "main")
    assert (stats["threads"], stats["runs"], stats["tasks"]) == (None, None, None)


def test_of_itself(interp: Interpreter) -> None:
    assert get_current().stats()["isolation"] == "main"
    interp.exec("""
import subinterpreters
stats = subinterpreters.get_current().stats()
assert (stats["state"], stats["threads"], stats["runs"]) == ("running", 1, 1), stats
""")


def test_in_the_child_of_a_fork() -> None:
    run_script("""
        import os, subinterpreters as si
        interp = si.create()
        pid = os.fork()
        if pid == 0:
            try:
                interp.stats()
            except si.InterpreterError:
                os._exit(0)
            os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
    """)
