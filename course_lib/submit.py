"""`course submit NOTEBOOK`: check a notebook before it is handed in, write the file to upload.

The notebook is rebuilt from the one that was handed out and the answers found in yours, with the
code that the grader uses: lost metadata, copied, merged, moved or retyped cells are mended. Then
your answers are run as the grader runs them (set-up cells and exercise cells, nothing else) and
the visible checks are asked. Your own file is not changed.
"""

import contextlib
import json
import re
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from course_lib import trial
from course_lib.answers import (
    Unreadable,
    find_answers,
    grade_id,
    is_solution,
    judged_cells,
    read_cells,
)
from course_lib.exercises import attachments, load_exercises, notebook_ids

HOME = Path(__file__).resolve().parent.parent
LARGEST_OUTPUT = 1_000_000  # bytes of one cell's outputs that are kept
LARGEST_FILE = 200_000_000  # bytes: a download that is no notebook


class SubmitError(Exception):
    """There is nothing that could be handed in; the text is one line that says what to do."""


@dataclass(frozen=True)
class Line:
    """What is said of one exercise. `state`: "ok", "not yet", "blank", "missing",
    "not run", "by hand"."""

    name: str
    state: str
    text: str

    def __str__(self):
        return f"  {self.state:<8} {self.name:<24} {self.text}"


@dataclass(frozen=True)
class Handed:
    """What was written, and what was found on the way."""

    path: Path
    notebook_id: str
    lines: list[Line]
    repairs: list[str]
    files: list[str]  # what is in the file, attachments too
    absent: list[str]  # attachments that should have been beside the notebook


