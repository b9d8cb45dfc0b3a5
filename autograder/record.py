"""Record grades in nbgrader's gradebook and in grades.csv. One process writes, the driver.

The folder written to is a complete nbgrader course directory, so that formgrader and every other
nbgrader command work on it. The numbers in the gradebook are computed by nbgrader itself from the
autograded notebook, whose test cells carry the judge's score as partial credit.
"""

import csv
import io
import json
import math
import os
import re
import unicodedata
from contextlib import contextmanager
from pathlib import Path

from autograder.build import use_own_programs

COLUMNS = ("student", "assignment", "exercise", "score", "max_score", "status", "message")
STATUSES = ("graded", "ungraded", "timeout", "memory", "crash", "unreadable", "missing")
MESSAGE_LENGTH = 300
# What a student's process may leave in a notebook that an instructor opens in a browser: no HTML,
# no SVG, no script. An image is base64 and nothing else.
SAFE_OUTPUTS = ("text/plain", "image/png")


class RecordError(Exception):
    """The course directory cannot be written; the text is one line that says what to do."""


# ---------------------------------------------------------------------------------------------
# Exercises of a notebook


def graded_cells(source_notebook):
    """The graded cells of the instructor's notebook in order: list of (exercise, grade_id, points).

    The exercise of a test cell `test_NAME` beside a solution cell `NAME` is NAME; of any other
    graded cell (a hand graded answer, another course's notebook) its own grade_id.
    """
    marked = [c for c in source_notebook.cells if "nbgrader" in c.metadata]
    solutions = {
        c.metadata.nbgrader.grade_id for c in marked if c.metadata.nbgrader.get("solution")
    }
    found = []
    for cell in marked:
        if cell.metadata.nbgrader.get("grade"):
            grade_id = cell.metadata.nbgrader.grade_id
            name = grade_id.removeprefix("test_")
            exercise = name if name in solutions else grade_id
            found.append((exercise, grade_id, float(cell.metadata.nbgrader.points)))
    return found


def write_scores(notebook, verdicts):
    """Put score and message of each verdict into its test cell as nbgrader's partial credit.

    `verdicts` maps exercise -> object with `score` and `message`. nbgrader reads a test cell's
    outputs in order and stops at the first that grades, so the judge's score goes first and
    whatever the student's process printed, stderr included, cannot grade. Changes `notebook`.
    """
    from nbformat.v4 import new_output

    for exercise, grade_id, points in graded_cells(notebook):
        verdict = verdicts.get(exercise)
        if verdict is None or verdict.score is None:
            continue
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade_id") != grade_id:
                continue
            score = min(max(verdict.score, 0.0), points)
            shown = [o for o in cell.outputs if o.output_type not in ("execute_result", "error")]
            told = {"text/plain": one_line(verdict.message)}
            cell.outputs = [
                new_output("execute_result", {"text/plain": f"{score:g}"}, execution_count=None),
                new_output("display_data", told, metadata={"autograder": True}),
                *shown,
            ]


