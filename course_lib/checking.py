"""Visible checks: run a student's function on small cases and explain what is wrong.

A check is a generator of cases, registered under the exercise's name:

    @visible("repeat_kv")
    def repeat_kv_cases(repeat_kv):
        x = torch.arange(6.0).view(1, 2, 3, 1)
        yield Case(
            "each kv head is repeated in place",
            call="repeat_kv(x, 2)   # x (1, 2, 3, 1)",
            got=lambda: repeat_kv(x, 2),
            expected=torch.stack([x[:, 0], x[:, 0], x[:, 1], x[:, 1]], dim=1),
            mistakes=[("your result equals the heads tiled", torch.cat([x, x], dim=1))],
            hint=1,
        )

It lives in `course_lib/checks/<notebook without its number>.py` and runs in the student's own
process, for the student's benefit: nothing here is graded.
"""

import copy
import importlib
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from course_lib.comparing import Difference, compare, describe, guard
from course_lib.exercises import find_exercise
from course_lib.show import show


class _Nothing:
    def __repr__(self):
        return "nothing"


NOTHING = _Nothing()  # "not given", since None is a result one may expect


@dataclass(frozen=True, eq=False)
class Case:
    """One call of the student's code and what should come of it.

    Give exactly one of `expected`, `raises` and `verify`.
    """

    title: str  # what should hold, "an expert without tokens does not crash"
    call: str  # what is called, as the student would write it
    got: Callable[[], Any]  # makes the call
    expected: Any = NOTHING  # tensor, number, bool, str, None, or tuples/lists/dicts of these
    raises: type[BaseException] | tuple = ()  # the exception (or exceptions) it should raise
    verify: Callable[[Any], str | None] | None = None  # result -> None if fine, else one line
    mistakes: list | tuple = ()  # (message, wrong value or function that makes it), in order
    hint: int = 1  # the hint to show when the case fails, 1..3
    rtol: float = 1e-4  # relative to the largest expected value
    dtype_matters: bool = True
    unchanged: list | tuple = ()  # tensors, lists, dicts that the call must leave as they are

    def __post_init__(self):
        given = [self.expected is not NOTHING, self.raises != (), self.verify is not None]
        if sum(given) != 1:
            raise ValueError(f"case {self.title!r}: give one of expected, raises and verify")
        if self.hint not in (1, 2, 3):
            raise ValueError(f"case {self.title!r}: hint must be 1, 2 or 3")


@dataclass(frozen=True)
class Outcome:
    """What came of one case. All fields are finished texts except the difference."""

    status: str  # "pass", "fail", "error", "not run"
    title: str
    call: str = ""
    kind: str = ""  # "wrong value", "wrong shape", "it raised ValueError", …
    expected: str = ""
    got: str = ""
    detail: str = ""
    mistake: str = ""
    where: str = ""  # the student's line that raised
    hint: str = ""
    difference: Difference | None = None


@dataclass(frozen=True)
class Report:
    """What came of one check."""

    name: str
    outcomes: tuple[Outcome, ...]
    not_started: str = ""  # says so when the student's function is not written yet
    course_errors: tuple[str, ...] = ()  # the check's own faults
    misuse: str = ""  # check() was called wrongly: how to call it

    @property
    def passed(self) -> bool:
        good = all(outcome.status == "pass" for outcome in self.outcomes)
        return good and bool(self.outcomes) and not self._stopped

    @property
    def _stopped(self):
        return bool(self.not_started or self.course_errors or self.misuse)

    @property
    def title(self) -> str:
        total = len(self.outcomes)
        good = sum(outcome.status == "pass" for outcome in self.outcomes)
        if self.misuse or self.not_started:
            return f"{self.name}: {self.misuse or self.not_started}"
        if self.course_errors:
            return f"{self.name}: the check itself failed - this is an error of the course"
        if self.passed:
            return f"{self.name}: {'all ' if total > 1 else ''}{total} {_cases(total)} - well done"
        return f"{self.name}: {good} of {_cases(total, good)} - not yet"


def _cases(total, good=None):
    noun = "case" if total == 1 else "cases"
    if good is None:
        return f"{noun} {'passes' if total == 1 else 'pass'}"
    return f"{total} {noun} {'passes' if good == 1 else 'pass'}"


