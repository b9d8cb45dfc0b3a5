"""Test the hidden tests: known wrong answers must lose points, known right ones must not.

A bank is a folder `<notebook>/<exercise>/wrong/*.py` and `right/*.py`; each file is the source of
that exercise's solution cell, and all other cells take the reference solution.
"""

import csv
import os
import sys
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autograder.build import notebook_ids, reference_cells
from autograder.judge import Step, judge_notebook
from autograder.sandbox import Limits
from autograder.warm import start_warm

OWN_BANK = Path(__file__).resolve().parent / "mutants"
COLUMNS = ("notebook", "exercise", "kind", "name", "score", "max_score", "ok")
LEAST = {"wrong": 8, "right": 4}  # answers to each exercise in the project's own bank


@dataclass(frozen=True)
class Answer:
    """One file of a bank."""

    notebook: str
    exercise: str
    kind: str  # "wrong" or "right"
    name: str
    source: str


@dataclass(frozen=True)
class Result:
    """What an answer got on its exercise. `why` explains a result that is not ok."""

    answer: Answer
    score: float
    max_score: float
    ok: bool
    why: str


def selftest(
    bank: Path | None = None,
    notebook: str | None = None,
    workers: int | None = None,
    sandbox: str = "auto",
    exercise: str | None = None,
) -> int:
    """Judge every answer of `bank` (default: the project's own), print a table and what is not ok,
    write selftest.csv in the current folder. notebook, exercise: the answers to these alone. The
    exit status: 1 if anything is not ok."""
    answers, problems = read_bank(OWN_BANK if bank is None else bank, notebook, exercise)
    results = judge_answers(answers, workers, sandbox) if answers else []
    with open("selftest.csv", "w", newline="", encoding="utf-8") as file:
        write = csv.writer(file)
        write.writerow(COLUMNS)
        for result in results:
            a = result.answer
            score = (f"{result.score:g}", f"{result.max_score:g}", result.ok)
            write.writerow((a.notebook, a.exercise, a.kind, a.name, *score))
    if bank is None and not problems:
        problems = _too_few(answers, [notebook] if notebook else notebook_ids(), exercise)
    print(_table(results))
    for result in results:
        if not result.ok:
            a = result.answer
            print(f"not ok: {a.notebook}/{a.exercise}/{a.kind}/{a.name}: {result.why}")
    for problem in problems:
        print(f"autograder selftest: {problem}", file=sys.stderr)
    failed = sum(not result.ok for result in results)
    print(f"{len(results)} answers, {failed} not ok; see selftest.csv")
    return 1 if failed or problems else 0


def read_bank(
    bank: Path, notebook: str | None = None, exercise: str | None = None
) -> tuple[list[Answer], list[str]]:
    """The answers in a bank (to one notebook or exercise, if it is named), and one line for each
    thing in it that cannot be used."""
    if not bank.is_dir():
        return [], [f"there is no folder {bank}"]
    if notebook is not None and notebook not in notebook_ids():
        return [], [f"there is no notebook {notebook!r} (there are {_list(notebook_ids())})"]
    if exercise is not None:
        there = [e for i in notebook_ids() if notebook in (None, i) for e in _exercises(i)]
        if exercise not in there:
            return [], [f"there is no exercise {exercise!r} (there are {_list(there)})"]
    known = {name: i for i in notebook_ids() for name in (i, i.partition("_")[2])}
    answers, problems = [], []
    for path in sorted(bank.glob("*/*/*/*.py")):
        folder, own, kind, _ = path.relative_to(bank).parts
        place = path.relative_to(bank).parent
        if kind not in LEAST:
            problem = f"{place}: the folder must be called wrong or right"
        elif folder not in known:
            problem = (
                f"{place}: there is no notebook {folder!r} (there are {_list(notebook_ids())})"
            )
        elif own not in _exercises(known[folder]):
            have = _list(_exercises(known[folder]))
            problem = f"{place}: there is no exercise {own!r} (there are {have})"
        else:
            try:
                source = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                problem = f"{path.relative_to(bank)}: cannot be read ({type(error).__name__})"
            else:
                if notebook in (None, known[folder]) and exercise in (None, own):
                    answers.append(Answer(known[folder], own, kind, path.stem, source))
                continue
        if problem not in problems:
            problems.append(problem)
    if not answers and not problems:
        problems = [f"{bank} holds no answers: put them in <notebook>/<exercise>/wrong/*.py"]
    return answers, problems


