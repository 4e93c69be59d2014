# SPDX-License-Identifier: MIT
"""The module that CPython 3.9 to 3.11 have under this name, for later versions.

CPython 3.11 and 3.12 have a module of this name, which comes first: run a program with
`python -m subinterpreters FILE` to get this one.
"""

from subinterpreters import _install_xxsubinterpreters

_install_xxsubinterpreters(__spec__)
