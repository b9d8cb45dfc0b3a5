import json
import linecache
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from course_lib import checking
from course_lib.checking import Case, CheckFailed, check, run_check, visible
from course_lib.comparing import compare, describe
from course_lib.exercises import Exercise
from course_lib.rendering import report_html, report_text

HINTS = ("look at the shape", "use `view`", "x.view(2)")


@pytest.fixture
def exercise(monkeypatch):
    """Registers cases for an exercise that only this test knows."""

    def register(cases, functions=("f",)):
        one = Exercise("99_test", "f", "f", 1, 1, 5, HINTS, functions)
        monkeypatch.setattr(checking, "find_exercise", lambda name: one)
        monkeypatch.setattr(checking, "_CHECKS", {})
        visible("f")(cases)

    return register


def one_case(**fields):
    def cases(f):
        yield Case("a case", call="f(1)", got=lambda: f(1), **fields)

    return cases


def outcome(exercise, f, **fields):
    exercise(one_case(**fields))
    report = run_check("f", f)
    text, page = report_text(report), report_html(report)
    assert text and page
    return SimpleNamespace(report=report, one=report.outcomes[0], text=text, html=page)


def student(source):
    """Functions as a notebook cell would define them, with their source lines."""
    space, name = {"__name__": "__main__", "torch": torch}, f"cell{len(linecache.cache)}"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    exec(compile(source, name, "exec"), space)
    return SimpleNamespace(**space)


def test_a_right_answer_passes(exercise):
    seen = outcome(exercise, lambda n: torch.ones(2), expected=torch.ones(2))
    assert seen.report.passed
    assert "f: 1 case passes" in seen.text and "✓" in seen.html


def test_counts_cases_in_the_title(exercise):
    def cases(f):
        for n in range(4):
            yield Case(f"case {n}", call=f"f({n})", got=lambda n=n: f(n), expected=n)

    exercise(cases)
    assert run_check("f", lambda n: n % 3).title == "f: 3 of 4 cases pass - not yet"
    assert run_check("f", lambda n: n).title == "f: all 4 cases pass - well done"


def test_wrong_value_shape_dtype_and_type_are_told_apart(exercise):
    want = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    answers = {
        "wrong value": want + torch.tensor([[0.0, 0.0], [0.0, 9.0]]),
        "wrong shape": want[None],
        "wrong dtype": want.double(),
        "wrong type": want.tolist(),
    }
    for kind, answer in answers.items():
        seen = outcome(exercise, lambda n, a=answer: a, expected=want)
        assert seen.one.status == "fail" and seen.one.kind == kind
        assert kind in seen.text and kind in seen.html
    seen = outcome(exercise, lambda n: answers["wrong value"], expected=want)
    assert "at [1, 1]: expected 4, yours is 13" in seen.text and "1 of 4 elements" in seen.text
    assert "[13]" in seen.text and "≠ 13" in seen.html  # the picture marks the cell by a sign
    seen = outcome(exercise, lambda n: want.double(), expected=want)
    assert "float64" in seen.text and "the values are right" in seen.text
    assert outcome(exercise, lambda n: want.double(), expected=want, dtype_matters=False)


def test_the_dtype_may_not_matter(exercise):
    seen = outcome(
        exercise, lambda n: torch.ones(3).double(), expected=torch.ones(3), dtype_matters=False
    )
    assert seen.report.passed


def test_names_the_likely_mistake_in_order(exercise):
    want = torch.tensor([0, 0, 1, 1])
    mistakes = [("first", torch.tensor([9, 9, 9, 9])), ("tiled", lambda: torch.tensor([0, 1] * 2))]
    seen = outcome(exercise, lambda n: torch.tensor([0, 1, 0, 1]), expected=want, mistakes=mistakes)
    assert seen.one.mistake == "tiled"
    assert "tiled" in seen.text and "tiled" in seen.html


