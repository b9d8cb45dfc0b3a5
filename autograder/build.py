"""Build the student notebooks from the solutions.

    solutions/NN_name.py ──source_notebook──> nbgrader source notebook, with solutions
                         ──nbgrader──────────> lectures/NN_name/NN_name.ipynb, without

A solution file is jupytext's percent format. Short forms on a cell's line become nbgrader metadata:

    # %% tags=["setup"]                 set-up code: imports, given classes; always judged
    # %% tags=["long"]                  slow code (over about a second), skipped in grading
    # %% [markdown] about="repeat_kv"   what the exercise asks; heading and hints come from the TOML
    # %% exercise="repeat_kv"           solution cell, first line `# exercise: repeat_kv`
    # %% test="repeat_kv"               test cell: check("repeat_kv", ...) and the hidden line
    # %% manual="conclusion" points=0   a text that is graded by hand

A badge and a set-up cell for Colab are added where pyproject.toml names the students' repository.

Text goes to notebook, never back: jupytext's pairing could write answers into the wrong file.
Builds are byte-identical: cell ids come from the grade_id, or from position and content.
"""

import ast
import contextlib
import copy
import difflib
import hashlib
import io
import json
import logging
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from course_lib.answers import judged_cells, top_level_names
from course_lib.exercises import Exercise, load_exercises

ROOT = Path(__file__).resolve().parent.parent
POINTS = 20  # of every notebook
KEYS = ("about", "exercise", "test", "manual", "points", "tags")
TAGS = ("setup", "long")
STUB = "raise NotImplementedError"
MARKER = re.compile(r"^[ \t]*#[ \t]*%%")
MAGIC = re.compile(r"^# (?=[%!][A-Za-z])", re.MULTILINE)
COLAB = "https://colab.research.google.com"
START = """\
# Run this first. On Colab it installs the course; nothing that is already there is replaced.
import importlib.util

if importlib.util.find_spec("course_lib") is None:
    %pip install --quiet --no-deps {repository}/archive/refs/heads/main.zip
from course_lib.colab import start

start("{notebook_id}")"""
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class BuildError(Exception):
    """A solution file breaks a rule; the text is one line, `file:line: what to do`."""


def notebook_ids(root: Path = ROOT) -> list[str]:
    """The ids of all notebooks, in order: the stems of solutions/NN_name.py."""
    return sorted(path.stem for path in (root / "solutions").glob("[0-9][0-9]_*.py"))


def lecture_path(notebook_id: str, root: Path = ROOT) -> Path:
    """Where the student version of a notebook is written."""
    return root / "lectures" / notebook_id / f"{notebook_id}.ipynb"


def source_notebook(notebook_id: str, root: Path = ROOT):
    """The instructor's notebook, with solutions and hidden lines, as an nbformat NotebookNode.

    BuildError for the first rule that its solution file breaks.
    """
    from nbformat.v4 import new_notebook

    path = root / "solutions" / f"{notebook_id}.py"
    if not path.is_file():
        there = ", ".join(notebook_ids(root)) or "none"
        raise BuildError(f"{path}: no such file; there are: {there}")
    try:
        exercises = load_exercises(notebook_id, root / "course_lib" / "exercises")
    except (LookupError, ValueError) as error:
        raise BuildError(f"{path.name}: {error}") from None
    cells = _cells(path)
    _check_rules(path, cells, exercises)
    numbers = {name: number for number, name in enumerate(exercises, 1)}
    for cell in cells:
        if about := cell.metadata.get("about"):
            cell.source = _explanation(exercises[about], numbers[about], cell.source)
    made = [_expand(cell, index, exercises) for index, cell in enumerate(cells)]
    if repository := students_repository(root):
        _open_in_colab(made, notebook_id, repository)
    return new_notebook(cells=made, metadata=copy.deepcopy(METADATA), nbformat_minor=5)


def release_notebook(notebook_id: str, root: Path = ROOT):
    """The students' notebook of one lecture, as nbgrader's generate_assignment makes it."""
    return release([notebook_id], root)[notebook_id]


def reference_cells(notebook_id: str, root: Path = ROOT) -> list[tuple[str, str | None, str]]:
    """The judged cells of the reference solution: see `judged_cells`."""
    return judged_cells(source_notebook(notebook_id, root).cells)


