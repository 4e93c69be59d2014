# SPDX-License-Identifier: MIT
"""What editors and type checkers are told: names, signatures and docstrings. `make lint` checks types."""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from support import run_script

import subinterpreters

NAMES = Path(__file__).parents[1] / "typing" / "names.py"
CLASSES = [
    value
    for name in subinterpreters.__all__
    if isinstance(value := getattr(subinterpreters, name), type)
    and not issubclass(value, Exception)
]
FUNCTIONS = [
    value
    for name in subinterpreters.__all__
    if inspect.isroutine(value := getattr(subinterpreters, name))
]


def public(cls: type) -> dict[str, Any]:
    return {name: value for name, value in vars(cls).items() if not name.startswith("_")}


def test_the_typed_program_has_all_names() -> None:
    [imported] = [
        node for node in ast.parse(NAMES.read_text()).body if isinstance(node, ast.ImportFrom)
    ]
    assert {alias.name for alias in imported.names} == set(subinterpreters.__all__)


def test_help_has_all_names() -> None:
    done = run_script(
        "import pydoc, subinterpreters; print(pydoc.plain(pydoc.render_doc(subinterpreters)))",
        timeout=60,
    )
    shown = re.findall(r"^    (?:class )?(\w+)(?:\(| = |$)", done.stdout, re.MULTILINE)
    assert set(subinterpreters.__all__) <= set(shown)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_methods_have_signatures(cls: type) -> None:
    for name, method in public(cls).items():
        if inspect.isroutine(method):
            assert next(iter(inspect.signature(method).parameters)) == "self", name


def test_bound_methods_have_signatures() -> None:
    assert str(inspect.signature(subinterpreters.Lock().acquire)) == "(blocking=True, timeout=-1)"
    assert str(inspect.signature(subinterpreters.Event().wait)) == "(timeout=None)"


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_functions_have_signatures(function: Any) -> None:
    assert "self" not in inspect.signature(function).parameters


@pytest.mark.parametrize("each", CLASSES + FUNCTIONS, ids=lambda each: each.__name__)
def test_all_is_documented(each: Any) -> None:
    assert inspect.getdoc(each)
    if isinstance(each, type):
        undocumented = [name for name, value in public(each).items() if not inspect.getdoc(value)]
        assert undocumented == []


@pytest.mark.parametrize("each", CLASSES + FUNCTIONS, ids=lambda each: each.__name__)
def test_documented_arguments_are_those_of_the_signature(each: Any) -> None:
    routines = public(each).values() if isinstance(each, type) else [each]
    for routine in filter(inspect.isroutine, routines):
        doc = inspect.getdoc(routine) or ""
        _, _, arguments = doc.partition("Args:\n")
        arguments, _, _ = arguments.partition("\n\n")
        named = [
            name.strip()
            for line in arguments.splitlines()
            if line.startswith("    ") and not line.startswith("     ")
            for name in line.partition(":")[0].split(",")
        ]
        parameters = set(inspect.signature(routine).parameters) | {"timeout"}
        assert parameters.issuperset(named), routine
