"""Right and wrong functions, and what a model might write by accident."""

import sys

import pytest

from course_lib.code_verifier import passes_tests

TESTS = "assert double(3) == 6\nassert double(-1) == -2"


def test_a_right_function_passes():
    assert passes_tests("def double(x):\n    return x + x", TESTS) == (True, "")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("def double(x):\n    return x * x", "AssertionError"),
        ("def double(x)\n    return 2 * x", "SyntaxError: expected ':'"),
        ("def triple(x):\n    return 3 * x", "NameError: name 'double' is not defined"),
        ("import sys\nsys.exit(0)", "ended with status 0"),
        ("import os\nos._exit(0)", "ended with status 0"),
        ("raise SystemExit('passed')", "passed"),
        ("a\0b", "a NUL character"),
    ],
)
def test_a_wrong_one_does_not(code, why):
    passed, said = passes_tests(code, TESTS)
    assert not passed and said == why


def test_an_endless_loop_ends():
    passed, why = passes_tests("def double(x):\n    while True: pass", TESTS, seconds=1)
    assert not passed and why == "not done after 1 s"


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of memory there")
def test_memory_is_limited():
    passed, why = passes_tests("def double(x):\n    return [0] * 10**9", TESTS)
    assert not passed and why == "MemoryError"


def test_nothing_is_left_and_nothing_of_ours_is_seen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SECRET_WORD", "x")
    code = "import os\nopen('left', 'w').close()\ndef double(x):\n    return 2 * x"
    assert passes_tests(code + "\nassert 'SECRET_WORD' not in os.environ", TESTS).passed
    assert list(tmp_path.iterdir()) == []