def notebook_text(notebook) -> str:
    """The text of a notebook file, the same bytes for the same notebook."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def build(check: bool = False, ids: Iterable[str] | None = None, root: Path = ROOT) -> list[str]:
    """Write lectures/ from solutions/; returns the ids of notebooks that were not up to date.

    check: write nothing. ids: these notebooks alone. A lecture without a solution is reported
    (with `check`) or removed: lectures/ holds what solutions/ makes, and nothing else.
    """
    every = notebook_ids(root)
    wanted = every if ids is None else list(ids)
    stale = []
    for notebook_id, notebook in release(wanted, root).items():
        path, text = lecture_path(notebook_id, root), notebook_text(notebook)
        if path.is_file() and path.read_bytes() == text.encode():
            continue
        stale.append(notebook_id)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode())
    if ids is None:
        for path in sorted((root / "lectures").glob("[0-9][0-9]_*/*.ipynb")):
            if path != lecture_path(path.stem, root) or path.stem not in every:
                stale.append(path.stem)
                if not check:
                    path.unlink()
    return stale


# ------------------------------------------------------------------------- the percent format


def _cells(path):
    """The cells of a solution file; metadata holds the short forms and the `line` in the file."""
    import jupytext

    # jupytext does not say where a cell came from, so each marker carries its line number in.
    lines = path.read_text(encoding="utf-8").split("\n")
    marked = [
        f"{_as_text(line.rstrip())} line={number}" if MARKER.match(line) else line
        for number, line in enumerate(lines, 1)
    ]
    # With comment_magics jupytext takes a comment such as "# copy the keys" for a shell command.
    fmt = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    cells = jupytext.reads("\n".join(marked), fmt=fmt).cells
    for cell in cells:
        cell.metadata.pop("lines_to_next_cell", None)
        cell.metadata.pop("lines_to_end_of_cell_marker", None)
        where = f"{path.name}:{cell.metadata.get('line', 1)}"
        if "line" not in cell.metadata or any(MARKER.match(x) for x in cell.source.split("\n")):
            raise BuildError(f"{where}: code outside a cell, or a `# %%` inside a text; move it")
        cell.source = cell.source.strip("\n")
        if cell.cell_type == "code":
            cell.source = MAGIC.sub("", cell.source)
    return cells


def _as_text(marker):
    # An answer in words is a markdown cell, whether or not its line says so.
    text = " manual=" in marker and "[markdown]" not in marker
    return marker.replace("%%", "%% [markdown]", 1) if text else marker


def _check_rules(path, cells, exercises: dict[str, Exercise]):
    """Raise BuildError for the first broken rule, with its line."""
    toml = f"{path.stem}.toml"
    line, seen = 1, {}

    def need(condition, message):
        if not condition:
            raise BuildError(f"{path.name}:{line}: {message}")

    previous = None
    for cell in cells:
        line = cell.metadata["line"]
        _check_keys(cell, need)
        forms = [key for key in ("about", "exercise", "test", "manual") if key in cell.metadata]
        need(previous is None or forms == ["test"], f"the test cell of {previous!r} must come next")
        previous = None
        has_solution = "BEGIN SOLUTION" in cell.source
        need(
            not has_solution or forms in (["exercise"], ["manual"]),
            "a solution outside a solution cell would reach the students",
        )
        if "BEGIN HIDDEN TESTS" in cell.source:
            need(forms == ["test"], "hidden tests outside a test cell would reach the students")
        if not forms:
            continue
        form, name = forms[0], cell.metadata[forms[0]]
        key = f"{form} {name}"
        need(key not in seen, f"{key!r} was already used at line {seen.get(key)}")
        seen[key] = line
        code = form in ("exercise", "test")
        kind = "code" if code else "markdown"
        need(cell.cell_type == kind, f"{key!r} must be a {kind} cell")
        if form != "manual":
            near = difflib.get_close_matches(name, exercises, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            need(name in exercises, f"{name!r} has no entry in course_lib/exercises/{toml}{hint}")
        if form == "exercise":
            need(f"about {name}" in seen, f"explain {name!r} first, in a cell about={name!r}")
            _check_solution(cell, name, exercises[name], need)
            previous = name
        elif form == "test":
            need(f"exercise {name}" in seen, f"the solution cell of {name!r} must come before")
            _check_test(cell, name, need)
    line = len(path.read_text(encoding="utf-8").split("\n"))
    need(previous is None, f"the test cell of {previous!r} must come next")
    done = [key.removeprefix("exercise ") for key in seen if key.startswith("exercise ")]
    for name in exercises:
        need(name in done, f"no solution cell for {name!r}, which {toml} lists")
    for have, want in zip(done, exercises, strict=True):
        line = seen[f"exercise {have}"]
        need(have == want, f"{toml} has {want!r} here, this is {have!r}: use one order")
    line = 1
    manual = sum(cell.metadata["points"] for cell in cells if "manual" in cell.metadata)
    points = sum(e.points for e in exercises.values()) + manual
    given = f"the points in course_lib/exercises sum to {points:g}"
    need(points == POINTS, f"{given}, those of a notebook to {POINTS}")
    names = [key.split()[1] for key in seen if key.startswith(("exercise ", "manual "))]
    for name in names:
        need(names.count(name) == 1, f"{name!r} is both an exercise and a manual answer")


def _check_keys(cell, need):
    metadata = cell.metadata
    bad = sorted(set(metadata) - {*KEYS, "line"} - {"title", "incorrectly_encoded_metadata"})
    need(not bad, f"unknown key {', '.join(bad)}; there are: {', '.join(KEYS)}")
    for key in ("title", "incorrectly_encoded_metadata"):
        need(key not in metadata, f"cannot read {metadata.get(key)!r} on the cell's line")
    forms = [key for key in ("about", "exercise", "test", "manual") if key in metadata]
    need(len(forms) < 2, f"a cell is either {' or '.join(forms)}")
    for key in forms:
        ok = isinstance(metadata[key], str) and re.fullmatch(r"[A-Za-z_]\w{0,57}", metadata[key])
        need(ok, f'{key} must be a name in quotes, as in {key}="repeat_kv"')
    if "manual" in forms:
        ok = type(metadata.get("points")) in (int, float) and metadata["points"] >= 0
        need(ok, "a manual answer needs points=0 or more")
    else:
        need(
            "points" not in metadata,
            "points come from the TOML, except for manual answers",
        )
    tags = metadata.get("tags", [])
    need(isinstance(tags, list) and set(tags) <= set(TAGS), f"tags must be among {', '.join(TAGS)}")
    need(not tags or cell.cell_type == "code", "only code cells have tags")
    need(not tags or not forms, f"a cell with {forms[0] if forms else ''} has no tags")


def _check_solution(cell, name, exercise, need):
    anchor = f"# exercise: {name}"
    need(cell.source.split("\n")[0] == anchor, f"the first line of the cell must be {anchor!r}")
    begin, end = (re.findall(rf"### {word} SOLUTION", cell.source) for word in ("BEGIN", "END"))
    need(begin and len(begin) == len(end), "put the answer between ### BEGIN and ### END SOLUTION")
    try:
        defined = top_level_names(ast.parse(cell.source))
    except SyntaxError as error:
        need(False, f"line {error.lineno} of the cell is not valid Python: {error.msg}")
    for function in exercise.functions:
        need(function in defined, f"the cell must define {function!r}")


def _check_test(cell, name, need):
    hidden = re.search(
        r"### BEGIN HIDDEN TESTS\n(.*?)\n### END HIDDEN TESTS", cell.source, flags=re.DOTALL
    )
    need(hidden, "the test cell needs ### BEGIN HIDDEN TESTS, hidden line, ### END HIDDEN TESTS")
    line = f'hidden("{name}")'
    need(hidden[1].strip() == line, f"the hidden region is the one line {line}")
    need(cell.source.startswith(f'check("{name}", '), f'the test cell starts with check("{name}", ')


# --------------------------------------------------------------------------- cells of the notebook


def _explanation(exercise: Exercise, number: int, text: str) -> str:
    """The heading line, the explanation, and three hints that open one after another."""
    points = f"{exercise.points:g} point{'' if exercise.points == 1 else 's'}"
    difficulty = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
    heading = (
        f"### Exercise {number} · `{exercise.name}` · {points} · difficulty {difficulty}"
        f" · about {exercise.minutes} min"
    )
    hints = ""
    for level in (3, 2, 1):
        inner = f"\n\n{hints}" if hints else ""
        summary = f"<summary>Hint {level} of 3</summary>"
        hints = f"<details>{summary}\n\n{exercise.hints[level - 1]}{inner}\n\n</details>"
    return "\n\n".join(part for part in (heading, text, hints) if part)


def _expand(cell, index, exercises):
    """A cell of the notebook: short form to nbgrader metadata, stable id."""
    from nbformat import NotebookNode

    short, nbgrader = cell.metadata, None
    if name := short.get("exercise"):
        nbgrader = {"grade_id": name, "solution": True}
    elif name := short.get("test"):
        points = exercises[name].points
        nbgrader = {"grade_id": f"test_{name}", "grade": True, "locked": True, "points": points}
    elif name := short.get("manual"):
        points = short["points"]
        nbgrader = {"grade_id": name, "grade": True, "solution": True, "points": points}
    metadata = {key: short[key] for key in ("tags",) if short.get(key)}
    if nbgrader:
        rest = {"grade": False, "locked": False, "schema_version": 3, "solution": False}
        metadata["nbgrader"] = {**rest, "task": False, **nbgrader}
    digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:8]
    cell_id = nbgrader["grade_id"] if nbgrader else f"{index:03d}-{digest}"
    made = {"cell_type": cell.cell_type, "id": cell_id, "metadata": metadata, "source": cell.source}
    if cell.cell_type == "code":
        made |= {"execution_count": None, "outputs": []}
    return NotebookNode(json.loads(json.dumps(made), object_hook=NotebookNode))


# ------------------------------------------------------------------------------------------- Colab


def students_repository(root: Path = ROOT) -> str | None:
    """Where students get the notebooks: `Students` in pyproject.toml's project.urls, the one place.

    None for a course without it; its notebooks have neither badge nor set-up cell.
    """
    path = root / "pyproject.toml"
    project = tomllib.loads(path.read_text("utf-8"))["project"] if path.is_file() else {}
    url = project.get("urls", {}).get("Students")
    return url.rstrip("/") if url else None


def colab_badge(notebook_id: str, repository: str) -> str:
    """Markdown: a picture that opens the notebook on Colab."""
    here = repository.removeprefix("https://github.com/")
    link = f"{COLAB}/github/{here}/blob/main/lectures/{notebook_id}/{notebook_id}.ipynb"
    return f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({link})"


def _open_in_colab(cells, notebook_id, repository):
    """Put the badge under the title, and the set-up cell before the first code cell.

    The set-up cell is not tagged "setup": a judged run leaves it out, it costs nothing there.
    """
    from nbformat import NotebookNode

    title, _, text = cells[0].source.partition("\n")
    cells[0].source = f"{title}\n\n{colab_badge(notebook_id, repository)}\n{text}"
    source = START.format(repository=repository, notebook_id=notebook_id)
    cell = {"cell_type": "code", "id": "start", "metadata": {}, "source": source}
    first = next((i for i, c in enumerate(cells) if c.cell_type == "code"), len(cells))
    more = {"execution_count": None, "outputs": []}
    cells.insert(first, NotebookNode(json.loads(json.dumps(cell | more), object_hook=NotebookNode)))


# ---------------------------------------------------------------------------------------- nbgrader


def nbgrader_options():
    """The options of this course for nbgrader's own preprocessors, as a traitlets Config."""
    from traitlets.config import Config

    config = Config()
    config.ClearSolutions.code_stub = {"python": STUB}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    return config