def keep_safe_outputs(notebook):
    """Keep plain text and PNG images of every output, drop all that a browser would run."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "data" in output:
                data = {k: v for k, v in output.data.items() if k in SAFE_OUTPUTS}
                if not is_png(data.get("image/png")):
                    data.pop("image/png", None)
                output.data = data or {"text/plain": "(an output that is not shown here)"}
                output.metadata = {}


def is_png(text):
    """Whether `text` is base64 of a PNG and so may stand in a data: address."""
    text = "".join(text) if isinstance(text, list) else text
    return (
        isinstance(text, str)
        and re.fullmatch(r"iVBORw0KGgo[A-Za-z0-9+/\s]*=*\s*", text) is not None
    )


# ---------------------------------------------------------------------------------------------
# Names and lines


def one_line(text, length=MESSAGE_LENGTH):
    """`text` as one printable line: what a student wrote cannot break a line or move a cursor."""
    text = " ".join(str(text).split())
    text = "".join(c if is_printable(c) else "�" for c in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def is_printable(character):
    """False for control, surrogate and invisible formatting characters."""
    return unicodedata.category(character) not in ("Cc", "Cs", "Cf", "Co", "Cn", "Zl", "Zp")


def student_id(folder):
    """The name a submission folder is recorded under: itself, unless it is not printable.

    Line breaks, control characters and undecodable bytes are written as escapes, so that one
    student is one line everywhere. Ordinary names, in any language, are kept as they are.
    """
    # Joiners (Cf) are letters' business in several scripts, so only what moves text is escaped.
    escaped = "".join(
        c
        if is_printable(c) or c in "\u200c\u200d"
        else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in folder
    )
    escaped = escaped.strip() or "_"
    if len(escaped.encode()) > 200:  # room for a temporary file's suffix in 255 bytes
        import hashlib

        escaped = escaped[:40] + "~" + hashlib.sha256(escaped.encode()).hexdigest()[:12]
    return escaped


def csv_text(text):
    """A text cell that no spreadsheet takes for a formula; ordinary text is unchanged."""
    return "'" + text if text[:1] in tuple("=+-@＝＋－＠\t\r") else text


# ---------------------------------------------------------------------------------------------
# Files


def write_atomically(path, data):
    """Write bytes or text so that a reader, or a killed run, sees the old file or the new one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name[:80]}.{os.getpid()}.part")
    part.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8", "replace"))
    part.replace(path)


def result_path(out, student, assignment):
    """Where the result of one submission is kept: what rows, feedback and report are made of."""
    return Path(out) / "results" / assignment / f"{student}.json"


def read_results(out):
    """All results under `out`, sorted by student and assignment; a broken file is left out."""
    found = []
    for path in sorted((Path(out) / "results").glob("*/*.json")):
        try:
            found.append(json.loads(path.read_bytes()))
        except (OSError, ValueError):
            continue
    return sorted(found, key=lambda r: (r["student"], r["assignment"]))


def rows(results):
    """The rows of grades.csv, sorted: list of tuples in the order of COLUMNS."""
    found = []
    for result in results:
        for v in result["verdicts"]:
            # An answer waiting for a hand grade has no score: it is not a zero.
            score = "" if v["score"] is None else f"{v['score']:.10g}"
            found.append(
                (
                    csv_text(result["student"]),
                    csv_text(result["assignment"]),
                    csv_text(v["exercise"]),
                    score,
                    f"{v['max_score']:.10g}",
                    v["status"],
                    csv_text(one_line(v["message"])),
                )
            )
    return sorted(found)


def write_csv(out, results):
    """Write grades.csv under `out` and return its path."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    table.writerows(rows(results))
    path = Path(out) / "grades.csv"
    write_atomically(path, text.getvalue())
    return path


# ---------------------------------------------------------------------------------------------
# nbgrader's course directory and gradebook

CONFIG = """\
# nbgrader's configuration of this course directory, written by `autograder grade`.
import os

from autograder.nbgrader_config import configure

