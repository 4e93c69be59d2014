# SPDX-License-Identifier: MIT
"""The ways to have two workers do the work, each on a half of the signal.

Each function gets the signal in ordinary memory, and returns the features of all of its blocks. What
it has to do for that, such as starting workers, is timed.
"""

import multiprocessing
import threading
from itertools import pairwise
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from features import BLOCK, FEATURES, extract

import subinterpreters

WORKERS = 2


def blocks(signal: np.ndarray) -> int:
    """Return how many blocks there are."""
    return len(signal) // BLOCK


def empty(signal: np.ndarray) -> np.ndarray:
    """Return an array for the features."""
    return np.empty((blocks(signal), len(FEATURES)))


def parts(signal: np.ndarray) -> list[tuple[int, int]]:
    """Return the blocks of each worker: the first, and the one after the last."""
    ends = [blocks(signal) * number // WORKERS for number in range(WORKERS + 1)]
    return list(pairwise(ends))


def one_interpreter(signal: np.ndarray) -> np.ndarray:
    """Do it all here."""
    found = empty(signal)
    extract(signal, found)
    return found


def in_threads(signal: np.ndarray) -> np.ndarray:
    """Do each part in a thread."""
    found = empty(signal)
    threads = [
        threading.Thread(
            target=extract, args=(signal[first * BLOCK : end * BLOCK], found[first:end])
        )
        for first, end in parts(signal)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# What a private interpreter runs. The arrays that it makes have the memory of the sender's.
PART = """
import sys

sys.path.insert(0, folder)

import numpy as np
from features import extract

extract(np.asarray(recv.recv()), np.asarray(recv.recv()))
"""


def in_interpreters(signal: np.ndarray) -> np.ndarray:
    """Do each part in a private interpreter, which has numpy and a GIL of its own."""
    found = empty(signal)

    def work(first: int, end: int) -> None:
        recv, send = subinterpreters.create_channel()
        with subinterpreters.create(isolation="private") as interp:
            interp.prepare_main(recv=recv, folder=str(Path(__file__).parent))
            send.send(signal[first * BLOCK : end * BLOCK])
            send.send(found[first:end])
            interp.exec(PART)

    threads = [threading.Thread(target=work, args=part) for part in parts(signal)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def share(array: np.ndarray) -> SharedMemory:
    """Copy an array into new shared memory."""
    shared = SharedMemory(create=True, size=array.nbytes)
    np.ndarray(array.shape, buffer=shared.buf)[:] = array
    return shared


def part_in_process(inputs: str, outputs: str, count: int, first: int, end: int) -> None:
    """Do a part in a process; `count` is the number of all blocks."""
    shared = SharedMemory(inputs), SharedMemory(outputs)
    signal = np.ndarray(count * BLOCK, buffer=shared[0].buf)
    found = np.ndarray((count, len(FEATURES)), buffer=shared[1].buf)
    extract(signal[first * BLOCK : end * BLOCK], found[first:end])
    del signal, found
    for each in shared:
        each.close()


def in_processes(signal: np.ndarray, start_method: str) -> np.ndarray:
    """Do each part in a process, which finds the signal in shared memory."""
    context = multiprocessing.get_context(start_method)
    shared = share(signal), share(empty(signal))
    processes = [
        context.Process(
            target=part_in_process, args=(shared[0].name, shared[1].name, blocks(signal), *part)
        )
        for part in parts(signal)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    found = np.ndarray((blocks(signal), len(FEATURES)), buffer=shared[1].buf).copy()
    for each in shared:
        each.close()
        each.unlink()
    return found


VARIANTS = {
    "one interpreter": one_interpreter,
    "threads": in_threads,
    "multiprocessing (spawn)": lambda signal: in_processes(signal, "spawn"),
    "multiprocessing (forkserver)": lambda signal: in_processes(signal, "forkserver"),
    "private interpreters": in_interpreters,
}