def use_own_programs() -> None:
    """Let nbgrader find `alembic`, which it starts by name, in a venv that is not activated."""
    beside_python = os.path.dirname(sys.executable)
    path = os.environ.get("PATH", "").split(os.pathsep)
    if beside_python not in path:
        os.environ["PATH"] = os.pathsep.join([beside_python, *path])


def release(ids: Iterable[str], root: Path = ROOT) -> dict[str, object]:
    """The students' notebooks of several lectures, id -> NotebookNode, in one run of nbgrader.

    nbgrader works on folders, which are temporary here. BuildError when it fails.
    """
    sources = {notebook_id: source_notebook(notebook_id, root) for notebook_id in ids}
    if not sources:
        return {}
    import nbformat

    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        for notebook_id, notebook in sources.items():
            path = Path(folder, "source", notebook_id, f"{notebook_id}.ipynb")
            path.parent.mkdir(parents=True)
            path.write_text(notebook_text(notebook), encoding="utf-8")
        _generate_assignments(Path(folder), list(sources))
        made = {i: Path(folder, "release", i, f"{i}.ipynb").read_text("utf-8") for i in sources}
    return {i: nbformat.reads(text, as_version=4) for i, text in made.items()}


def _generate_assignments(folder: Path, ids: list[str]) -> None:
    with quiet_nbgrader() as said:
        from nbgrader.converters import GenerateAssignment
        from nbgrader.converters.base import NbGraderException
        from nbgrader.coursedir import CourseDirectory

        for notebook_id in ids:
            config = nbgrader_options()
            config.CourseDirectory.root = str(folder.resolve())
            config.CourseDirectory.assignment_id = notebook_id
            # As `nbgrader generate_assignment --no-db`: the gradebook belongs to a grading run.
            config.GenerateAssignment.no_database = True
            config.SaveCells.enabled = False
            try:
                GenerateAssignment(coursedir=CourseDirectory(config=config), config=config).start()
            except NbGraderException as error:
                log = said.getvalue().strip() or str(error)
                raise BuildError(f"nbgrader could not make {notebook_id}: {log}") from None


