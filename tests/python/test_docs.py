# SPDX-License-Identifier: MIT
"""Each block of code in README.md and docs/ runs, as a program of its own, and prints what is shown below it.

See CONTRIBUTING.md for how they are written.
"""

import os
import re
import shlex
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from support import SCRIPT_ENVIRONMENT, run_program, run_script

import subinterpreters

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTIONAL = ("numpy", "cloudpickle", "joblib", "dask", "distributed", "sklearn")
COMPILER = shlex.split(os.environ.get("CC", "cc"))


class Block(NamedTuple):
    name: str  # README.md:12
    code: str
    output: str
    source: str  # C code that it uses


def blocks(page: Path) -> list[Block]:
    """The programs of a page, with the `text` right below each and the `c` before it."""
    text = page.read_text(encoding="utf-8")
    fenced = list(FENCED.finditer(text))
    found = []
    source = ""
    for block, after in zip(fenced, [*fenced, None][1:], strict=True):
        language, code = block.groups()
        if language == "c":
            source = code
        if language != "python":
            continue
        shown = after is not None and after[1] == "text"
        shown = shown and text[block.end() : after.start()].strip() == ""
        line = text.count("\n", 0, block.start()) + 1
        found.append(Block(f"{page.name}:{line}", code, after[2] if shown else "", source))
        source = ""
    return found


def compile_example(source: str, folder: Path) -> None:
    """Make ./example.so of C code."""
    if shutil.which(COMPILER[0]) is None:
        pytest.skip("no C compiler")
    (folder / "example.c").write_text(source, encoding="utf-8")
    core = Path(subinterpreters.get_library())
    options = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread"]
    paths = [f"-I{subinterpreters.get_include()}", str(core), f"-Wl,-rpath,{core.parent}"]
    command = [*COMPILER, *options, "example.c", *paths, "-o", "example.so"]
    done = run_program(command, cwd=folder)
    assert done.returncode == 0, done.stderr


ALL = [block for page in PAGES for block in blocks(page)]


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.name)
def test_code_runs_as_shown(block: Block, tmp_path: Path) -> None:
    for name in OPTIONAL:
        if re.search(rf"\b(import|from)\b.*\b{name}\b", block.code) and find_spec(name) is None:
            pytest.skip(f"no {name}")
    if block.source:
        compile_example(block.source, tmp_path)
    (tmp_path / "program.py").write_text(block.code, encoding="utf-8")
    legacy = ["-m", "subinterpreters"] if "_xxsubinterpreters" in block.code else []
    command = [sys.executable, "-X", "faulthandler", *legacy, "program.py"]
    done = run_program(command, cwd=tmp_path, env=SCRIPT_ENVIRONMENT, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, block.output, "")


def test_each_page_that_has_code_is_found() -> None:
    pages = {block.name.partition(":")[0] for block in ALL}
    assert {"README.md", "private.md", "reference.md"} <= pages


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_docstrings_run_as_shown() -> None:
    done = run_script(
        """
        import doctest
        import importlib
        attempted = 0
        for name in ("", "._barrier", "._logging"):
            module = importlib.import_module("subinterpreters" + name)
            for each in getattr(module, "__all__", ()):
                getattr(module, each)
            result = doctest.testmod(module)
            assert result.failed == 0
            attempted += result.attempted
        print(attempted)
        """,
        timeout=60,
    )
    assert int(done.stdout) > 10
