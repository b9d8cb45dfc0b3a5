"""The student notebooks are what the solutions say, byte for byte, and no answer is in them."""

import json
import os
import subprocess
import sys

import nbformat
import pytest

from autograder import build
from autograder.build import BuildError

SOLUTION = '''\
# %% [markdown]
# # A notebook
# Words.

# %% tags=["setup"]
import math

from course_lib import check

# %matplotlib inline


# %% [markdown] about="double"
# **Why.** Because $2x$.

# %% exercise="double"
# exercise: double
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    # copy the argument, so that this comment is no shell command
    SECRET_ANSWER = 2 * x
    return SECRET_ANSWER
    ### END SOLUTION


# %% test="double"
check("double", double)
### BEGIN HIDDEN TESTS
hidden("double")
### END HIDDEN TESTS

# %%
double(3)

# %% tags=["long"]
double(10**6)

# %% [markdown] about="first"
# **Why.** Two functions in one cell.

# %% exercise="first"
# exercise: first
def first(x):
    ### BEGIN SOLUTION
    return x[0]
    ### END SOLUTION


def last(x):
    ### BEGIN SOLUTION
    return x[-1]
    ### END SOLUTION


# %% test="first"
check("first", first, last)
### BEGIN HIDDEN TESTS
hidden("first")
### END HIDDEN TESTS

# %% manual="words" points=0
# A model answer, SECRET_WORDS.
'''
TOML = """\
title = "A notebook"

[[exercise]]
name = "double"
points = 15
difficulty = 1
minutes = 10
hints = ["one", "two", "three"]

[[exercise]]
name = "first"
functions = ["first", "last"]
points = 5
difficulty = 3
minutes = 5
hints = ["four", "five", "six"]
"""


@pytest.fixture
def course(tmp_path):
    (tmp_path / "solutions").mkdir()
    (tmp_path / "course_lib" / "exercises").mkdir(parents=True)

    def write(solution=SOLUTION, toml=TOML, name="01_a"):
        (tmp_path / "solutions" / f"{name}.py").write_text(solution)
        (tmp_path / "course_lib" / "exercises" / f"{name}.toml").write_text(toml)
        # The TOML reader keeps what it read: a new folder for every text would be the other way.
        from course_lib import exercises

        exercises._read_file.cache_clear()
        return tmp_path

    write()
    return write


@pytest.fixture
def root(course):
    return course()


def by_id(notebook):
    return {cell.id: cell for cell in notebook.cells}


