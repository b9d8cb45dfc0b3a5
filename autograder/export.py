"""Grades for a learning platform: files that Canvas and Moodle import.

`write` makes one file for each from what grading knows, with students named by their folders.
`fill` is the safer way: it takes the file that the platform itself exports (Canvas's gradebook,
Moodle's grading worksheet or grader report) and fills the scores in, so every column is as it
wants it. `autograder collect` names students so that both find them again.

A sum is a submission's points after any late penalty. While an answer that has points waits for a
hand grade there is no sum, and the place stays as it was.
"""

import csv
import io
import re
import unicodedata
from pathlib import Path

from autograder import late
from autograder.record import RecordError, csv_text, write_atomically

CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
CANVAS_ID = re.compile(r".*_(\d+)$")  # doejane_12345, as `collect` calls a student of Canvas
# By these columns a student is known, the surest first.
KEYS = (
    "ID", "Identifier", "SIS Login ID", "SIS User ID", "Username", "ID number", "Email address",
    "Student", "Full name",
)  # fmt: skip


def write(out, results) -> list[Path]:
    """Write canvas.csv and moodle.csv under `out`; returns their paths."""
    assignments = sorted({r["assignment"] for r in results})
    best = {r["assignment"]: sum(v["max_score"] for v in r["verdicts"]) for r in results}
    points = sums(results)
    students = sorted({r["student"] for r in results})
    canvas = [[*CANVAS, *assignments]]
    canvas.append(["    Points Possible", *[""] * 4, *(_score(best[a]) for a in assignments)])
    moodle = [["Username", *assignments]]
    for student in students:
        found = CANVAS_ID.match(student)
        scores = [_score(points.get((student, a))) for a in assignments]
        login = "" if found else csv_text(student)
        canvas.append([csv_text(student), found[1] if found else "", "", login, "", *scores])
        moodle.append([csv_text(student), *scores])
    paths = []
    for name, rows in (("canvas.csv", canvas), ("moodle.csv", moodle)):
        paths.append(Path(out) / name)
        write_atomically(paths[-1], _text(rows))
    return paths


def sums(results) -> dict[tuple[str, str], float | None]:
    """(student, assignment) -> points after the penalty, None while they wait for a hand grade."""
    return {(r["student"], r["assignment"]): late.total(r) for r in results}


def fill(roster, results, assignment=None) -> tuple[str, list[str]]:
    """The text of the platform's own file with our scores in it, and a line for every student that
    only one side knows. roster: path of that file. assignment: which one goes into the column
    "Grade" of Moodle's grading worksheet. RecordError if the file is none of these."""
    try:
        with open(roster, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"cannot read {roster}: {getattr(error, 'strerror', error)}") from None
    head = [cell.strip() for cell in rows[0]] if rows else []
    keys = [(head.index(key), key) for key in KEYS if key in head]
    if not keys:
        raise RecordError(f"{roster} has none of the columns {', '.join(KEYS)}: not a class list")
    assignments = sorted({r["assignment"] for r in results})
    if "Grade" in head and "Identifier" in head:  # Moodle's worksheet, of one assignment
        if assignment is None and len(assignments) == 1:
            assignment = assignments[0]
        if assignment not in assignments:
            raise RecordError(f"which one? --assignment with one of {', '.join(assignments)}")
        columns = {assignment: head.index("Grade")}
    else:
        columns = {}
        for name in [assignment] if assignment else assignments:
            # Canvas writes "01_gqa_moe (123456)" for an assignment that it knows.
            known = [i for i, cell in enumerate(head) if re.fullmatch(rf"{re.escape(name)}( \(\d+\))?", cell)]  # noqa: E501 # fmt: skip
            columns[name] = known[0] if known else len(rows[0])
            if not known:
                rows[0].append(name)
    points, remarks, matched = sums(results), [], set()
    students = _index({r["student"] for r in results})
    width = len(rows[0])
    for row in rows[1:]:
        row += [""] * (width - len(row))
        if row[0].strip() in ("Points Possible", "Student, Test", ""):
            if row[0].strip() == "Points Possible":
                _fill_best(row, columns, results)
            continue
        student = next((s for i, key in keys if (s := students.get(_key(key, row[i])))), None)
        if student is None:
            remarks.append(f"{row[keys[0][0]] or row[0]}: handed nothing in, or under another name")
            continue
        matched.add(student)
        for name, column in columns.items():
            score = points.get((student, name))
            if score is not None:
                row[column] = _score(score)
            elif (student, name) in points:
                remarks.append(f"{student}: {name} waits for a hand grade: left as it was")
    for student in sorted({r["student"] for r in results} - matched):
        remarks.append(f"{student}: not in {Path(roster).name}")
    return _text(rows), remarks


def _fill_best(row, columns, results):
    for name, column in columns.items():
        if not row[column].strip():
            one = next(r for r in results if r["assignment"] == name)
            row[column] = _score(sum(v["max_score"] for v in one["verdicts"]))


def _index(students) -> dict[str, str]:
    """What a platform may call a student -> his name here; what would fit two fits none."""
    found = {}
    for student in sorted(students):
        names = {_plain(student)}
        if match := re.match(r"(.*)_(\d+)$", student):
            names |= {"#" + match[2], _plain(match[1])}
        for name in names - {""}:
            found[name] = student if found.get(name, student) == student else None
    return found


def _key(column, cell) -> str:
    if column in ("ID", "Identifier"):  # Moodle writes "Participant 998"
        digits = re.sub(r"\D", "", cell)
        return "#" + digits
    return _plain(cell)


def _plain(name) -> str:
    """A name without case, accents, spaces and order of "Doe, Jane"."""
    last, comma, first = name.partition(",")
    name = f"{first} {last}" if comma else name
    name = unicodedata.normalize("NFKD", name).casefold()
    return "".join(c for c in name if c.isalnum() or c in "@.")


def _score(value) -> str:
    return "" if value is None else f"{value:.10g}"


def _text(rows) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
