"""Grade again and tell who changes, by which exercise and why, before anything is written.

    with --diff      a copy of the course directory is graded and thrown away
    without          the course directory itself is graded, and what changed is told after

Random inputs come from the course's own seed, so what changes is the doing of a changed test,
notebook, limit or submission. Unchanged submissions are not run again; hand grades stay.
"""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from autograder import record
from autograder.page import number


@dataclass(frozen=True)
class Change:
    """One exercise of one student before and after. `why`: what decided, in one line."""

    student: str
    assignment: str
    exercise: str
    before: str
    after: str
    gain: float
    why: str


def regrade(submitted, out, *, diff, say=print, **options) -> tuple[list[Change], bool]:
    """Grade `submitted` again into `out` (diff: into a copy) and tell what changes.

    options: of grade.grade. Returns (changes, whether it was interrupted). RecordError when nothing
    was graded in `out` yet."""
    from autograder import grade

    out = Path(out)
    before = record.read_results(out)
    if not before:
        raise record.RecordError(f"nothing graded in {out}: run `autograder grade` first")
    with tempfile.TemporaryDirectory(prefix="regrade-") as folder:
        place = out
        if diff:
            place = Path(folder) / "course"
            ignore = shutil.ignore_patterns("autograded", ".lock", "submitted", "*.part")
            shutil.copytree(out, place, ignore=ignore, symlinks=True)
        _, interrupted = grade.grade(submitted, place, say=say, notes=False, **options)
        after = record.read_results(place)
    changes = compare(before, after)
    for line in table(changes, len({r["student"] for r in after})):
        say(line)
    if diff:
        say(f"nothing was written to {out}: the same command without --diff does it")
    return changes, interrupted


def compare(before, after) -> list[Change]:
    """The changes from one list of results to another, by student, assignment and exercise."""
    found = []
    old = {(r["student"], r["assignment"]): r for r in before}
    new = {(r["student"], r["assignment"]): r for r in after}
    for key in sorted(old.keys() | new.keys()):
        was = {v["exercise"]: v for v in old[key]["verdicts"]} if key in old else {}
        now = {v["exercise"]: v for v in new[key]["verdicts"]} if key in new else {}
        for exercise in dict.fromkeys([*was, *now]):
            a, b = was.get(exercise), now.get(exercise)
            if a and b and _outcome(a) == _outcome(b):
                continue
            gain = ((b and b["score"]) or 0.0) - ((a and a["score"]) or 0.0)
            found.append(Change(*key, exercise, _told(a), _told(b), gain, _why(a, b)))
    return found


def _outcome(verdict):
    return verdict["score"], verdict["max_score"], verdict["status"]


def _told(verdict):
    """`3 / 4`, with the status if it is not plainly graded."""
    if verdict is None:
        return "-"
    if verdict["score"] is None:
        return "waits"
    told = f"{number(verdict['score'])} / {number(verdict['max_score'])}"
    return told if verdict["status"] == "graded" else f"{told} {verdict['status']}"


def _why(a, b):
    """The hidden checks whose outcome is another, else what is said of the exercise now."""
    was = {title: passed for title, passed, _ in a["properties"]} if a else {}
    now = {title: passed for title, passed, _ in b["properties"]} if b else {}
    flips = [
        f"{'+' if now[title] else '-'} {title}"
        for title in now
        if title in was and was[title] != now[title]
    ]
    flips += [f"{'+' if now[title] else '-'} {title} (new)" for title in now if title not in was]
    return record.one_line("; ".join(flips) or (b or a)["message"], 120)


def table(changes, students) -> list[str]:
    """Lines: how many change, the exercises that change most, then every change."""
    who = {c.student for c in changes}
    if not changes:
        return [f"no score changes ({students} students)"]
    up = len({c.student for c in changes if c.gain > 0})
    down = len({c.student for c in changes if c.gain < 0})
    lines = [f"{len(who)} of {students} students change: {up} gain, {down} lose"]
    for (assignment, exercise), n in Counter(
        (c.assignment, c.exercise) for c in changes
    ).most_common():
        mine = [c.gain for c in changes if (c.assignment, c.exercise) == (assignment, exercise)]
        lines.append(f"  {assignment} {exercise}: {n} students, {sum(mine):+.2f} points together")
    rows = [("student", "assignment", "exercise", "before", "after", "why")]
    for c in changes:
        rows.append(
            (record.one_line(c.student, 30), c.assignment, c.exercise, c.before, c.after, c.why)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:5], widths, strict=True)]
        lines.append("  ".join([*cells, row[5]]).rstrip())
    return lines
