# SPDX-License-Identifier: MIT
"""CPython 3.11's own tests of _xxsubinterpreters, run on the module of this package."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
from support import cpython_311_tests, run_script, unavailable

NAME = "test__xxsubinterpreters"

EXCEPTIONS = {
    # it looks at __main__.__annotations__, which 3.14 makes on demand only
    "RunStringTests.test_execution_namespace_is_main": sys.version_info >= (3, 14),
}
SKIPPED = 6

DRIVER = f"""
    import json, sys, unittest
    import subinterpreters

    subinterpreters._install_xxsubinterpreters()
    sys.path.insert(0, sys.argv[1])
    suite = unittest.defaultTestLoader.loadTestsFromName("{NAME}")
    result = unittest.TextTestRunner(sys.stderr).run(suite)
    bad = result.failures + result.errors
    cases = [getattr(test, "test_case", test) for test, _ in bad]  # of a subtest
    report = {{
        "run": result.testsRun,
        "failed": sorted({{unittest.TestCase.id(case).partition(".")[2] for case in cases}}),
        "skipped": len(result.skipped),
    }}
    print("report", json.dumps(report))
    """


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A folder with the file of tests alone: the rest of CPython's tests is the running one's."""
    if importlib.util.find_spec("test.support") is None:
        unavailable("this Python comes without test.support")
    tests = cpython_311_tests()
    shutil.copy(tests / f"{NAME}.py", tmp_path)
    return tmp_path


def test_what_cpython_tests(suite: Path) -> None:
    done = run_script(DRIVER, str(suite), timeout=100, traceback=True)
    [line] = [line for line in done.stdout.splitlines() if line.startswith("report ")]
    report = json.loads(line.removeprefix("report "))
    expected = sorted(name for name, fails in EXCEPTIONS.items() if fails)
    assert report["failed"] == expected, done.stderr
    assert report["skipped"] == SKIPPED, done.stderr
    assert report["run"] > 100