def submit(notebook, out=None, notebook_id=None, run=True, seconds=60, say=print) -> Handed:
    """Check `notebook` (a path) and write the one file to hand in to the folder `out`.

    out: the folder `hand_in` beside the notebook by default. notebook_id: which notebook it is,
    found out by default. run: run the answers. seconds: the limit of one cell with its check.
    say: called with each Line as soon as it is known. SubmitError when nothing can be handed in.
    """
    path = Path(notebook)
    data = _read(path)
    try:
        cells, _ = read_cells(data)
    except Unreadable as error:
        raise SubmitError(f"{path.name}: {error}") from None
    notebook_id = notebook_id or recognise(path.name, cells)
    made = handed_out(notebook_id)
    folder = Path(out) if out else path.parent / "hand_in"
    target = folder / f"{notebook_id}.ipynb"
    if target.resolve() == path.resolve():
        raise SubmitError(f"{target} is the notebook itself: name another folder with --out")
    found = find_answers(cells, read_cells(json.dumps(made).encode())[0])
    _fill_in(made, found, json.loads(data.decode("utf-8-sig")))

    lines = {}
    names = [grade_id(cell) for cell in made["cells"] if is_solution(cell)]
    extra = [path.parent / name for name in attachments(notebook_id)]
    there = [file for file in extra if file.is_file()]
    for line in _states(made, names, notebook_id, found, run, seconds, there):
        lines[line.name] = line
        say(line)

    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(made, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    if there:
        target = folder / f"{notebook_id}.zip"
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{notebook_id}.ipynb", text)
            for file in there:
                archive.write(file, file.name)
    else:
        target.write_text(text, encoding="utf-8")
    return Handed(
        target,
        notebook_id,
        [lines[name] for name in names],
        found.report,
        [f"{notebook_id}.ipynb", *(file.name for file in there)],
        [file.name for file in extra if file not in there],
    )


def main(options) -> int:
    """The command: 0 when a file was written, 1 when there is nothing to hand in."""
    try:
        handed = submit(
            options.notebook, options.out, options.id, not options.no_run, options.seconds
        )
    except SubmitError as error:
        print(f"course submit: {error}", file=sys.stderr)
        return 1
    if handed.repairs:
        print("\nMended:", *(f"  {line}" for line in handed.repairs), sep="\n")
    for name in handed.absent:
        print(f"\nNot found beside the notebook: {name}. Without it that exercise scores 0.")
    done = sum(line.state == "ok" for line in handed.lines)
    print(f"\n{done} of {len(handed.lines)} exercises pass their visible check.")
    size = handed.path.stat().st_size / 1e3
    print(f"Hand in this one file: {handed.path} ({size:.0f} kB)")
    return 0


# ------------------------------------------------------------------------------- which notebook


def handed_out(notebook_id: str) -> dict:
    """The notebook as students got it: from the clone, or from the installed package."""
    name = f"{notebook_id}.ipynb"
    places = [HOME / "lectures" / notebook_id / name]
    # pip knows where it put a wheel's data: not always below sys.prefix (Debian's and Colab's
    # Python keep it in /usr/local).
    with contextlib.suppress(PackageNotFoundError):
        installed = files("finetuning-course") or ()
        places += [Path(file.locate()) for file in installed if file.name == name]
    for place in places:
        if place.is_file():
            return json.loads(place.read_text(encoding="utf-8"))
    there = ", ".join(notebook_ids())
    raise SubmitError(f"no notebook {notebook_id!r} in this installation; it has: {there}")


def recognise(file_name: str, cells: list[dict]) -> str:
    """Which notebook it is: by the file's name ("Copy of 01_gqa_moe (1).ipynb"), else by the
    exercises in it; SubmitError if neither tells."""
    for notebook_id in notebook_ids():
        if notebook_id in file_name:
            return notebook_id
    marks = {grade_id(cell) for cell in cells}
    for cell in cells:
        marks |= set(re.findall(r"^# exercise: (\w+)", cell["source"], re.M))
        marks |= set(re.findall(r"^(?:def|class) (\w+)", cell["source"], re.M))
    score = {i: len(marks & set(load_exercises(i))) for i in notebook_ids()}
    best = max(score, key=score.get, default=None)
    if best is None or score[best] == 0:
        raise SubmitError(
            f"{file_name} holds no exercise of this course; "
            f"say which notebook it is: --id {'|'.join(notebook_ids())}"
        )
    return best


def _read(path):
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise SubmitError(
                f"{path} is larger than {LARGEST_FILE / 1e6:.0f} MB: clear its outputs"
            )
        return path.read_bytes()
    except OSError as error:
        raise SubmitError(f"cannot read {path}: {error.strerror}") from None


def _fill_in(made, found, student):
    """Put the answers into the handed-out notebook, and the outputs of cells left as they were."""
    outputs = {}
    for cell in student.get("cells") or ():
        if isinstance(cell, dict) and isinstance(cell.get("outputs"), list):
            source = cell.get("source", "")
            source = "".join(source) if isinstance(source, list) else str(source)
            if len(json.dumps(cell["outputs"])) <= LARGEST_OUTPUT:
                outputs[source.strip()] = cell["outputs"]
    for cell in made["cells"]:
        name = grade_id(cell)
        if is_solution(cell) and name in found.sources:
            cell["source"] = found.sources[name]
        if cell["cell_type"] == "code":
            cell["outputs"] = outputs.get(cell["source"].strip(), [])


# ------------------------------------------------------------------------------------- the trial


def _states(made, names, notebook_id, found, run, seconds, files):
    """A Line for each answer, in the notebook's order, as soon as it is known."""
    exercises = load_exercises(notebook_id)
    told = {}
    for name in names:
        if name in found.missing:
            told[name] = Line(name, "missing", "its cell is gone; an empty one was put in")
        elif name in found.blank:
            told[name] = Line(name, "blank", "not started")
        elif name not in exercises:
            told[name] = Line(name, "by hand", "a text; a person grades it")
        elif not run:
            told[name] = Line(name, "not run", "there is an answer")
    steps = [
        (kind, name, source, exercises[name].functions if name else ())
        for kind, name, source in judged_cells(made["cells"])
        if kind == "setup" or name not in told
    ]
    results = trial.run(steps, seconds, files) if run and len(told) < len(names) else iter(())
    seen = {}
    for name in names:
        if name in told:
            yield told[name]
            continue
        while name not in seen:
            one = next(results, None)
            if one is None:
                seen[name] = ("not yet", "it was not run")
            else:
                seen[one[0]] = one[1:]
        yield Line(name, *seen[name])