def test_a_broken_mistake_is_an_error_of_the_course(exercise):
    seen = outcome(exercise, lambda n: 2, expected=1, mistakes=[("bad", lambda: 1 / 0)])
    assert "ZeroDivisionError" in seen.report.course_errors[0]


def test_general_mistakes_are_guessed():
    want = torch.tensor([[1.0, 2.0], [5.0, 7.0]])
    guesses = {
        "2 times": want * 2,
        "1/4 of": want / 4,
        "opposite sign": -want,
        "transpose": want.T,
        "all your values are zero": want * 0,
        "NaN": want * float("nan"),
        "reverse order along dimension 1": want.flip(1),
    }
    for words, answer in guesses.items():
        assert words in compare(answer, want).guess
    assert compare(want + 1, want).guess == ""
    assert "squeeze" in compare(want[None], want).guess
    assert "whole numbers" in compare(24.0, 24).guess
    assert "return" in compare(None, 24).guess


def test_an_exception_shows_type_message_and_the_students_line(exercise):
    cell = student("def helper(x):\n    return x['b']\n\ndef f(n):\n    return helper({'a': 1})\n")
    seen = outcome(exercise, cell.f, expected=1)
    assert seen.one.status == "error"
    assert "KeyError: 'b'" in seen.text
    assert "line 2, in helper: return x['b']" in seen.text
    assert "line 2, in helper" in seen.html


def test_the_line_is_the_students_even_when_torch_raises(exercise):
    cell = student("def f(n):\n    a = torch.ones(2)\n    return torch.relu(a @ a @ 3)\n")
    assert "line 3, in f" in outcome(exercise, cell.f, expected=1).text


def test_expected_exceptions(exercise):
    cell = student("def f(n):\n    raise ValueError('no')\n")
    assert outcome(exercise, cell.f, raises=ValueError).report.passed
    assert outcome(exercise, cell.f, raises=(KeyError, ValueError)).report.passed
    seen = outcome(exercise, cell.f, raises=KeyError)
    assert seen.one.status == "error" and "another exception" in seen.text
    seen = outcome(exercise, lambda n: 3, raises=KeyError)
    assert seen.one.kind == "nothing was raised" and "raises KeyError" in seen.text


def test_verify(exercise):
    assert outcome(exercise, lambda n: 3, verify=lambda r: None).report.passed
    seen = outcome(exercise, lambda n: 3, verify=lambda r: "it must be even")
    assert seen.one.status == "fail" and "it must be even" in seen.text
    none = student("def f(n):\n    pass\n").f
    seen = outcome(exercise, none, verify=lambda r: r.shape)
    assert seen.one.status == "fail" and "could not use your result" in seen.text


def test_not_started_and_cases_not_run(exercise):
    def cases(f):
        for n in range(3):
            yield Case(f"case {n}", call="f()", got=lambda: f(), expected=1)

    exercise(cases)
    report = run_check("f", student("def f():\n    raise NotImplementedError\n").f)
    assert report.title == "f: not started yet"
    assert [o.status for o in report.outcomes] == ["not run"] * 3
    assert "not run" in report_text(report) and "○" in report_html(report)
    waiting = student("def g():\n    raise NotImplementedError()\n\ndef f():\n    return g()\n")
    assert run_check("f", waiting.f).title == "f: waiting for g, which is not written yet"


def test_a_class_whose_body_is_missing_is_not_started(exercise):
    def cases(f):
        layer = f(3)  # outside any case
        yield Case("x", call="", got=lambda: layer(1), expected=1)

    exercise(cases)
    cell = student("class f:\n    def __init__(self, n):\n        raise NotImplementedError\n")
    assert run_check("f", cell.f).not_started == "not started yet"
    cell = student("class f:\n    def __init__(self, n):\n        self.x = n / 0\n")
    report = run_check("f", cell.f)
    assert not report.course_errors and report.outcomes[0].status == "error"
    assert "line 3, in __init__" in report_text(report)


