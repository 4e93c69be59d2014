# SPDX-License-Identifier: MIT
"""python -m subinterpreters FILE [ARG...]: run a program with our _xxsubinterpreters in place."""

import os
import runpy
import sys

from subinterpreters import _install_xxsubinterpreters

USAGE = "usage: python -m subinterpreters FILE [ARG...]"


def main() -> None:
    """Run sys.argv[1] as __main__, as `python FILE ARG...` would."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        sys.exit(0 if arguments else 2)
    path = arguments[0]
    if not os.path.isfile(path):
        print(f"python -m subinterpreters: no such file: {path!r}", file=sys.stderr)
        sys.exit(2)
    _install_xxsubinterpreters()
    sys.argv[:] = arguments
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.abspath(path))
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