def test_builds_are_byte_identical_and_valid(root):
    assert build.build(root=root) == ["01_a"]
    path = build.lecture_path("01_a", root)
    first = path.read_bytes()
    path.unlink()
    again = subprocess.run(  # another process: another hash seed, another database
        [sys.executable, "-c", f"from autograder import build; from pathlib import Path\n"
         f"build.build(root=Path({str(root)!r}))"],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert path.read_bytes() == first
    assert (again.stdout, again.stderr) == ("", "")
    notebook = nbformat.reads(first.decode(), as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert notebook.nbformat_minor == 5
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids) and {"double", "test_double", "first", "words"} <= set(ids)
    assert notebook.metadata.kernelspec.name == "python3"
    assert first.endswith(b"}\n")


def test_no_answer_and_no_hidden_line_reaches_the_students(root):
    text = build.notebook_text(build.release_notebook("01_a", root))
    for secret in ("SECRET", "SOLUTION", "HIDDEN", "hidden(", "jupytext", "lines_to", "exercise="):
        assert secret not in text
    cells = by_id(build.release_notebook("01_a", root))
    assert cells["double"].source == (
        '# exercise: double\ndef double(x):\n    """Twice x."""\n    raise NotImplementedError'
    )
    assert cells["first"].source.count("raise NotImplementedError") == 2
    assert cells["test_double"].source == 'check("double", double)'
    assert cells["words"].cell_type == "markdown"
    assert all(
        not c.outputs and c.execution_count is None for c in cells.values() if "outputs" in c
    )


def test_metadata_is_nbgraders(root):
    from nbgrader.nbgraderformat import MetadataValidator

    for notebook in (build.source_notebook("01_a", root), build.release_notebook("01_a", root)):
        MetadataValidator().validate_nb(notebook)
    cells = by_id(build.release_notebook("01_a", root))
    assert (
        cells["double"].metadata.nbgrader.solution and not cells["double"].metadata.nbgrader.grade
    )
    assert cells["test_double"].metadata.nbgrader.points == 15
    assert cells["test_double"].metadata.nbgrader.locked
    assert cells["test_double"].metadata.editable is False
    words = cells["words"].metadata.nbgrader
    assert words.grade and words.solution and words.points == 0
    tags = [c.metadata.tags for c in cells.values() if "tags" in c.metadata]
    assert tags == [["setup"], ["long"]]


def test_source_keeps_solution_comments_and_magics(root):
    cells = by_id(build.source_notebook("01_a", root))
    assert "    # copy the argument, so that" in cells["double"].source
    setup = next(c for c in cells.values() if c.metadata.get("tags") == ["setup"])
    assert setup.source.endswith("\n\n%matplotlib inline")


def test_the_explanation_has_heading_text_and_nested_hints(root):
    cells = build.source_notebook("01_a", root).cells
    text = next(c.source for c in cells if "Because $2x$" in c.source)
    lines = text.split("\n")
    assert lines[0] == "### Exercise 1 · `double` · 15 points · difficulty ●○○ · about 10 min"
    order = [text.index(part) for part in ("Because", "Hint 1", "one", "Hint 2", "two", "Hint 3")]
    assert order == sorted(order)
    assert text.endswith("three\n\n</details>\n\n</details>\n\n</details>")
    assert text.count("<details>") == 3
    second = next(c.source for c in cells if "Two functions" in c.source)
    assert second.startswith("### Exercise 2 · `first` · 5 points · difficulty ●●● · about 5 min")


def test_reference_cells_are_set_up_and_solutions_in_order(root):
    cells = build.reference_cells("01_a", root)
    assert [(kind, name) for kind, name, _ in cells] == [
        ("setup", None), ("solution", "double"), ("solution", "first"),
    ]  # fmt: skip
    assert "SECRET_ANSWER" in cells[1][2]


def test_check_says_what_is_stale_and_writes_nothing(course):
    root = course()
    build.build(root=root)
    assert build.build(check=True, root=root) == []
    path = build.lecture_path("01_a", root)
    before = path.read_bytes()
    course(SOLUTION.replace("Words.", "Other words."))
    assert build.build(check=True, root=root) == ["01_a"] and path.read_bytes() == before
    assert build.build(root=root) == ["01_a"] and path.read_bytes() != before
    path.write_bytes(path.read_bytes().replace(b"Other", b"My own"))
    assert build.build(check=True, root=root) == ["01_a"]
    build.build(root=root)
    (root / "solutions" / "01_a.py").rename(root / "solutions" / "02_b.py")
    (root / "course_lib/exercises/01_a.toml").rename(root / "course_lib/exercises/02_b.toml")
    assert build.build(check=True, root=root) == ["02_b", "01_a"] and path.exists()
    assert build.build(root=root) == ["02_b", "01_a"] and not path.exists()


def test_a_venv_that_is_not_activated_will_do(root):
    code = "from autograder import build; from pathlib import Path\n"
    code += f"build.build(root=Path({str(root)!r}))"
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert build.lecture_path("01_a", root).is_file()


def line_of(text, source=SOLUTION):
    return source[: source.index(text)].count("\n") + 1


MISTAKES = {
    "unknown key": ("exercise=\"double\"", "exercise=\"double\" level=2", "unknown key level"),
    "unread key": ('exercise="double"', "exercise=double", "cannot read 'exercise=double'"),
    "not in the TOML": ('about="double"', 'about="duble"', "did you mean 'double'?"),
    "twice": ('about="first"', 'about="double"', "'about double' was already used at line 13"),
    "no test": ('# %% test="first"', "# %%", "the test cell of 'first' must come next"),
    "test of another": ('# %% test="first"', '# %% test="double"', "already used"),
    "no anchor": ("# exercise: double", "# double", "must be '# exercise: double'"),
    "wrong anchor": ("# exercise: first", "# exercise: double", "must be '# exercise: first'"),
    "no solution": ("    ### BEGIN SOLUTION\n    # copy", "    # copy", "### BEGIN and ### END"),
    "solution elsewhere": ("double(3)", "### BEGIN SOLUTION", "would reach the students"),
    "hidden elsewhere": ("double(3)", "### BEGIN HIDDEN TESTS", "would reach the students"),
    "no definition": ("def last", "def lest", "the cell must define 'last'"),
    "not Python": ("def last(x)", "def last(x", "not valid Python"),
    "inline test": ('hidden("first")', "assert last([1]) == 1", 'the one line hidden("first")'),
    "no hidden line": ('### BEGIN HIDDEN TESTS\nhidden("first")\n', "", "needs ### BEGIN HIDDEN"),
    "no check": ('check("first", first, last)', "pass", 'starts with check("first", '),
    "points here": ('test="first"', 'test="first" points=2', "points come from the TOML"),
    "manual without": (" points=0", "", "needs points=0 or more"),
    "unknown tag": ('tags=["long"]', 'tags=["slow"]', "tags must be among setup, long"),
    "wrong type": ('[markdown] about="first"', 'about="first"', "must be a markdown cell"),
    "both": ('test="first"', 'test="first" about="first"', "a cell is either about or test"),
    "marker in a text": ('"""Twice x."""', '"""\n# %% x\n"""', "inside a text; move it"),
    "nothing explained": ('about="first"', "", "explain 'first' first"),
}  # fmt: skip


@pytest.mark.parametrize("old, new, message", MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_refused_with_file_and_line(course, old, new, message):
    assert old in SOLUTION
    root = course(SOLUTION.replace(old, new, 1))
    with pytest.raises(BuildError) as caught:
        build.source_notebook("01_a", root)
    text = str(caught.value)
    assert message in text and "\n" not in text
    name, line = text.split(":")[:2]
    assert name == "01_a.py" and abs(int(line) - line_of(old)) <= 9


def test_toml_and_notebook_must_agree(course):
    def refused(message, solution=SOLUTION, toml=TOML):
        with pytest.raises(BuildError) as caught:
            build.source_notebook("01_a", course(solution, toml))
        assert message in str(caught.value) and "\n" not in str(caught.value)

    refused("hints must be a list of exactly 3", toml=TOML.replace('"one", ', ""))
    refused("sum to 21, those of a notebook to 20", toml=TOML.replace("points = 15", "points = 16"))
    head, one, two = TOML.split("[[exercise]]")
    refused("'first' here, this is 'double'", toml="[[exercise]]".join([head, two, one]))
    extra = "[[exercise]]" + two.replace('"first"', '"third"').replace('"last"', '"fourth"')
    refused("no solution cell for 'third'", toml=TOML + extra)
    refused("'first' has no entry", toml=head + "[[exercise]]" + one)
    with pytest.raises(BuildError, match="no such file; there are: 01_a"):
        build.source_notebook("09_x", course())


def test_the_project_itself_builds():
    ids = build.notebook_ids()
    assert ids and all(build.source_notebook(i).cells for i in ids)


@pytest.mark.slow
def test_runs_of_the_blank_and_of_the_solved_notebook(course):
    text = SOLUTION.replace("from course_lib import check", "check = print")
    root = course(text)
    blank = build.run_release("01_a", root)
    assert {name for _, name, _ in build.errors(blank)} == {"NotImplementedError"}
    solved = build.run_reference("01_a", root, skip_long=True)
    assert build.errors(solved) == []
    outputs = [
        o["data"]["text/plain"] for c in solved.cells for o in c.get("outputs", []) if "data" in o
    ]
    assert outputs == ["6"]
    assert json.dumps(solved).count("2000000") == 0
