# SPDX-License-Identifier: MIT
"""python -m subinterpreters check PACKAGE...: which kinds of interpreters a package can be used in."""

import importlib.metadata
import importlib.util
import subprocess
import sys

KINDS = ("own", "shared", "private") if sys.version_info >= (3, 12) else ("private",)
TIMEOUT = 120  # seconds for one import

# Run in a process of its own, since a package may crash it. Two interpreters, since some modules
# can be imported only once in a process.
PROBE = """
import sys, warnings
import subinterpreters
warnings.simplefilter("ignore")
kind, name = sys.argv[1:]
for _ in range(2):
    with subinterpreters.create(isolation=kind) as interp:
        interp.prepare_main(name=name)
        try:
            interp.exec("import importlib; importlib.import_module(name)")
        except subinterpreters.ExecutionFailed as error:
            info = error.excinfo
            print(f"{info.type.__name__}: {info.msg}", file=sys.stderr)
            sys.exit(3)
"""


def modules(package: str) -> list[str]:
    """The top-level modules of a package, by the name to import or the name to install."""
    try:
        if importlib.util.find_spec(package) is not None:
            return [package]
    except (ImportError, ValueError):
        return [package]  # importing it will tell
    wanted = package.lower().replace("_", "-")
    found = [
        module
        for module, names in importlib.metadata.packages_distributions().items()
        if wanted in (name.lower().replace("_", "-") for name in names) and module.isidentifier()
    ]
    return [module for module in found if not module.startswith("_")] or found or [package]


def last_line(text: str) -> str:
    """The line that says why, of what a process wrote to stderr."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    refusal = [line for line in lines if "isolation='private'" in line]
    return (refusal or lines or ["no reason given"])[-1 if not refusal else 0]


def probe(module: str, kind: str) -> str:
    """Why the module cannot be used in that kind of interpreter; "" if it can."""
    command = [sys.executable, "-c", PROBE, kind, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        return f"did not end within {TIMEOUT} seconds"
    if done.returncode < 0:
        return f"crashed: signal {-done.returncode}"
    return last_line(done.stderr) if done.returncode != 0 else ""


def main(packages: list[str]) -> int:
    """Print what was found; return 1 if a package cannot be used in any kind, else 0."""
    status = 0
    for package in packages:
        for module in modules(package):
            reasons = {kind: probe(module, kind) for kind in KINDS}
            answers = "  ".join(
                f"{kind}: {'no' if why else 'yes'}" for kind, why in reasons.items()
            )
            print(f"{module}  {answers}", flush=True)
            for why in dict.fromkeys(filter(None, reasons.values())):
                kinds = ", ".join(kind for kind in KINDS if reasons[kind] == why)
                print(f"    {kinds}: {why}")
            status |= all(reasons.values())
    return status
