# SPDX-License-Identifier: MIT
"""Numpy and Python over 500 MB in two private interpreters (examples/pipeline). The least times count."""

import json
import subprocess
import sys

from common.harness import BENCH, Measure, Result, judge, main, measure, need

PIPELINE = BENCH.parent / "examples" / "pipeline" / "pipeline.py"


def pipeline_side(name: str) -> Measure:
    """Return a function that runs a variant of the pipeline, and returns its seconds."""
    command = [sys.executable, PIPELINE, "--only", name]

    def once() -> float:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)["seconds"]

    return once


def pipeline() -> list[Result]:
    """Against one interpreter, and against processes: with what it takes to start them."""
    need("numpy")
    names = ("private interpreters", "one interpreter", "multiprocessing (forkserver)")
    ours, one, processes = names
    sides = {name: pipeline_side(name) for name in names}
    samples = measure(sides, 5, best=True, warm_up=False)
    return [
        judge(
            "pipeline of 500 MB in two private ones, against one",
            samples,
            (ours, one),
            {one: 1 / 1.7},
        ),
        judge(
            "pipeline of 500 MB, against multiprocessing (forkserver)",
            samples,
            (ours, processes),
            {processes: 1},
        ),
    ]


if __name__ == "__main__":
    main(__doc__, pipeline)