def judge_answers(
    answers: list[Answer], workers: int | None = None, sandbox: str = "auto", limits=None
) -> list[Result]:
    """Judge the answers in parallel, all in forks of the same two warm processes."""
    limits = limits or Limits()  # as in grading
    with ExitStack() as stack:
        student_warm = stack.enter_context(start_warm("student", sandbox, limits, wait=False))
        judge_warm = stack.enter_context(start_warm("judge", sandbox, limits))
        student_warm.wait_ready()

        def judge(answer: Answer) -> Result:
            # A right answer must harm none of the later exercises; the earlier ones are tested
            # before its cell is run.
            exercises = _exercises(answer.notebook)
            own = exercises.index(answer.exercise)
            verdicts = judge_notebook(
                answer.notebook,
                reference_steps(answer.notebook, {answer.exercise: answer.source}),
                b"selftest",
                student_warm,
                judge_warm,
                limits,
                only=exercises[own : own + 1] if answer.kind == "wrong" else exercises[own:],
            )
            return _result(answer, verdicts)

        for notebook in {answer.notebook for answer in answers}:
            reference_steps(notebook)  # read once, before the threads ask for it together
        with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            return list(pool.map(judge, answers))


def reference_steps(notebook_id: str, swap: Mapping[str, str] | None = None) -> list[Step]:
    """The judged run of the reference solution, with the solution cells in `swap` replaced."""
    swap = swap or {}
    return [Step(kind, name, swap.get(name, text)) for kind, name, text in _cells(notebook_id)]


@cache
def _cells(notebook_id: str) -> list[tuple[str, str | None, str]]:
    return reference_cells(notebook_id)


def _exercises(notebook_id: str) -> list[str]:
    return [name for kind, name, _ in _cells(notebook_id) if kind == "solution"]


def _result(answer: Answer, verdicts: dict) -> Result:
    own = verdicts[answer.exercise]
    if own.status == "ungraded":
        return Result(answer, own.score, own.max_score, False, own.message)
    if answer.kind == "wrong":
        caught = own.score < own.max_score
        return Result(answer, own.score, own.max_score, caught, "gets full marks")
    lost = [v for v in verdicts.values() if v.score != v.max_score]
    why = "; ".join(f"{v.exercise} {v.score:g}/{v.max_score:g} ({v.message})" for v in lost)
    return Result(answer, own.score, own.max_score, not lost, why)


def _too_few(answers, notebooks: list[str], alone: str | None = None) -> list[str]:
    have = Counter((a.notebook, a.exercise, a.kind) for a in answers)
    return [
        f"{notebook}/{exercise}: {have[notebook, exercise, kind]} {kind} answers, {least} are asked"
        for notebook in notebooks
        for exercise in _exercises(notebook)
        if alone in (None, exercise)
        for kind, least in LEAST.items()
        if have[notebook, exercise, kind] < least
    ]


def _table(results: list[Result]) -> str:
    rows = [("notebook", "exercise", "wrong, caught", "right, full marks")]
    places = dict.fromkeys((r.answer.notebook, r.answer.exercise) for r in results)
    for place in places:
        here = [r for r in results if (r.answer.notebook, r.answer.exercise) == place]
        counts = []
        for kind in LEAST:
            oks = [r.ok for r in here if r.answer.kind == kind]
            counts.append(f"{sum(oks)} of {len(oks)}")
        rows.append((*place, *counts))
    return columns(rows)


def columns(rows: list[tuple[str, ...]]) -> str:
    """A table of text in columns, the first row on top."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _list(names: list[str]) -> str:
    return ", ".join(names)
