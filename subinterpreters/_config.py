# SPDX-License-Identifier: MIT
"""What C code needs to use libsubinterp: `python -m subinterpreters config`."""

import os
import shlex

from subinterpreters import get_include, get_library


def options(what: str) -> list[str]:
    """Return the compiler's options for --cflags, the linker's for --libs."""
    if what == "--cflags":
        return [f"-I{get_include()}"]
    folder = os.path.dirname(get_library())
    return [f"-L{folder}", f"-Wl,-rpath,{folder}", "-lsubinterp"]


def main(wanted: list[str]) -> int:
    """Print the options on one line, quoted for a shell."""
    print(shlex.join(option for what in wanted for option in options(what)))
    return 0