c = get_config()  # noqa: F821
configure(c)
c.CourseDirectory.root = os.path.dirname(os.path.abspath(__file__))
c.CourseDirectory.submitted_directory = {submitted!r}
"""
OWN_PART = "# Settings of your own, below this line, are kept (late penalties, for example).\n"


def prepare_course(out, submitted, sources):
    """Make `out` a course directory with the given instructor's notebooks (id -> notebook).

    RecordError when it holds grades of other exercises than these, or cannot be written.
    """
    import nbformat

    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        path = out / "nbgrader_config.py"
        own = path.read_text("utf-8").partition(OWN_PART)[2] if path.is_file() else ""
        written = CONFIG.format(submitted=os.fspath(Path(submitted).resolve()))
        write_atomically(path, written + OWN_PART + own)
        for name, notebook in sources.items():
            path = out / "source" / name / f"{name}.ipynb"
            write_atomically(path, nbformat.writes(notebook) + "\n")
    except OSError as error:
        raise RecordError(f"cannot write to {out}: {error.strerror}") from None
    with open_gradebook(out) as gradebook:
        for name, notebook in sources.items():
            _save_cells(gradebook, out, name, notebook)


def has_gradebook(out) -> bool:
    return (Path(out) / "gradebook.db").exists()


def database_url(out):
    return f"sqlite:///{Path(out).resolve() / 'gradebook.db'}"


@contextmanager
def open_gradebook(out):
    """nbgrader's Gradebook of the course directory `out`, closed at the end."""
    with quiet():
        from nbgrader.api import Gradebook
        from sqlalchemy.exc import DatabaseError

    use_own_programs()
    try:
        gradebook = Gradebook(database_url(out))
    except DatabaseError as error:
        raise RecordError(
            f"cannot open {Path(out) / 'gradebook.db'}: {one_line(error.orig)}; "
            "move it away and grade again"
        ) from None
    with quiet(), gradebook:
        yield gradebook


def _save_cells(gradebook, out, name, notebook):
    with quiet():
        from nbgrader.preprocessors import SaveCells

    gradebook.update_or_create_assignment(name)
    where = {"notebook": name, "assignment": name, "db_url": database_url(out)}
    try:
        SaveCells().preprocess(notebook, {"nbgrader": where})
    except RuntimeError:  # nbgrader's own rule: cells are fixed once there are submissions
        raise RecordError(
            f"{out} holds grades of {name} with other exercises; grade into another --out folder"
        ) from None


def record_submission(
    gradebook, student, assignment, notebook, timestamp=None, ungraded=frozenset()
):
    """Record one submission; returns grade_id -> score in the gradebook (None: needs a hand grade).

    `notebook` is the autograded notebook, or None for a submission that could not be read or is
    missing: zero everywhere, as nbgrader does for a missing notebook. `ungraded`: grade_ids that
    have no automatic score. A manual score given by a
    grader wins over the automatic one, as everywhere in nbgrader, and a regrade keeps it.
    """
    with quiet():
        from nbgrader import utils

    submission, names = _submitted(gradebook, student, assignment, timestamp)
    cells = {c.metadata.nbgrader.grade_id: c for c in (notebook.cells if notebook else ())
             if "nbgrader" in c.metadata}  # fmt: skip
    scores = {}
    # One pass over the submission's own grades and one commit; nbgrader's SaveAutoGrades decides
    # the same with the same functions, but opens the database anew and commits for every cell.
    for grade in submission.grades:
        name = names[grade.cell_id]
        cell = cells.get(name)
        auto = 0.0 if cell is None else utils.determine_grade(cell)[0]
        if name in ungraded:
            auto = None
        changed = auto != grade.auto_score
        grade.auto_score = auto
        by_hand = grade.manual_score is not None
        grade.needs_manual_grade = changed if by_hand else auto is None
        extra = grade.extra_credit or 0.0
        if by_hand:
            scores[name] = grade.manual_score + extra
        else:
            scores[name] = None if auto is None else auto + extra
    for comment in submission.comments:
        cell = cells.get(names[comment.cell_id])
        untouched = cell is None or (
            cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
        )
        comment.auto_comment = "No response." if untouched else None
    gradebook.db.commit()
    return scores


