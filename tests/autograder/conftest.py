"""Warm processes, started once for all tests that judge."""

import pytest

from autograder.sandbox import SandboxError, resolve_mode
from autograder.warm import start_warm


@pytest.fixture(scope="session")
def warm_pair():
    """(student_warm, judge_warm), sandboxed where the machine allows it."""
    try:
        mode = resolve_mode("auto")
    except SandboxError:
        mode = "none"
    with start_warm("student", mode, wait=False) as student, start_warm("judge", mode) as judge:
        yield student.wait_ready(), judge
