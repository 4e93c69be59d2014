# SPDX-License-Identifier: MIT
"""Native threads, which know nothing of Python, feed interpreters through a channel.

The C code is compiled with the system's C compiler against the header and the library that the
package brings.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import subinterpreters

SOURCE = Path(__file__).resolve().with_name("producers.c")
LIMIT = 2**32 - 1  # the numbers of a producer have 32 bits

# What each receiving interpreter runs.
SUM_INTEGERS = """
received = total = 0
for number in messages:
    received += 1
    total += number
results.send((received, total))
"""
SUM_TICKS = """
from struct import Struct
unpack = Struct("=IId").unpack
received = total = 0
for message in messages:
    producer, number, value = unpack(message)
    received += 1
    total += number
results.send((received, total))
"""


def build(folder: Path) -> ctypes.CDLL:
    """Compile the C part and load it."""
    library = folder / "producers.so"
    compiler = shlex.split(os.environ.get("CC", "cc"))
    options = ["-std=gnu11", "-O2", "-shared", "-fPIC", "-pthread"]
    # what `python -m subinterpreters config --cflags --libs` says, for build scripts
    core = Path(subinterpreters.get_library())
    flags = [f"-I{subinterpreters.get_include()}", str(core), f"-Wl,-rpath,{core.parent}"]
    subprocess.run([*compiler, *options, str(SOURCE), *flags, "-o", str(library)], check=True)
    native = ctypes.CDLL(str(library))
    native.producers_start.restype = ctypes.c_void_p
    native.producers_start.argtypes = [
        ctypes.c_int64,
        ctypes.c_uint,
        ctypes.c_uint32,
        ctypes.c_bool,
    ]
    native.producers_join.restype = ctypes.c_uint64
    native.producers_join.argtypes = [ctypes.c_void_p]
    return native


def feed(native: ctypes.CDLL, args: argparse.Namespace) -> None:
    """Run all threads and interpreters, check what was received, and print the rate."""
    messages, end = subinterpreters.create_channel(args.capacity)
    results, send_result = subinterpreters.create_channel()
    code = SUM_TICKS if args.ticks else SUM_INTEGERS
    each = args.messages // args.threads
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(args.receivers))
        interps = [stack.enter_context(subinterpreters.create()) for _ in range(args.receivers)]
        for interp in interps:
            interp.prepare_main(messages=messages, results=send_result)

        started = time.perf_counter()
        runs = [pool.submit(interp.exec, code) for interp in interps]
        producers = native.producers_start(end.id, args.threads, each, args.ticks)
        del end  # theirs are the last handles on it: the channel closes when they are done
        if producers is None:
            raise SystemExit("the native threads could not be started")
        for run in runs:
            run.result()
        sent = native.producers_join(producers)
        seconds = time.perf_counter() - started
    got = [results.recv_nowait() for _ in runs]

    count, total = (sum(column) for column in zip(*got, strict=True))
    if (count, total) != (each * args.threads, sent):
        raise SystemExit(f"sent {each * args.threads}, sum {sent}; received {count}, sum {total}")
    shares = " + ".join(str(received) for received, _ in got)
    print(f"{count} messages ({shares}), sum {total}, as sent")
    print(f"{seconds:.2f} s, {count / seconds / 1e6:.2f} million messages/s")


def number(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of arguments: an int within these limits."""

    def parse(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected {least} to {most}, got {value}")
        return value

    parse.__name__ = "int"  # what an error message calls it
    return parse


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=number(1, LIMIT), default=4_000_000, help="in all")
    parser.add_argument("--threads", type=number(1, 1000), default=2, help="native ones")
    parser.add_argument("--receivers", type=number(1, 1000), default=2, help="interpreters")
    parser.add_argument(
        "--capacity", type=number(0, LIMIT), default=1024, help="of the channel: how many may wait"
    )
    parser.add_argument("--ticks", action="store_true", help="send structs, not integers")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        feed(build(Path(folder)), args)


if __name__ == "__main__":
    main()