class CheckFailed(AssertionError):
    """A visible check did not pass; raised only under `nbgrader validate`."""


_CHECKS: dict[str, Callable[..., Iterator[Case]]] = {}


def visible(name: str):
    """Register a generator of cases as the visible check of exercise `name`."""

    def register(cases):
        _CHECKS[name] = cases
        return cases

    return register


def check(name: str, *functions) -> None:
    """Run the visible check of exercise `name` on what you wrote, and show what came of it.

    It never raises, so a notebook runs on; only under `nbgrader validate` does a check
    that fails raise CheckFailed after showing its message.
    """
    # Imported here: rendering is needed for nothing else.
    from course_lib.rendering import report_html, report_text

    report = run_check(name, *functions)
    show(report_html(report), report_text(report))
    if os.environ.get("NBGRADER_EXECUTION") == "validate" and not report.passed:
        raise CheckFailed(report.title)


def run_check(name: str, *functions) -> Report:
    """The outcome of a visible check, without showing it."""
    try:
        exercise = find_exercise(name)
    except LookupError as error:
        return Report(str(name), (), misuse=str(error))
    if len(functions) != len(exercise.functions):
        arguments = ", ".join(exercise.functions)
        return Report(name, (), misuse=f'call it as check("{name}", {arguments})')
    try:
        cases = _find_check(exercise)
    except Exception as error:
        return Report(str(name), (), course_errors=(_one_line(error),))
    with _random_state_kept():
        return _run(exercise, cases, functions)


def _find_check(exercise):
    """The registered generator; the module of the exercise's notebook is imported for it."""
    if exercise.name not in _CHECKS:
        module = exercise.notebook.split("_", 1)[-1]
        importlib.import_module(f"course_lib.checks.{module}")
    if exercise.name not in _CHECKS:
        raise LookupError(f"exercise {exercise.name!r} has no visible check")
    return _CHECKS[exercise.name]


def _run(exercise, cases, functions):
    outcomes, course_errors, not_started = [], [], ""
    author = _Author(functions)
    generator = None
    try:
        generator = cases(*functions)
        for case in generator:
            if not_started:
                outcomes.append(Outcome("not run", guard(str, case.title), guard(str, case.call)))
                continue
            outcome = _run_case(case, exercise, author, course_errors)
            if outcome is None:
                not_started = author.reason
                outcome = Outcome("not run", case.title, case.call)
            outcomes.append(outcome)
    except (Exception, SystemExit) as error:
        # The body of the check raised: its own fault, unless it was inside the student's code.
        if author.is_stub(error):
            not_started = author.reason
        elif where := author.line(error):
            outcomes.append(
                Outcome("error", "preparing the next case", kind=_raised(error),
                        got=_one_line(error), where=where, hint=exercise.hints[0])
            )  # fmt: skip
        elif not not_started:
            course_errors.append(_one_line(error))
    if not outcomes and not course_errors and not not_started:
        course_errors.append("the check has no cases")
    return Report(exercise.name, tuple(outcomes), not_started, tuple(course_errors))


def _run_case(case, exercise, author, course_errors):
    """The outcome of one case, or None when the student's function is not written yet."""
    hint = f"Hint {case.hint}: {exercise.hints[case.hint - 1]}"
    before = _snapshot(case.unchanged)
    base = {"title": case.title, "call": case.call}
    if case.raises != ():
        base["expected"] = f"raises {_names(case.raises)}"
    elif case.verify is None:
        base["expected"] = describe(case.expected)

    try:
        got = case.got()
    except (Exception, SystemExit) as error:
        if author.is_stub(error):
            return None
        if case.raises != () and isinstance(error, case.raises):
            return Outcome("pass", **base)
        kind = _raised(error)
        if case.raises != ():
            kind = f"another exception: {kind}"
        return Outcome(
            "error", **base, kind=kind, got=_one_line(error), where=author.line(error), hint=hint
        )

    if case.raises != ():
        return Outcome("fail", **base, kind="nothing was raised", got=describe(got), hint=hint)

    if case.verify is not None:
        try:
            problem = case.verify(got)
        except (Exception, SystemExit) as error:
            if author.is_stub(error):
                return None
            # What the check asks of a result, a proper result answers.
            where = author.line(error)
            detail = f"the check could not use your result: {_one_line(error)}"
            return Outcome("error" if where else "fail", **base, kind="unusable result",
                           got=describe(got), detail=detail, where=where, hint=hint)  # fmt: skip
        if problem is not None:
            return Outcome(
                "fail", **base, kind="wrong", got=describe(got), detail=str(problem), hint=hint
            )
    else:
        difference = compare(got, case.expected, case.rtol, case.dtype_matters)
        if difference is not None:
            return Outcome(
                "fail",
                **base,
                kind=difference.kind,
                got=describe(got),
                detail=difference.detail,
                mistake=_mistake(case, got, course_errors) or difference.guess,
                hint=hint,
                difference=difference,
            )

    changed = _changed(case.unchanged, before)
    if changed:
        detail = "your function modified its argument: work on a copy, or make a new tensor"
        return Outcome(
            "fail", **base, kind="modified argument", got=changed, detail=detail, hint=hint
        )
    return Outcome("pass", **base)


