# SPDX-License-Identifier: MIT
"""Extract features of a large array with numpy and Python, in several ways, and compare these."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from features import BLOCK
from variants import VARIANTS

LIMIT_SECONDS = 300
REFERENCE = "one interpreter"


class PipelineError(Exception):
    """A variant has failed; the message says how in one line."""


@dataclass
class Variant:
    """What has been measured of one variant."""

    name: str
    walls: list[float] = field(default_factory=list)  # seconds, one a round
    peaks: list[float] = field(default_factory=list)  # MB

    @property
    def wall(self) -> float:
        """The median of the seconds from having the array to having the features."""
        return statistics.median(self.walls)

    @property
    def peak(self) -> float:
        """The most memory ever seen, in MB."""
        return max(self.peaks)

    def speedup(self, other: Variant) -> float:
        """Return the median, over the rounds, of how many times as fast as `other` this is."""
        return statistics.median(b / a for a, b in zip(self.walls, other.walls, strict=True))


def run_here(name: str, megabytes: int) -> None:
    """Run one variant in this process, and print what it found and how long it took."""
    count = megabytes * 1_000_000 // 8 // BLOCK
    signal = np.random.default_rng(0).standard_normal(count * BLOCK)
    start = time.perf_counter()
    found = VARIANTS[name](signal)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "sums": found.sum(axis=0).tolist()}))


def memory_of(pid: int, samples: list[int]) -> AbstractContextManager[None]:
    """Sample the memory of a process tree; what this imports is not in the measured processes."""
    sys.path.append(str(Path(__file__).resolve().parent.parent))
    from memory import sampling

    return sampling(pid, samples)


def run(variant: Variant, megabytes: int, *, memory: bool) -> list[float]:
    """Run a variant in a new process, record its memory or time, return sums over the features."""
    samples: list[int] = []
    command = [sys.executable, __file__, "--megabytes", str(megabytes), "--only", variant.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            with memory_of(process.pid, samples) if memory else nullcontext():
                output, _ = process.communicate(timeout=LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise PipelineError(f"{variant.name}: over {LIMIT_SECONDS} seconds") from None
    if process.returncode != 0:
        raise PipelineError(f"{variant.name}: exit status {process.returncode}")
    result = json.loads(output)
    if memory:
        variant.peaks.append(max(samples) / 1e6)
    else:
        variant.walls.append(result["seconds"])
    return result["sums"]


def measure(variants: list[Variant], rounds: int, megabytes: int) -> None:
    """Run all the variants in turns, for their memory and then for their time; compare results."""
    expected = None
    for number in range(rounds + 1):
        for variant in variants if number % 2 == 0 else reversed(variants):
            sums = run(variant, megabytes, memory=number == 0)
            expected = expected or sums
            if sums != expected:
                raise PipelineError(f"{variant.name}: found {sums}, but others {expected}")
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def report(variants: list[Variant]) -> None:
    """Print the table, in Markdown."""
    reference = next(variant for variant in variants if variant.name == REFERENCE)
    print("| variant | wall (s) | speed | memory (MB) | more (MB) |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for variant in variants:
        print(
            f"| {variant.name} | {variant.wall:.2f} | {variant.speedup(reference):.2f} "
            f"| {variant.peak:.0f} | {variant.peak - reference.peak:+.0f} |"
        )


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--megabytes", type=int, default=500, help="of the array, default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=3, help="default: %(default)s")
    parser.add_argument(
        "--only", choices=VARIANTS, help="run this here, once, and print its result as JSON"
    )
    options = parser.parse_args()
    if options.megabytes < 1 or options.rounds < 1:
        parser.error("--megabytes and --rounds are at least 1")
    return options


def main() -> None:
    """Run the comparison, or a variant; report a failure as one line."""
    options = parse_arguments()
    if options.only:
        run_here(options.only, options.megabytes)
        return
    variants = [Variant(name) for name in VARIANTS]
    try:
        measure(variants, options.rounds, options.megabytes)
    except (PipelineError, OSError) as error:
        sys.exit(f"pipeline.py: error: {error}")
    print(
        f"{options.megabytes} MB, all results the same; median of {options.rounds}; "
        f"CPython {platform.python_version()}, {os.cpu_count()} CPUs\n"
    )
    report(variants)


if __name__ == "__main__":
    main()
