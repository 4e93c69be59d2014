# SPDX-License-Identifier: MIT
"""The same work in two interpreters at a time, against one: this needs 2 processors.

The reference is what two processes need for the same, against one: less cannot be had from this
machine. The least times count, since all processors are busy.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Self

from common.harness import Measure, Result, judge, main, measure, need, need_version

import subinterpreters

# Code that is run once, and code that takes about a tenth of a second: short enough to find a moment
# in which the processors have nothing else to do.
PYTHON = ("", "total = 0\nfor i in range(600_000): total += i * i")

TASKS = {
    "numpy": (
        """
import numpy as np
a = np.arange(50.0)
""",
        """
for _ in range(30_000):
    a = np.sqrt(a * 0.5 + 1.0)
""",
    ),
    "pandas": (
        """
import io
import pandas as pd
rows = "".join(f"{n % 7},{n * 3 % 11},{n / 3}\\n" for n in range(500))
""",
        """
for _ in range(24):
    frame = pd.read_csv(io.StringIO("a,b,c\\n" + rows))
    frame["d"] = frame["c"] * 2 + frame["b"]
    frame.groupby("a").agg({"c": "mean", "d": "max"}).sort_values("d").to_dict()
""",
    ),
    "lxml": (
        """
from lxml import etree
text = "<a>" + "".join(f"<b x='{n}'><c>text {n}</c></b>" for n in range(500)) + "</a>"
""",
        """
for _ in range(50):
    root = etree.fromstring(text)
    found = [each.findtext("c").upper() for each in root.iter("b") if int(each.get("x")) % 3]
    root.xpath("count(//b[@x > 90])")
    etree.tostring(root)
""",
    ),
    "pydantic": (
        """
import datetime
import pydantic

class Item(pydantic.BaseModel):
    name: str
    when: datetime.date
    prices: list[float]

class Order(pydantic.BaseModel):
    items: list[Item]

order = {"items": [{"name": "n", "when": "2020-01-01", "prices": ["1.5", 2, 3]}] * 50}
""",
        """
for _ in range(600):
    Order.model_validate_json(Order.model_validate(order).model_dump_json())
""",
    ),
    "sklearn": (
        """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
data, kinds = load_iris(return_X_y=True)
""",
        """
for _ in range(6):
    scaled = StandardScaler().fit_transform(data)
    LogisticRegression().fit(scaled, kinds).score(scaled, kinds)
    DecisionTreeClassifier(random_state=0).fit(scaled, kinds).predict(scaled)
""",
    ),
}


def together(functions: Sequence[Callable[[], object]]) -> float:
    """Call each function in a thread of its own, and return the seconds until all are done."""
    threads = [threading.Thread(target=function) for function in functions]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


# What a worker process runs: the code again for each line that it gets.
WORKER = """
import sys
prepare, work = sys.argv[1:]
work = compile(work, "work", "exec")
exec(prepare)
for line in sys.stdin:
    exec(work)
    print(flush=True)
"""


class Worker:
    """A process that runs the code when it is asked to."""

    def __init__(self, prepare: str, work: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", WORKER, prepare, work],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=60)

    def run(self) -> None:
        """Run it, and wait."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        if not self.process.stdout.readline():
            raise RuntimeError("a worker process has ended")


def two_against_one(question: str, isolation: str, code: tuple[str, str]) -> Result:
    """The same work in two interpreters at a time, against one; and in two processes."""
    prepare, work = code
    failed: list[BaseException] = []
    with ExitStack() as stack:
        interpreters = [
            stack.enter_context(subinterpreters.create(isolation=isolation)) for _ in range(2)
        ]
        workers = [stack.enter_context(Worker(prepare, work)) for _ in range(2)]
        for interpreter in interpreters:
            interpreter.exec(prepare)

        def execute(interpreter: subinterpreters.Interpreter) -> None:
            try:
                interpreter.exec(work)
            except subinterpreters.InterpreterError as error:
                failed.append(error)

        def in_interpreters(count: int) -> Measure:
            chosen = [lambda each=each: execute(each) for each in interpreters[:count]]
            return lambda: together(chosen)

        def in_processes(count: int) -> Measure:
            return lambda: together([worker.run for worker in workers[:count]])

        samples = measure(
            {
                "two": in_interpreters(2),
                "one": in_interpreters(1),
                "two processes": in_processes(2),
                "one process": in_processes(1),
            },
            20,
            best=True,
        )
    if failed:
        raise failed[0]
    result = judge(question, samples, ("two", "one"), {"one": 1.15})
    result.reference = samples.ratio("two processes", "one process").ratio
    return result


def own_python() -> Result:
    """Pure Python work in interpreters with their own GIL."""
    need_version(12, "a GIL of its own")
    return two_against_one("pure Python in two own-GIL ones, against one", "own", PYTHON)


def private_python() -> Result:
    """Pure Python work in private interpreters."""
    return two_against_one("pure Python in two private ones, against one", "private", PYTHON)


def package(name: str) -> Callable[[], Result]:
    """Return the question about a package in private interpreters."""

    def question() -> Result:
        need(name)
        return two_against_one(f"{name} in two private ones, against one", "private", TASKS[name])

    question.__name__ = f"private_{name}"
    return question


if __name__ == "__main__":
    main(__doc__, own_python, private_python, *map(package, TASKS))