def _mistake(case, got, course_errors):
    """The message of the first listed mistake whose value is what the student returned."""
    for message, wrong in case.mistakes:
        try:
            value = wrong() if callable(wrong) else wrong
        except Exception as error:
            course_errors.append(f"mistake {message!r} of {case.title!r}: {_one_line(error)}")
            continue
        if compare(got, value, case.rtol, dtype_matters=False) is None:
            return message
    return ""


def _snapshot(values):
    return [copy.deepcopy(value) for value in values]


def _changed(values, before):
    for value, old in zip(values, before, strict=True):
        if compare(value, old, rtol=0.0) is not None:
            return f"the argument was {describe(old)} and is now {describe(value)}"
    return ""


class _Author:
    """Tells the student's lines in a traceback from the course's and the libraries'."""

    def __init__(self, functions):
        self.names = {guard(getattr, f, "__name__", "") for f in functions}
        self.files, self.spaces = set(), set()
        for function in functions:
            for piece in [function, *guard(lambda f=function: list(vars(f).values()), default=())]:
                piece = getattr(piece, "__wrapped__", piece)
                code = getattr(piece, "__code__", None)
                if code is not None:
                    self.files.add(code.co_filename)
                    self.spaces.add(id(piece.__globals__))
        self.reason = ""

    def _frames(self, error):
        """(frame, line number) of the student's frames, outermost first; all frames' last one."""
        steps = list(traceback.walk_tb(error.__traceback__))
        mine = [s for s in steps if s[0].f_code.co_filename in self.files or self._notebook(s[0])]
        return mine, steps

    def _notebook(self, frame):
        # A helper from another cell: the same namespace, or the notebook's.
        space = frame.f_globals
        return id(space) in self.spaces or space.get("__name__") == "__main__"

    def is_stub(self, error) -> bool:
        """Whether `error` is the `raise NotImplementedError` of an exercise not yet written."""
        if not isinstance(error, NotImplementedError):
            return False
        mine, steps = self._frames(error)
        if not mine or mine[-1][0] is not steps[-1][0]:
            return False  # torch raises it too, for operations that it lacks
        if str(error) and "NotImplementedError" not in _source(*mine[-1]):
            return False
        owner = mine[-1][0].f_code.co_qualname.split(".")[0]
        self.reason = "not started yet"
        if owner not in self.names:
            self.reason = f"waiting for {owner}, which is not written yet"
        return True

    def line(self, error) -> str:
        """'line 5, in repeat_kv: return x.repeat(n_rep)', or '' if it is not the student's."""
        mine, _ = self._frames(error)
        if isinstance(error, SyntaxError) or not mine:
            return ""
        frame, number = mine[-1]
        return f"line {number}, in {frame.f_code.co_name}: {_source(frame, number)}"


def _source(frame, number):
    return linecache.getline(frame.f_code.co_filename, number, frame.f_globals).strip()


def _raised(error):
    return f"it raised {type(error).__name__}"


def _one_line(error):
    """'TypeError: the message', on one line and cut."""
    text = " ".join(guard(str, error, default="(its message cannot be shown)").split())
    text = text if len(text) <= 300 else text[:300] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _names(types):
    return " or ".join(t.__name__ for t in (types if isinstance(types, tuple) else (types,)))


@contextmanager
def _random_state_kept():
    """A check draws its own numbers without changing those the notebook draws later."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
    else:
        with torch.random.fork_rng(devices=[]):
            yield
