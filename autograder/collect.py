"""Find a class's submissions on disk. Nothing is followed, nothing hostile stops the others."""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from autograder import record
from autograder.record import one_line

# What may be handed in beside a notebook: name -> most bytes (student.files in the hidden tests).
ATTACHMENTS = {
    "04_gsm8k_lora": {"gsm8k_results.json": 200_000, "gsm8k_predictions.jsonl": 8_000_000},
}

# In nobody's name: what file managers and editors leave behind.
NOT_STUDENTS = {".ipynb_checkpoints", "__pycache__", "__MACOSX", ".git", ".DS_Store", "Thumbs.db"}


class GradeError(Exception):
    """The run cannot start; the text is one line that says what to do."""


@dataclass(frozen=True)
class Submission:
    """One student's answer to one assignment. `folder` as it is on disk, `problem` is the status
    and the message when there is nothing to run."""

    student: str
    assignment: str
    folder: Path
    path: Path | None = None
    problem: tuple[str, str] | None = None
    notes: tuple[str, ...] = ()


def find_submissions(submitted, assignments, wanted=None):
    """All submissions below a folder laid out as <student>/<assignment>/<assignment>.ipynb.

    assignments: the known ids. wanted: one of them, or None for those that any student has.
    Returns (list of Submission sorted by student and assignment, list of remarks).
    """
    submitted = Path(submitted)
    try:
        names = sorted(os.listdir(submitted))
    except OSError as error:
        raise GradeError(f"cannot read {submitted}: {error.strerror}") from None
    remarks, students = [], {}
    for name in names:
        if name in NOT_STUDENTS:
            continue
        kind = _kind(submitted / name)
        student = record.student_id(name)
        if kind not in ("folder", "link"):
            remarks.append(f"{student}: a {kind}, not a student's folder: ignored")
            continue
        while student in students:  # two folders whose names differ in what cannot be printed
            student += "~"
        students[student] = (submitted / name, kind)
    if not students:
        raise GradeError(
            f"no submissions in {submitted}: expected <student>/<assignment>/<assignment>.ipynb"
        )
    listings = {}
    for student, (folder, kind) in students.items():
        try:
            listings[student] = set(os.listdir(folder)) if kind == "folder" else "is a link"
        except OSError as error:
            listings[student] = f"cannot be read ({error.strerror})"
    seen = set().union(*(found for found in listings.values() if isinstance(found, set)))
    scope = [wanted] if wanted else [a for a in assignments if a in seen]
    if not scope:
        raise GradeError(
            f"no assignment of this course in {submitted}: known are {', '.join(assignments)}"
        )
    found = []
    for student, (folder, _) in students.items():
        listing = listings[student]
        if isinstance(listing, str):
            problem = ("unreadable", f"the student's folder {listing}: not followed")
            found += [Submission(student, a, folder, problem=problem) for a in scope]
            continue
        for other in sorted(listing - set(assignments) - NOT_STUDENTS):
            remarks.append(f"{student}: {one_line(other)!r} is no assignment: ignored")
        found += [_find_one(student, a, folder / a, a in listing) for a in scope]
    return sorted(found, key=lambda s: (s.assignment, s.student)), remarks


def _find_one(student, assignment, folder, exists):
    """The submission in one assignment folder."""
    here = Submission(student, assignment, folder)
    if not exists:
        return replace(here, problem=("missing", "no submission"))
    kind = _kind(folder)
    if kind != "folder":
        return replace(here, problem=("unreadable", f"the assignment folder is a {kind}"))
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        message = f"the assignment folder cannot be read ({error.strerror})"
        return replace(here, problem=("unreadable", message))
    expected = f"{assignment}.ipynb"
    if expected in names:
        return replace(here, path=folder / expected)
    # "Copy of 01_gqa_moe.ipynb", "01_gqa_moe (1).ipynb": the only notebook there is meant.
    others = [n for n in names if n.endswith(".ipynb") and not n.startswith(".")]
    if len(others) == 1:
        note = f"took {one_line(others[0])!r} for {expected}"
        return replace(here, path=folder / others[0], notes=(note,))
    why = f"{len(others)} notebooks, none of them called" if others else "no file called"
    return replace(here, problem=("missing", f"{why} {expected}"))


def read_attachments(assignment, folder, root):
    """The files beside a notebook that its hidden tests look at: name -> bytes, or one line that
    says why a file that is there was not read. Files that are not there are left out."""
    from autograder.restore import Unreadable, read_submission

    files = {}
    for name, most in ATTACHMENTS.get(assignment, {}).items():
        try:
            files[name] = read_submission(Path(folder) / name, root, most)
        except Unreadable as error:
            if error.status != "missing":
                files[name] = str(error).removesuffix("; clear its outputs")
    return files


def _kind(path):
    """What is at `path` itself: "folder", "link", "file" or "special file"."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "special file"
    kinds = {stat.S_IFDIR: "folder", stat.S_IFLNK: "link", stat.S_IFREG: "file"}
    return kinds.get(stat.S_IFMT(mode), "special file")