def test_a_missing_operation_of_torch_is_not_a_stub(exercise):
    class f(torch.nn.Module):
        pass

    def cases(f):
        yield Case("x", call="", got=lambda: f()(1), expected=1)

    exercise(cases)
    report = run_check("f", f)
    assert not report.not_started and "NotImplementedError" in report_text(report)


def test_errors_of_the_check_are_the_courses(exercise):
    def cases(f):
        yield Case("fine", call="f()", got=lambda: 1, expected=1)
        raise KeyError("oops")

    exercise(cases)
    report = run_check("f", student("def f():\n    return 1\n").f)
    assert not report.passed and "error of the course" in report.title
    assert "KeyError" in report_text(report) and "KeyError" in report_html(report)


def test_wrong_use_is_explained(exercise, capsys):
    exercise(one_case(expected=1))
    check("f")
    out = capsys.readouterr().out
    assert 'call it as check("f", f)' in out and "error of the course" not in out
    assert not run_check("f").passed


def test_an_unknown_name_is_explained(capsys):
    check("no_such_exercise", print)
    assert "there is no exercise called 'no_such_exercise'" in capsys.readouterr().out


def test_modified_arguments_are_noticed(exercise):
    x = torch.zeros(3)

    def cases(f):
        yield Case("x", call="f(x)", got=lambda: f(x), expected=torch.ones(3), unchanged=[x])

    exercise(cases)
    assert run_check("f", lambda x: x + 1).passed
    report = run_check("f", lambda x: x.add_(1))
    assert report.outcomes[0].kind == "modified argument"
    assert "[0, 0, 0] and is now" in report_text(report)


class Hostile:
    def __repr__(self):
        raise RuntimeError("no")

    __str__ = __eq__ = __hash__ = __len__ = __iter__ = __repr__


class HostileTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        raise RuntimeError("no")


def endless():
    while True:
        yield 1


class HostileError(Exception):
    def __str__(self):
        raise RuntimeError("no")


def raising(n):
    raise HostileError


@pytest.mark.parametrize(
    "answer",
    [
        Hostile(),
        [Hostile()],
        {"a": Hostile()},
        endless(),
        float("nan"),
        float("-inf"),
        10**500,
        "x" * 10**6,
        [0] * 10**6,
        torch.full((2, 3), float("nan")),
        torch.ones(2, 3).to_sparse(),
        torch.ones(2, 3, device="meta"),
        torch.zeros(0),
        torch.ones(2, 3, dtype=torch.complex64),
        torch.ones(2, 3).as_subclass(HostileTensor),
        lambda: 1,
        type("T", (type,), {"__name__": property(lambda s: 1 / 0)}),
        NotImplemented,
        "<script>alert(1)</script> $x$ `code`",
    ],
    ids=lambda a: type(a).__name__,
)
def test_never_crashes_on_odd_results(exercise, answer):
    for want in (torch.ones(2, 3), 1, 1.5, "text", None, True, [1, 2], (1,), {"a": 1}):
        seen = outcome(exercise, lambda n: answer, expected=want)
        assert not seen.report.passed and not seen.report.course_errors
        assert len(seen.text) < 5000 and len(seen.html) < 20_000
        assert "<script" not in seen.html


@pytest.mark.parametrize("exit_with", [raising, lambda n: sys.exit(3), lambda n: "a" < 3])
def test_never_crashes_on_odd_exceptions(exercise, exit_with):
    seen = outcome(exercise, exit_with, expected=1)
    assert seen.one.status == "error"


def test_endless_recursion_is_an_error(exercise):
    cell = student("def f(n):\n    return f(n)\n")
    assert "RecursionError" in outcome(exercise, cell.f, expected=1).text


