# SPDX-License-Identifier: MIT
"""The executors that are compared, by name, and the links between two workers."""

import importlib
import importlib.util
import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

import subinterpreters
from common import tasks
from common.harness import Skipped

# What starts processes for all contenders alike: ProcessPoolExecutor's own choice since CPython 3.14.
CONTEXT = multiprocessing.get_context("forkserver")

MODULE = "subinterpreters"

OURS = "subinterpreters"
PRIVATE = "private"
STDLIB = "stdlib interpreters"
PROCESSES = "ProcessPoolExecutor"
THREADS = "ThreadPoolExecutor"
POOL = "multiprocessing.Pool"
LOKY = "loky"


class PoolExecutor:
    """multiprocessing.Pool with what we need of the interface of executors."""

    def __init__(self, workers: int, context: Any) -> None:
        self.pool = context.Pool(workers)

    def submit(self, function: Callable[..., Any], *args: Any) -> Any:
        """Begin a task."""
        result = self.pool.apply_async(function, args)
        result.result = result.get
        return result

    def map(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Any:
        """Do all, in chunks of its choice."""
        return self.pool.map(function, items)

    def shutdown(self) -> None:
        """End the workers."""
        self.pool.close()
        self.pool.join()


@dataclass(frozen=True)
class Contender:
    """An executor: where its class is, and what that is called with besides the number of workers."""

    module: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    since: tuple[int, int] = (3, 11)

    def load(self) -> Callable[..., Any]:
        """Import its class."""
        return getattr(importlib.import_module(self.module), self.name)

    def make(self, workers: int) -> Any:
        """Make one with so many workers."""
        return self.load()(workers, **self.options)

    def missing(self) -> str | None:
        """Why there is none here, if there is none."""
        if sys.version_info < self.since:
            return f"needs CPython {self.since[0]}.{self.since[1]}"
        if importlib.util.find_spec(self.module.partition(".")[0]) is None:
            return "is not installed"
        return None


EXECUTORS = {
    OURS: Contender(MODULE, "InterpreterPoolExecutor"),
    PRIVATE: Contender(MODULE, "InterpreterPoolExecutor", {"isolation": "private"}),
    STDLIB: Contender("concurrent.futures", "InterpreterPoolExecutor", since=(3, 14)),
    PROCESSES: Contender("concurrent.futures", "ProcessPoolExecutor", {"mp_context": CONTEXT}),
    THREADS: Contender("concurrent.futures", "ThreadPoolExecutor"),
    POOL: Contender("common.contenders", "PoolExecutor", {"context": CONTEXT}),
    LOKY: Contender("loky", "ProcessPoolExecutor"),
}


def present(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return those contenders that there are here, and what to say of the others."""
    there, left_out = [], []
    for name in names:
        missing = EXECUTORS[name].missing()
        if missing is None:
            there.append(name)
        else:
            left_out.append(f"{name} {missing}")
    return there, left_out


@contextmanager
def executors(names: Iterable[str], workers: int) -> Iterator[dict[str, Any]]:
    """An executor of each kind, with its workers started."""
    with ExitStack() as stack:
        made = {}
        for name in names:
            made[name] = executor = EXECUTORS[name].make(workers)
            stack.callback(executor.shutdown)
            for future in [executor.submit(tasks.compute, 100_000) for _ in range(4 * workers)]:
                future.result()
        yield made


# Links: to a worker that runs tasks.serve(), and back.

SERVE = "from common import tasks; tasks.serve(get, put)"

Link = tuple[Callable[[Any], object], Callable[[], Any]]  # put, get


@contextmanager
def serving(serve: Callable[[], object], put: Callable[[Any], object]) -> Iterator[None]:
    """Serve on another thread, until the end."""
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        put(None)
        thread.join()


@contextmanager
def channel_link(isolation: str | None = None) -> Iterator[Link]:
    """Two channels of ours."""
    (recv, send_back), (recv_back, send) = (
        subinterpreters.create_channel(),
        subinterpreters.create_channel(),
    )
    with subinterpreters.create(isolation=isolation) as interpreter:
        interpreter.prepare_main(recv=recv, send=send)
        code = f"get, put = recv.recv, send.send; {SERVE}"
        with serving(partial(interpreter.exec, code), send_back.send):
            yield send_back.send, recv_back.recv


@contextmanager
def queue_link(module: Any) -> Iterator[Link]:
    """Two queues of a module for interpreters."""
    there, back = module.create_queue(), module.create_queue()
    interpreter = module.create()
    try:
        interpreter.prepare_main(there=there, back=back)
        code = f"get, put = there.get, back.put; {SERVE}"
        with serving(partial(interpreter.exec, code), there.put):
            yield there.put, back.get
    finally:
        interpreter.close()


@contextmanager
def stdlib_link() -> Iterator[Link]:
    """Those of the standard library."""
    from concurrent import interpreters

    with queue_link(interpreters) as link:
        yield link


@contextmanager
def thread_link() -> Iterator[Link]:
    """Within this interpreter."""
    there: SimpleQueue[Any] = SimpleQueue()
    back: SimpleQueue[Any] = SimpleQueue()
    with serving(partial(tasks.serve, there.get, back.put), there.put):
        yield there.put, back.get


def serve_pipe(end: Any) -> None:
    """In a process."""
    tasks.serve(end.recv, end.send)


def serve_queues(there: Any, back: Any) -> None:
    """In a process."""
    tasks.serve(there.get, back.put)


@contextmanager
def in_process(target: Callable[..., None], *args: Any) -> Iterator[None]:
    """Run the function in a process."""
    process = CONTEXT.Process(target=target, args=args, daemon=True)
    process.start()
    yield
    process.join()


@contextmanager
def pipe_link() -> Iterator[Link]:
    """Both ways through one pipe."""
    end, other = multiprocessing.Pipe()
    with in_process(serve_pipe, other):
        yield end.send, end.recv
        end.send(None)


@contextmanager
def process_queue_link() -> Iterator[Link]:
    """Two queues of multiprocessing."""
    there, back = CONTEXT.Queue(), CONTEXT.Queue()
    with in_process(serve_queues, there, back):
        yield there.put, back.get
        there.put(None)


LINKS: Mapping[str, Callable[[], Any]] = {
    "channel": channel_link,
    "our queue": partial(queue_link, subinterpreters),
    "stdlib queue": stdlib_link,
    "multiprocessing.Pipe": pipe_link,
    "multiprocessing.Queue": process_queue_link,
    "threads, SimpleQueue": thread_link,
}


@contextmanager
def links() -> Iterator[tuple[dict[str, Link], list[str]]]:
    """All the links that there are here, and what to say of the others."""
    with ExitStack() as stack:
        missing = EXECUTORS[STDLIB].missing()
        names = [name for name in LINKS if missing is None or name != "stdlib queue"]
        left_out = [] if missing is None else [f"stdlib queue {missing}"]
        yield {name: stack.enter_context(LINKS[name]()) for name in names}, left_out


def need_stdlib() -> Any:
    """The standard library's concurrent.interpreters; without it the question is skipped."""
    missing = EXECUTORS[STDLIB].missing()
    if missing is not None:
        raise Skipped(f"concurrent.interpreters {missing}")
    from concurrent import interpreters

    return interpreters
