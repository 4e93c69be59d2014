# SPDX-License-Identifier: MIT
"""Log records of other interpreters."""

import gc
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from support import KINDS, WAIT, run_script, start

import subinterpreters
from subinterpreters import (
    Interpreter,
    InterpreterClosedError,
    InterpreterError,
    LogListener,
    create,
    create_channel,
    log_to_parent,
)


class Keep(logging.Handler):
    """Keeps the records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[list[Any]]:
    """What arrives at the logger `test` of the parent."""
    logger, handler = logging.getLogger("test"), Keep()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield handler.records
    logger.removeHandler(handler)


@pytest.fixture(params=KINDS)
def interp(request: pytest.FixtureRequest) -> Iterator[Interpreter]:
    with create(isolation=request.param, name="worker") as interp:
        yield interp


def messages(records: list[Any]) -> list[str]:
    return [record.getMessage() for record in records]


def test_a_record(interp: Interpreter, kept: list[Any]) -> None:
    with log_to_parent(interp, level="INFO") as listener:
        assert isinstance(listener, LogListener)
        interp.exec("""
import logging
logging.getLogger("test.part").info("%d %s", 3, ["apples"], extra={"where": ("x", {"y": [1]})})
""")
    (record,) = kept
    assert record.getMessage() == "3 ['apples']"
    assert (record.name, record.levelname) == ("test.part", "INFO")
    assert (record.interpreter, record.interpreter_name) == (interp.id, "worker")
    assert record.where == ("x", {"y": [1]})
    assert record.threadName


def test_what_cannot_be_sent(interp: Interpreter, kept: list[Any]) -> None:
    with log_to_parent(interp):
        interp.exec("""
import logging, threading
class Odd:
    def __repr__(self):
        return "an odd one"
deep = []
deep.append(deep)
logger = logging.getLogger("test")
logger.warning("with %r", Odd(), extra={"odd": [Odd()], "lock": threading.Lock(), "deep": deep})
""")
    (record,) = kept
    assert record.getMessage() == "with an odd one"
    assert record.odd == ["an odd one"]
    assert "lock" in record.lock
    assert (
        logging.Formatter("%(message)s %(odd)s").format(record) == "with an odd one ['an odd one']"
    )


def test_tracebacks(interp: Interpreter, kept: list[Any]) -> None:
    with log_to_parent(interp):
        interp.exec("""
import logging
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("test").exception("failed", stack_info=True)
""")
    (record,) = kept
    text = logging.Formatter("%(message)s").format(record)
    assert text.startswith("failed\nTraceback (most recent call last)")
    assert "ZeroDivisionError: division by zero" in text
    assert "Stack (most recent call last)" in text


def test_levels(interp: Interpreter, kept: list[Any]) -> None:
    code = """
import logging
for name in ("debug", "info", "warning"):
    getattr(logging.getLogger("test"), name)(name)
"""
    with log_to_parent(interp, level=logging.DEBUG):
        interp.exec(code)
    assert messages(kept) == ["info", "warning"]  # the level of the logger here
    kept.clear()
    with log_to_parent(interp, level="WARNING"):
        interp.exec(code)
    assert messages(kept) == ["warning"]


def test_one_logger_for_all(interp: Interpreter, kept: list[Any]) -> None:
    with log_to_parent(interp, logging.getLogger("test")):
        interp.exec("import logging\nlogging.info('a')\nlogging.getLogger('other').info('b')")
    assert messages(kept) == ["a", "b"]
    assert [record.name for record in kept] == ["root", "other"]


LOG_MANY = """
import atexit, logging, threading
logger = logging.getLogger("test")
atexit.register(logger.warning, "atexit")

def log(which):
    for number in range(500):
        logger.warning("%d %d", which, number)

for which in range(4):
    threading.Thread(target=log, args=[which]).start()
"""


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_when_it_is_closed(kind: Any, kept: list[Any]) -> None:
    with create(isolation=kind) as interp:
        listener = log_to_parent(interp)
        interp.exec(LOG_MANY)
    listener.stop(WAIT)
    got = messages(kept)
    assert got[-1] == "atexit"
    for which in range(4):
        own = [each for each in got if each.startswith(f"{which} ")]
        assert own == [f"{which} {number}" for number in range(500)]
    assert len(got) == 2001
    listener.stop()


def test_it_ends_with_the_interpreter(kept: list[Any]) -> None:
    before = threading.active_count()
    for kind in KINDS:
        interp: Any = create(isolation=kind)  # type: ignore[arg-type]
        listener = log_to_parent(interp)
        interp.exec("import logging; logging.getLogger('test').warning('x')")
        del interp
        gc.collect()
        listener._thread.join(WAIT)
        assert not listener._thread.is_alive()
    assert messages(kept) == ["x"] * len(KINDS)
    assert threading.active_count() == before


def test_stopping_while_it_logs(interp: Interpreter, kept: list[Any]) -> None:
    """What was logged before is here; the interpreter goes on without an error."""
    recv, send = create_channel()
    go_recv, go = create_channel()
    listener = log_to_parent(interp)
    interp.prepare_main(send=send, go=go_recv)
    code = """
