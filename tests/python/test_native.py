# SPDX-License-Identifier: MIT
"""C code that uses libsubinterp: how it is compiled, and native threads that feed interpreters."""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from support import SCRIPT_ENVIRONMENT, run_program

import subinterpreters

PROGRAM = Path(__file__).resolve().parents[2] / "examples" / "native" / "feed.py"
COMPILER = shlex.split(os.environ.get("CC", "cc"))

needs_compiler = pytest.mark.skipif(shutil.which(COMPILER[0]) is None, reason="no C compiler")


def run(*arguments):
    # not in the root of the project: its sources would hide what is installed
    command = [sys.executable, *arguments]
    return run_program(command, cwd=PROGRAM.parent, env=SCRIPT_ENVIRONMENT, timeout=100)


def config(*arguments):
    return run("-m", "subinterpreters", "config", *arguments)


def test_files_are_there():
    assert Path(subinterpreters.get_include(), "subinterp.h").is_file()
    assert Path(subinterpreters.get_library()).is_file()


def test_config():
    done = config("--cflags", "--libs")
    assert done.returncode == 0, done.stderr
    include, folder, run_path, library = shlex.split(done.stdout)
    assert include == f"-I{subinterpreters.get_include()}"
    assert Path(folder.removeprefix("-L"), "libsubinterp.so") == Path(subinterpreters.get_library())
    assert run_path.startswith("-Wl,-rpath,/")
    assert library == "-lsubinterp"


@pytest.mark.parametrize("arguments", [[], ["--ldflags"], ["--libs", "x"]])
def test_config_refuses(arguments):
    done = config(*arguments)
    assert done.returncode == 2
    assert "config: expected --cflags or --libs" in done.stderr


@needs_compiler
@pytest.mark.parametrize("options", [[], ["--ticks"], ["--capacity=0"], ["--threads=5"]])
def test_native_threads_feed_interpreters(options):
    done = run(str(PROGRAM), "--messages=20000", *options)
    assert done.returncode == 0, done.stderr
    count, speed = done.stdout.splitlines()
    assert count.startswith("20000 messages (")
    assert count.endswith(", as sent")
    assert speed.endswith(" million messages/s")


@needs_compiler
def test_header_is_complete(tmp_path):
    source = tmp_path / "program.c"
    source.write_text("""
#include <subinterp.h>
int main(void)
{
    subi_channel *c;
    subi_message m = subi_message_integer(42);
    return subi_channel_new(SUBI_UNBOUNDED, &c) != SUBI_OK ||
           subi_channel_send(c, SUBI_NOBODY, &m, SUBI_TRY) != SUBI_OK ||
           subi_channel_recv(c, SUBI_NOBODY, &m, SUBI_TRY) != SUBI_OK || m.u.integer != 42;
}
""")
    flags = shlex.split(config("--cflags", "--libs").stdout)
    program = tmp_path / "program"
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    done = run_program([*COMPILER, *strict, str(source), *flags, "-o", str(program)])
    assert done.returncode == 0, done.stderr
    assert run_program([str(program)]).returncode == 0