def test_numbers():
    assert compare(1.00001, 1.0) is None and compare(1.1, 1.0) is not None
    assert compare(1, 1.0) is None  # a whole number where a float is expected
    assert compare(True, 1).kind == "wrong type" and compare(1, True).kind == "wrong type"
    assert compare(46_702_792_705, 46_702_792_704).kind == "wrong value"
    assert "46,702,792,704" in compare(1, 46_702_792_704).detail
    assert compare(float("nan"), float("nan")) is None
    assert compare(float("inf"), 1.0) is not None and compare(0.0, 0.0) is None


def test_containers():
    assert compare([1, (2, 3)], (1, (2, 3))) is None
    assert compare((1, 2), [1, 2]).kind == "wrong type"
    assert compare([1], [1, 2]).kind == "wrong length"
    assert compare({"b": 1, "a": 2}, {"a": 2, "b": 1}) is None
    assert "missing ['b']" in compare({"a": 1}, {"a": 1, "b": 2}).detail
    assert compare({"a": [1, 2]}, {"a": [1, 3]}).detail.startswith("['a'][1]")
    assert "character 3" in compare("abcd", "abcx").detail


def test_tensor_tolerance_is_relative_to_the_largest_value():
    want = torch.tensor([1000.0, 1.0])
    assert compare(want + 0.05, want) is None
    assert compare(want * 1e-6 + 5e-8, want * 1e-6) is None
    assert compare(want * 1e-6 + 5e-6, want * 1e-6) is not None
    assert compare(torch.zeros(2), torch.full((2,), 1e-9)) is not None
    assert compare(torch.tensor([2**60 + 1]), torch.tensor([2**60])) is not None
    half = want.bfloat16()
    assert compare(half * 1.004, half) is None and compare(half * 1.1, half) is not None
    assert compare(torch.tensor([float("inf"), 1.0]), torch.tensor([float("inf"), 1.0])) is None
    assert compare(torch.tensor([-float("inf"), 1.0]), torch.tensor([float("inf"), 1.0]))


def test_describe_is_short_and_shows_small_tensors():
    assert describe(torch.tensor([1.0, 2.5])) == "tensor float32 (2,) [1, 2.5]"
    assert describe(torch.zeros(100, 3)) == "tensor float32 (100, 3)"
    assert describe((1, "a")) == "(1, 'a')" and describe((1,)) == "(1,)"


def test_html_is_safe_for_the_sanitiser(exercise):
    page = outcome(exercise, lambda n: "<b>&", expected="x").html
    assert "&lt;b&gt;&amp;" in page
    for banned in ("<script", "<style", "class=", "<svg", "onclick"):
        assert banned not in page


def test_a_check_leaves_the_random_state(exercise):
    exercise(one_case(expected=1))
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    run_check("f", lambda n: torch.manual_seed(0) and 1)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_cases_must_be_well_formed():
    with pytest.raises(ValueError, match="give one of"):
        Case("x", call="", got=int)
    with pytest.raises(ValueError, match="give one of"):
        Case("x", call="", got=int, expected=None, raises=KeyError)
    with pytest.raises(ValueError, match="hint"):
        Case("x", call="", got=int, expected=None, hint=4)


def test_raises_only_under_nbgrader_validate(exercise, monkeypatch, capsys):
    exercise(one_case(expected=1))
    check("f", lambda n: print("printing is fine") or 2)
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    check("f", lambda n: 2)
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    check("f", lambda n: 1)
    with pytest.raises(CheckFailed, match="f: 0 of 1 case"):
        check("f", lambda n: 2)
    assert capsys.readouterr().out.count("not yet") >= 3


def test_displays_html_and_text_in_ipython():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell as S\n"
        "from IPython.utils.capture import capture_output\n"
        "s = S.instance()\n"
        "with capture_output() as c:\n"
        "    s.run_cell('from course_lib import check; check(\"nope\", print)')\n"
        "import json; print(json.dumps(c.outputs[0].data))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ)
    )
    data = json.loads(done.stdout.splitlines()[-1])
    assert set(data) == {"text/html", "text/plain"} and "no exercise called" in data["text/plain"]
