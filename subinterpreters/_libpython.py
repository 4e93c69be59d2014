# SPDX-License-Identifier: MIT
"""Where the shared library of the running Python is."""

import mmap
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator


def _mapped(name: str) -> Iterator[str]:
    """The library that this process has mapped already."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n").partition("/")[2]
            if os.path.basename(path) == name:
                yield "/" + path
                return


def _candidates(name: str) -> Iterator[str]:
    """Paths where the library may be, the likeliest first."""
    yield from _mapped(name)
    triplet = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [
        sysconfig.get_config_var("LIBDIR"),
        sysconfig.get_config_var("LIBPL"),
        os.path.join(sys.base_prefix, "lib"),
        os.path.join(sys.base_prefix, "lib", triplet),
        os.path.join(sys.base_prefix, "lib64"),
        # beside the executable: uv, conda and other Pythons that were moved after they were built
        os.path.join(os.path.dirname(os.path.realpath(sys.executable)), "..", "lib"),
        os.path.join(os.path.dirname(os.path.realpath(sys.executable)), "..", "lib", triplet),
        # Debian's package libpython3.X
        os.path.join("/usr/lib", triplet),
        "/usr/local/lib",
    ]
    seen = set()
    for folder in folders:
        if folder and (path := os.path.normpath(os.path.join(folder, name))) not in seen:
            seen.add(path)
            yield path


def _is_of_this_version(path: str) -> bool:
    """Whether the library has the running Python's version, to the last digit, in it."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(platform.python_version().encode() + b"\0") >= 0


def find() -> str:
    """Return the path of the shared library of the running Python.

    Raises:
        FileNotFoundError: there is none; the message says what was tried and how to get one.
    """
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    wanted = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in wanted:  # this executable was linked with a static one
        wanted = f"libpython{version}{sys.abiflags}.so.1.0"
    tried = []
    for path in _candidates(wanted):
        try:
            if _is_of_this_version(path):
                return path
            tried.append(f"{path} (which is of another version)")
        except (OSError, ValueError):  # ValueError: it is empty
            tried.append(path)
    raise FileNotFoundError(
        f"isolation='private' needs the shared library of CPython {platform.python_version()}, "
        "and there is no "
        f"{', '.join(tried)}. Install it (Debian: apt install libpython{version}; pyenv: "
        "PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install; conda and uv have it)"
    )
