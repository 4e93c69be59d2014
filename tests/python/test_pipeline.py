# SPDX-License-Identifier: MIT
"""The example of the pipeline: all ways to do the work find the same, and wrong arguments get errors."""

import sys
from pathlib import Path

import pytest
from support import SCRIPT_ENVIRONMENT, run_program

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "pipeline" / "pipeline.py"


@pytest.fixture(autouse=True)
def needs_packages():
    for name in "numpy", "psutil":
        pytest.importorskip(name)


def run(*arguments):
    # not in the root of the project: its sources would hide what is installed
    return run_program(
        [sys.executable, str(PROGRAM), *arguments],
        cwd=PROGRAM.parent,
        env=SCRIPT_ENVIRONMENT,
        timeout=100,
    )


def test_all_ways_find_the_same():
    result = run("--megabytes", "8", "--rounds", "1")
    assert result.returncode == 0, result.stderr
    title, _, *rows = result.stdout.splitlines()
    assert title.startswith("8 MB, all results the same; median of 1; ")
    cells = [[cell.strip() for cell in row.split("|")[1:6]] for row in rows[2:]]
    assert all(float(wall) > 0 and float(speed) > 0 for _, wall, speed, _, _ in cells)
    memory = {way: float(megabytes) for way, _, _, megabytes, _ in cells}
    assert 8 < memory["one interpreter"] < memory["private interpreters"]
    assert memory["multiprocessing (spawn)"] > memory["one interpreter"] + 20  # two more with numpy


@pytest.mark.parametrize("arguments", [["--megabytes", "0"], ["--rounds", "0"], ["--only", "x"]])
def test_wrong_arguments(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert arguments[0] in result.stderr.splitlines()[-1]
