# SPDX-License-Identifier: MIT
"""The commands of `python -m subinterpreters`; see USAGE."""

import os
import runpy
import sys

from subinterpreters import _install_xxsubinterpreters

USAGE = """\
usage: python -m subinterpreters FILE [ARG...]      run a program with our _xxsubinterpreters
       python -m subinterpreters check PACKAGE...   which kinds of interpreters a package runs in
       python -m subinterpreters cache [--clear]    the copies that private interpreters load
       python -m subinterpreters config [--cflags] [--libs]    a C compiler's options, to use libsubinterp"""


def refuse(reason: str) -> int:
    """Say what is wrong with the command line."""
    print(f"python -m subinterpreters: {reason}", file=sys.stderr)
    return 2


def run(path: str, arguments: list[str]) -> int:
    """Run a file as __main__, as `python FILE ARG...` would."""
    if not os.path.isfile(path):
        return refuse(f"no such file: {path!r}")
    _install_xxsubinterpreters()
    sys.argv[:] = [path, *arguments]
    if not sys.flags.safe_path:
        sys.path[0] = os.path.dirname(os.path.abspath(path))
    runpy.run_path(path, run_name="__main__")
    return 0


def check(packages: list[str]) -> int:
    """Say which kinds of interpreters the packages run in."""
    from subinterpreters._check import main

    if not packages or any(name.startswith("-") for name in packages):
        return refuse("check: expected the names of packages")
    return main(packages)


def config(arguments: list[str]) -> int:
    """Say how C code is compiled and linked that uses libsubinterp."""
    from subinterpreters._config import main

    if not arguments or not {"--cflags", "--libs"}.issuperset(arguments):
        return refuse(f"config: expected --cflags or --libs, got {' '.join(arguments)!r}")
    return main(arguments)


def cache(arguments: list[str]) -> int:
    """Say what is in the cache, or remove it."""
    from subinterpreters._subinterpreters import cache_clear, cache_info

    if arguments not in ([], ["--clear"]):
        return refuse(f"cache: expected nothing or --clear, got {' '.join(arguments)!r}")
    if arguments:
        cache_clear()
    folder, size, files, limit = cache_info()
    if folder is None:
        return refuse("cache: there is no folder for it; set SUBINTERPRETERS_CACHE to one")
    print(f"{folder}: {files} files, {size / 2**20:.1f} MiB of at most {limit / 2**20:.0f}")
    return 0


def main() -> int:
    """Do what the command line says."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE, file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    commands = {"check": check, "cache": cache, "config": config}
    if arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    return run(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