def _submitted(gradebook, student, assignment, timestamp):
    """(the gradebook's entry of a submission, made if there is none; cell id -> grade_id).

    Nothing is committed. nbgrader's own functions for this commit after each step, and load every
    cell and student again.
    """
    with quiet():
        from nbgrader import api, utils
        from sqlalchemy import select

    db = gradebook.db
    found = db.execute(
        select(
            api.Notebook.id,
            api.Notebook.assignment_id,
            api.BaseCell.id,
            api.BaseCell.name,
            api.BaseCell.type,
        )
        .join(api.Assignment, api.Assignment.id == api.Notebook.assignment_id)
        .outerjoin(api.BaseCell, api.BaseCell.notebook_id == api.Notebook.id)
        .where(api.Assignment.name == assignment, api.Notebook.name == assignment)
    ).all()
    notebook_id, assignment_id = found[0][:2]
    if db.get(api.Student, student) is None:
        db.add(api.Student(id=student))
    handed_in = db.scalars(
        select(api.SubmittedAssignment).filter_by(assignment_id=assignment_id, student_id=student)
    ).one_or_none()
    if handed_in is None:
        handed_in = api.SubmittedAssignment(assignment_id=assignment_id, student_id=student)
        made = api.SubmittedNotebook(notebook_id=notebook_id, assignment=handed_in)
        for *_, cell_id, _, kind in found:
            if kind in ("GradeCell", "TaskCell"):
                made.grades.append(api.Grade(cell_id=cell_id))
            if kind in ("SolutionCell", "TaskCell"):
                made.comments.append(api.Comment(cell_id=cell_id))
        db.add(handed_in)
    if timestamp:
        handed_in.timestamp = utils.parse_utc(timestamp)
    names = {cell_id: name for *_, cell_id, name, _ in found}
    return next(n for n in handed_in.notebooks if n.notebook_id == notebook_id), names


def manual_scores(gradebook) -> dict[tuple[str, str, str], float]:
    """(student, assignment, grade_id) -> the score that a grader gave in formgrader."""
    with quiet():
        from nbgrader import api
        from sqlalchemy import select

    rows = gradebook.db.execute(
        select(
            api.SubmittedAssignment.student_id,
            api.Assignment.name,
            api.BaseCell.name,
            api.Grade.score,
        )
        .select_from(api.Grade)
        .join(api.BaseCell, api.BaseCell.id == api.Grade.cell_id)
        .join(api.SubmittedNotebook, api.SubmittedNotebook.id == api.Grade.notebook_id)
        .join(
            api.SubmittedAssignment,
            api.SubmittedAssignment.id == api.SubmittedNotebook.assignment_id,
        )
        .join(api.Assignment, api.Assignment.id == api.SubmittedAssignment.assignment_id)
        .where(api.Grade.manual_score.is_not(None))
    )
    return {tuple(place): score for *place, score in rows}


def take_manual_scores(given, result):
    """Put the scores `given` by graders (see manual_scores) into a result. Changes `result`."""
    for v in result["verdicts"]:
        for grade_id in (f"test_{v['exercise']}", v["exercise"]):
            score = given.get((result["student"], result["assignment"], grade_id))
            if score is not None:
                by_hand(v, score)
                break


def by_hand(verdict, score):
    """A grader's score wins over the automatic one. Changes `verdict`."""
    if verdict["score"] != score or verdict["status"] == "ungraded":
        verdict.update(score=score, status="graded", message="graded by hand")


def read_timestamp(folder):
    """The time of submission in nbgrader's timestamp.txt: (datetime or None, complaint or None)."""
    path = os.path.join(folder, "timestamp.txt")
    try:
        # O_NOFOLLOW: a link may point anywhere; O_NONBLOCK: a pipe must not hold up the class.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None, None
    except OSError:
        return None, "timestamp.txt is not a plain file: ignored"
    try:
        text = os.read(handle, 200).decode("utf-8", "replace").strip()
    except OSError:
        return None, "timestamp.txt cannot be read: ignored"
    finally:
        os.close(handle)
    with quiet():
        from nbgrader.utils import parse_utc
    try:
        return (parse_utc(text) if text else None), None
    except (ValueError, OverflowError, AttributeError):
        return None, "timestamp.txt holds no date: ignored"


def valid_score(score, max_score):
    """Whether a score may be recorded: None (hand grade) or a finite number from 0 to max."""
    return score is None or (math.isfinite(score) and 0 <= score <= max_score)


@contextmanager
def quiet():
    """nbgrader 0.9.6 with SQLAlchemy 2.1 warns at import about its own relations."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
