# SPDX-License-Identifier: MIT
"""Questions about what private interpreters cost: to make one, and to import numpy in another."""

import json
import subprocess
import sys
import time

from harness import Result, compare, need

import subinterpreters


def create_private() -> Result:
    """One creation, against the start and end of a process with the same Python."""
    command = [getattr(sys, "_base_executable", sys.executable), "-I", "-c", "pass"]

    def ours() -> float:
        start = time.perf_counter()
        interpreter = subinterpreters.create(isolation="private")
        took = time.perf_counter() - start
        interpreter.close()
        return took

    def process() -> float:
        start = time.perf_counter()
        subprocess.run(command, check=True)
        return time.perf_counter() - start

    return compare("create a private one, against a process", 2, 15, private=ours, process=process)


# The first import in a process finds nothing loaded, so each round is a process.
IMPORT_TWICE = """
import json, time
import subinterpreters

def take(interpreter):
    start = time.perf_counter()
    interpreter.exec("import numpy")
    return time.perf_counter() - start

both = [subinterpreters.create(isolation="private") for _ in range(2)]
print(json.dumps([take(interpreter) for interpreter in both]))
"""


def import_numpy() -> Result:
    """Import numpy in a second private interpreter, against the first one, which is still open."""
    need("numpy")
    first = 0.0

    def second() -> float:
        nonlocal first
        done = subprocess.run(
            [sys.executable, "-P", "-c", IMPORT_TWICE], check=True, stdout=subprocess.PIPE
        )
        first, seconds = json.loads(done.stdout)
        return seconds

    return compare(
        "import numpy in the second private one", 1.2, second=second, first=lambda: first
    )


QUESTIONS = [create_private, import_numpy]
