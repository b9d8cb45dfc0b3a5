"""A second verifier: a short Python function is right when its unit tests pass.

    verdict = passes_tests("def double(x): return 2 * x", "assert double(3) == 6")
    verdict.passed, verdict.why

The code runs in a process of its own with a limit of seconds, of memory and of open files, in an
empty folder, without this process's environment. That is enough against what a language model
writes by accident: an endless loop, a list that grows for ever, a stray file.

It is no sandbox. The code can open network connections and read whatever its user can read. Do not
run what a person wrote who wants to harm you; grading uses other means (docs/threat_model.md).
"""

import secrets
import subprocess
import sys
import tempfile
from typing import NamedTuple

# First the limits, in the child itself; then the code; then its tests, in the same names.
# `resource` is Unix only: elsewhere the limit of seconds remains.
_RUNNER = """
import sys
try:
    import resource
    memory = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
except ImportError:
    pass
code, tests, word = sys.stdin.read().split(chr(0))
names = {"__name__": "answer"}
exec(compile(code, "answer", "exec"), names)
exec(compile(tests, "tests", "exec"), names)
sys.__stdout__.write(word)
"""


class Verdict(NamedTuple):
    passed: bool
    why: str  # the last line of the error; "" if passed


def passes_tests(code: str, tests: str, seconds: float = 5.0, memory: int = 512 * 2**20) -> Verdict:
    """Does `code` run, and do the assertions in `tests` hold then?

    code, tests: Python source without NUL characters; tests uses the names that code defines
    seconds: wall clock; memory: bytes of address space
    A test that fails, an exception, sys.exit, a crash and a time-out are all "not passed".
    """
    if "\0" in code or "\0" in tests:
        return Verdict(False, "a NUL character")
    # The child says this word at its end: an exit with status 0 before the tests is no pass.
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-c", _RUNNER, str(memory)],
                input=f"{code}\0{tests}\0{word}",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                cwd=folder,
                env={"PATH": ""},
            )
        except subprocess.TimeoutExpired:
            return Verdict(False, f"not done after {seconds:g} s")
    if done.returncode == 0 and done.stdout.endswith(word):
        return Verdict(True, "")
    lines = done.stderr.strip().splitlines()
    return Verdict(False, lines[-1] if lines else f"ended with status {done.returncode}")