@contextlib.contextmanager
def quiet_nbgrader() -> Iterator[io.StringIO]:
    """Collect what nbgrader logs (errors alone) and hide the warnings of the libraries it uses."""
    import warnings

    from traitlets.log import get_logger

    said, logger = io.StringIO(), get_logger()
    handler, level, propagate = logging.StreamHandler(said), logger.level, logger.propagate
    others = logger.handlers[:]
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield said
    finally:
        logger.handlers, logger.propagate = others, propagate
        logger.setLevel(level)


# ----------------------------------------------------------------------------------------- running


def run(notebook, allow_errors: bool = False, skip_long: bool = False, cell_seconds: int = 600):
    """Run a notebook in a stock Jupyter kernel; returns it with its outputs.

    For tests and demos, on the instructor's own notebooks: nothing is sandboxed here.
    allow_errors: go on after an error. skip_long: leave out the cells tagged "long".
    nbclient's CellExecutionError for an error otherwise, CellTimeoutError after `cell_seconds`.
    """
    from nbclient import NotebookClient

    done = copy.deepcopy(notebook)
    options = {"skip_cells_with_tag": "long"} if skip_long else {}
    with tempfile.TemporaryDirectory(prefix="run-") as folder:
        NotebookClient(
            done,
            timeout=cell_seconds,
            kernel_name="python3",
            allow_errors=allow_errors,
            resources={"metadata": {"path": folder}},
            **options,
        ).execute()
    return done


