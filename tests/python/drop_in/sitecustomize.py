# SPDX-License-Identifier: MIT
"""With this folder on PYTHONPATH, `import concurrent.interpreters` gets this package everywhere.

So does `concurrent.futures` its InterpreterPoolExecutor.

Everywhere is: in the process, its interpreters, and the processes that it starts.
"""

import os
import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

NAMES = {
    "concurrent.interpreters": "subinterpreters",
    "concurrent.futures.interpreter": "subinterpreters",
    "concurrent.interpreters._queues": "subinterpreters._queues",
}


class DropIn:
    """Finds the one module in the place of the other."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(name, cls) if name in NAMES else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        module = import_module(NAMES[spec.name])
        if spec.name == "concurrent.interpreters":  # its tests import helpers of it, too
            module.__path__.append(
                os.path.join(os.path.dirname(os.__file__), *spec.name.split("."))
            )
        return module

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        pass


sys.meta_path.insert(0, DropIn)