import logging
logger = logging.getLogger("test")
for number in range(100):
    logger.warning(number)
send.send("half")
go.recv()
for number in range(100):
    logger.warning(number)
"""
    running = start(interp.exec, code)
    assert recv.recv(timeout=WAIT) == "half"
    listener.stop(WAIT)
    go.send(None)
    running.result(WAIT)
    assert messages(kept) == [str(number) for number in range(100)]
    listener.stop()


def test_a_handler_that_raises_or_stops(interp: Interpreter, capfd: Any, kept: list[Any]) -> None:
    class Bad(logging.Filter):
        def filter(self, record: Any) -> bool:
            if record.msg == "bad":
                raise ValueError("as told")
            if record.msg == "stop":
                listener.stop()
            return True

    bad, logger = Bad(), logging.getLogger("test")
    logger.addFilter(bad)
    try:
        listener = log_to_parent(interp, logger)
        interp.exec("import logging\nfor each in ('bad', 'good', 'stop'): logging.warning(each)")
        listener._thread.join(WAIT)
    finally:
        logger.removeFilter(bad)
    assert messages(kept) == ["good", "stop"]
    assert "ValueError: as told" in capfd.readouterr().err


def test_a_slow_handler(interp: Interpreter) -> None:
    waits, go = threading.Event(), threading.Event()

    class Slow(logging.Handler):
        def emit(self, record: Any) -> None:
            waits.set()
            go.wait(WAIT)

    logger = logging.getLogger("slow")
    logger.handlers = [Slow()]
    listener = log_to_parent(interp, logger)
    interp.exec("import logging; logging.warning('x')")
    assert waits.wait(WAIT)
    with pytest.raises(TimeoutError):
        listener.stop(0)
    with pytest.raises(ValueError, match="negative"):
        listener.stop(-1)
    go.set()
    listener.stop(WAIT)


def test_an_interpreter_of_an_interpreter(kept: list[Any]) -> None:
    for kind in KINDS:
        with create(isolation=kind) as interp:  # type: ignore[arg-type]
            listener = log_to_parent(interp)
            interp.exec("""
import subinterpreters
inner = subinterpreters.create(name="inner")
listener = subinterpreters.log_to_parent(inner)
inner.exec("import logging; logging.getLogger('test').warning('deep')")
listener.stop()
inner.close()
""")
        listener.stop(WAIT)
    assert [record.interpreter_name for record in kept] == ["inner"] * len(KINDS)


def test_an_interpreter_that_is_closed_before_its_own(kept: list[Any]) -> None:
    for kind in KINDS:
        with create(isolation=kind) as interp:  # type: ignore[arg-type]
            listener = log_to_parent(interp)
            interp.exec("""
import subinterpreters
inner = subinterpreters.create(name="inner")
subinterpreters.log_to_parent(inner)
inner.exec("import logging; logging.getLogger('test').warning('deep')")
""")
        listener.stop(WAIT)
    assert messages(kept) == ["deep"] * len(KINDS)


def test_bad_input(interp: Interpreter) -> None:
    with pytest.raises(TypeError, match="^interp must be an Interpreter, got int$"):
        log_to_parent(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="^logger must be a logging.Logger or None, got str$"):
        log_to_parent(interp, "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Unknown level"):
        log_to_parent(interp, level="LOUD")
    with pytest.raises(InterpreterError):
        log_to_parent(subinterpreters.get_current())
    interp.close()
    with pytest.raises(InterpreterClosedError):
        log_to_parent(interp)


AT_EXIT = """
import logging, sys
import subinterpreters as si

logging.basicConfig(stream=sys.stdout, format="%(interpreter_name)s %(message)s")
interp = si.create(isolation=sys.argv[1], name="worker")
listener = si.log_to_parent(interp)
interp.exec('''
import atexit, logging
atexit.register(logging.warning, "atexit")
for number in range(1000):
    logging.warning(number)
''')
"""


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_of_the_process(kind: str) -> None:
    done = run_script(AT_EXIT, kind)
    assert done.stdout.splitlines() == [f"worker {n}" for n in range(1000)] + ["worker atexit"]


def test_forks() -> None:
    done = run_script("""
        import logging, os, sys
        import subinterpreters as si
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        interp = si.create()
        listener = si.log_to_parent(interp)
        interp.exec("import logging; logging.warning('one')")
        listener.stop()
        sys.stdout.flush()
        if os.fork() == 0:
            with si.create() as other:
                log = si.log_to_parent(other)
                other.exec("import logging; logging.warning('two')")
            log.stop()
            listener.stop()
            sys.exit()
        assert os.wait()[1] == 0
    """)
    assert done.stdout == "one\ntwo\n"


def test_logging_is_imported_when_it_is_used() -> None:
    run_script("""
        import sys, subinterpreters
        subinterpreters.create().close()
        assert "logging" not in sys.modules
    """)


def test_handlers_of_listeners_that_have_stopped_go(interp: Interpreter) -> None:
    for _ in range(5):
        log_to_parent(interp).stop()
    with log_to_parent(interp):
        interp.exec("import logging; assert len(logging.getLogger().handlers) == 1")