def run_release(notebook_id: str, root: Path = ROOT, **options):
    """Run a blank student notebook to its end; see `run`, and `errors` for what it ran into."""
    return run(release_notebook(notebook_id, root), allow_errors=True, **options)


def run_reference(notebook_id: str, root: Path = ROOT, **options):
    """Run the notebook with the reference solutions; the hidden lines are left out."""
    from nbgrader.preprocessors import ClearHiddenTests

    notebook, _ = ClearHiddenTests().preprocess(source_notebook(notebook_id, root), {})
    return run(notebook, **options)


def errors(notebook) -> list[tuple[int, str, str]]:
    """The errors in a notebook's outputs: (cell index, exception name, message)."""
    return [
        (index, output.ename, output.evalue)
        for index, cell in enumerate(notebook.cells)
        for output in cell.get("outputs", [])
        if output.output_type == "error"
    ]


if __name__ == "__main__":
    # For authors of solutions: python -m autograder.build [--check] [ID ...]
    chosen = [argument for argument in sys.argv[1:] if argument != "--check"]
    try:
        outdated = build("--check" in sys.argv, chosen or None)
    except BuildError as problem:
        sys.exit(str(problem))
    print("\n".join(outdated) or "lectures/ is up to date")
    sys.exit(1 if outdated and "--check" in sys.argv else 0)
