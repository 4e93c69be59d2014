# SPDX-License-Identifier: MIT
"""What several test files need."""

import subprocess
import sys
import textwrap

TRACEBACK = "Traceback (most recent call last)"
CRASHES = ("Fatal Python error", "AddressSanitizer", "_PyMem_DebugRawFree", "Segmentation fault")


def run_script(
    code: str,
    *args: str,
    timeout: float = 30,
    returncode: int = 0,
    env: dict[str, str] | None = None,
    traceback: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run code in a new process; `returncode` and a clean stderr are asserted.

    A traceback in stderr fails unless `traceback` allows it or returncode is 1.
    """
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-P", "-c", textwrap.dedent(code), *args],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=env,
    )
    told = f"\nreturncode {done.returncode}\nstdout:\n{done.stdout}\nstderr:\n{done.stderr}"
    assert done.returncode == returncode, told
    for crash in CRASHES:
        assert crash not in done.stderr, told
    assert traceback or returncode == 1 or TRACEBACK not in done.stderr, told
    return done
