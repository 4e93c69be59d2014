# SPDX-License-Identifier: MIT
"""The programs that damage what the package reads, for some seconds."""

import os
import random
import sys
from pathlib import Path

import pytest
from support import CRASHES, LONG, run_program

PROGRAM = Path(__file__).with_name("fuzz_codec.py")
SECONDS = 60 if LONG else 5


# With the debug hooks of the allocator, which see a write beyond the end of an object.
@pytest.mark.parametrize("allocator", ["debug", "malloc"])
def test_damaged_messages(allocator):
    seed = random.randrange(2**32)
    command = [sys.executable, "-P", "-X", "faulthandler", str(PROGRAM)]
    command += [f"--seconds={SECONDS}", f"--seed={seed}"]
    env = {**os.environ, "PYTHONMALLOC": allocator, "MALLOC_PERTURB_": "165"}
    done = run_program(command, timeout=SECONDS + 60, env=env)
    told = f"seed {seed}\nstdout:\n{done.stdout}\nstderr:\n{done.stderr}"
    assert done.returncode == 0, told
    assert not any(crash in done.stderr for crash in CRASHES), told
