"""Whatever a student's notebook looks like: the answers are found, the rest is the instructor's."""

import copy
import json
import os
import socket
import time

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell

from autograder.restore import Unreadable, blank_notebook, is_ours, read_submission, restore

DOUBLE = "# exercise: double\ndef double(x):\n    return 2 * x"
PAIR = "# exercise: first\ndef first(x):\n    return x[0]\n\n\ndef last(x):\n    return x[-1]"


def nbgrader(grade_id, grade=False, solution=False, points=None):
    marks = {"grade": grade, "solution": solution, "locked": grade and not solution, "task": False}
    marks |= {"grade_id": grade_id, "schema_version": 3}
    return {"nbgrader": marks if points is None else {**marks, "points": points}}


def solution(name, signature, answer):
    source = (
        f"# exercise: {name}\n{signature}\n    ### BEGIN SOLUTION\n{answer}\n    ### END SOLUTION"
    )
    return new_code_cell(source, id=name, metadata=nbgrader(name, solution=True))


def graded(name):
    source = (
        f'check("{name}", {name})\n### BEGIN HIDDEN TESTS\nhidden("{name}")\n### END HIDDEN TESTS'
    )
    return new_code_cell(
        source, id=f"test_{name}", metadata=nbgrader(f"test_{name}", grade=True, points=2)
    )


def make_source():
    pair = "# exercise: first\ndef first(x):\n    ### BEGIN SOLUTION\n    return x[0]"
    pair += "\n    ### END SOLUTION"
    pair += "\n\n\ndef last(x):\n    ### BEGIN SOLUTION\n    return x[-1]\n    ### END SOLUTION"
    cells = [
        new_markdown_cell("# Title", id="title"),
        new_code_cell(
            "import math\nfrom course_lib import check", id="setup", metadata={"tags": ["setup"]}
        ),
        solution("double", "def double(x):", "    return x + x"),
        graded("double"),
        new_code_cell("double(3)", id="try"),
        new_code_cell(pair, id="first", metadata=nbgrader("first", solution=True)),
        graded("first"),
        new_markdown_cell("What did you see?", id="ask"),
        new_markdown_cell(
            "A model answer", id="words", metadata=nbgrader("words", True, True, points=0)
        ),
        new_markdown_cell("The end", id="end"),
    ]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def source():
    return make_source()


@pytest.fixture
def student(source):
    """The notebook as handed out, answered rightly."""
    notebook = blank_notebook(source)
    cell(notebook, "double").source = DOUBLE
    cell(notebook, "first").source = PAIR
    cell(notebook, "words").source = "It doubled."
    return notebook


def cell(notebook, cell_id):
    return next(c for c in notebook.cells if c.id == cell_id)


def hand_in(notebook):
    return json.dumps(notebook).encode()


def index(notebook, cell_id):
    return next(i for i, c in enumerate(notebook.cells) if c.id == cell_id)


def without_marks(notebook, *names):
    for c in notebook.cells:
        if not names or c.id in names:
            c.metadata = {}


def sources_of(restored):
    spaces = {}
    for kind, name, text in restored.judged_cells():
        if kind == "solution":
            spaces[name] = text
    return spaces


def run(text, **given):
    space = dict(given)
    exec(text, space)
    return space


def test_a_good_submission_is_taken_as_it_is(source, student):
    restored = restore(hand_in(student), source)
    assert restored.report == [] and not restored.missing and not restored.blank
    assert restored.sources == {"double": DOUBLE, "first": PAIR, "words": "It doubled."}
    assert [c.id for c in restored.notebook.cells] == [c.id for c in source.cells]
    assert cell(restored.notebook, "test_double").source == cell(source, "test_double").source
    assert restored.judged_cells()[0] == (
        "setup",
        None,
        "import math\nfrom course_lib import check",
    )
    nbformat.validate(restored.notebook)


def test_the_source_notebook_is_not_changed(source, student):
    before = copy.deepcopy(source)
    restore(hand_in(student), source)
    assert source == before


def test_nothing_of_the_reference_solution_is_left(source):
    restored = restore(hand_in(blank_notebook(source)), source)
    assert restored.blank == {"double", "first", "words"} and not restored.missing
    text = json.dumps(restored.notebook)
    assert "x + x" not in text and "model answer" not in text and "x[0]" not in text
    student = blank_notebook(source)
    without_marks(student)
    assert restore(hand_in(student), source).blank >= {"double", "first"}


def test_deleted_cells_are_missing_and_put_back_blank(source, student):
    student.cells = [c for c in student.cells if c.id not in ("double", "test_first", "setup")]
    restored = restore(hand_in(student), source)
    assert restored.missing == {"double"}
    assert [c.id for c in restored.notebook.cells] == [c.id for c in source.cells]
    assert "raise NotImplementedError" in cell(restored.notebook, "double").source
    assert "double" not in sources_of(restored) and "first" in sources_of(restored)
    assert any("test_first was not there" in line for line in restored.report)


def test_everything_but_the_answers_is_the_instructors(source, student):
    cell(student, "test_double").source = "print('full marks')"
    cell(student, "test_double").metadata.tags = ["skip-execution"]
    cell(student, "test_first").metadata.nbgrader.points = 1000
    cell(student, "setup").source = "check = lambda *a: None"
    cell(student, "try").source = "import os; os._exit(0)"
    cell(student, "double").metadata.tags = ["setup", "long"]
    student.metadata = {"kernelspec": {"name": "bash"}, "widgets": 3}
    restored = restore(hand_in(student), source)
    for before, after in zip(source.cells, restored.notebook.cells, strict=True):
        marks = dict(after.metadata)
        if "nbgrader" in marks:
            marks["nbgrader"] = {k: v for k, v in marks["nbgrader"].items() if k != "checksum"}
        assert marks == before.metadata
        assert after.id in ("double", "first", "words") or after.source == before.source
    assert restored.notebook.metadata == source.metadata
    assert "test_double was changed; the instructor's was put in its place" in restored.report


@pytest.mark.parametrize("strip_anchor", [False, True])
def test_lost_metadata(source, student, strip_anchor):
    without_marks(student)
    if strip_anchor:
        for c in student.cells:
            c.source = "\n".join(x for x in c.source.split("\n") if "# exercise" not in x)
    restored = restore(hand_in(student), source)
    assert not restored.missing
    assert run(sources_of(restored)["double"])["double"](4) == 8
    assert run(sources_of(restored)["first"])["last"]([1, 2]) == 2
    assert restored.sources["words"] == "It doubled."
    how = "what it defines" if strip_anchor else "its comment"
    assert any(
        line.startswith("double: cell 3 was recognised by " + how) for line in restored.report
    )


def test_colab_keys_are_harmless(source, student):
    for number, c in enumerate(student.cells):
        c.metadata |= {"id": f"x{number}", "colab_type": "code", "outputId": "1"}
        c.metadata["executionInfo"] = {"status": "ok", "user": {"displayName": "A"}}
        c.pop("id")
    student.nbformat_minor = 0
    restored = restore(hand_in(student), source)
    assert restored.report == [] and restored.sources["double"] == DOUBLE


def test_order_does_not_matter(source, student):
    student.cells = student.cells[::-1]
    restored = restore(hand_in(student), source)
    assert restored.sources["double"] == DOUBLE and restored.sources["first"] == PAIR


def test_a_copy_that_was_left_blank_does_not_count(source, student):
    student.cells.append(copy.deepcopy(cell(blank_notebook(source), "double")))
    restored = restore(hand_in(student), source)
    assert restored.sources["double"] == DOUBLE and not restored.blank


def test_the_last_of_two_copies_counts_and_it_is_said(source, student):
    again = copy.deepcopy(cell(student, "double"))
    again.source = again.source.replace("2 * x", "x * 2")
    student.cells.insert(index(student, "double") + 1, again)
    restored = restore(hand_in(student), source)
    assert "x * 2" in restored.sources["double"]
    assert "double: cell 4 was used; cell 3 also looked like an answer" in restored.report


def test_a_copy_that_was_made_into_another_answer(source, student):
    # The copy carries the mark of `double` but holds the answer of `first`, whose cell is deleted.
    again = copy.deepcopy(cell(student, "double"))
    again.source = PAIR
    at = index(student, "first")
    student.cells[at] = again
    restored = restore(hand_in(student), source)
    assert restored.sources["double"] == DOUBLE and restored.sources["first"] == PAIR


@pytest.mark.parametrize(
    "cut", ["\ndef double", "\n    return", "x = 2 * x\n", "\n    return y"], ids=str.strip
)
def test_a_split_cell_is_joined(source, student, cut):
    whole = "# exercise: double\nimport operator\n\n\n"
    whole += "def double(x):\n    x = 2 * x\n    y = x\n    return y"
    at = index(student, "double")
    where = whole.index(cut) + (len(cut) if cut.endswith("\n") else 1)
    one, two = copy.deepcopy(student.cells[at]), copy.deepcopy(student.cells[at])
    one.source, two.source = whole[:where].rstrip("\n"), whole[where:]
    student.cells[at : at + 1] = [one, two]
    restored = restore(hand_in(student), source)
    assert run(sources_of(restored)["double"])["double"](4) == 8


def test_an_explanation_is_no_answer(source):
    source = copy.deepcopy(source)
    cell(source, "title").source = "Write\n```python\ndef double(x):\n    ...\n```"
    student = blank_notebook(source)
    cell(student, "double").source = DOUBLE
    assert restore(hand_in(student), source).report == []
    student.cells.pop(index(student, "double"))
    restored = restore(hand_in(student), source)
    assert restored.missing == {"double"}


def test_two_functions_in_two_cells(source, student):
    first, last = PAIR.split("\n\n\n")
    at = index(student, "first")
    one, two = copy.deepcopy(student.cells[at]), copy.deepcopy(student.cells[at])
    one.source, two.source = first, last
    student.cells[at : at + 1] = [one, two]
    space = run(sources_of(restore(hand_in(student), source))["first"])
    assert space["first"]([1, 2]) == 1 and space["last"]([1, 2]) == 2
    two.metadata = {}
    space = run(sources_of(restore(hand_in(student), source))["first"])
    assert space["first"]([1, 2]) == 1 and space["last"]([1, 2]) == 2


def test_merged_cells_come_apart(source, student):
    cell(student, "double").source = DOUBLE + "\n" + PAIR
    student.cells.pop(index(student, "first"))
    restored = restore(hand_in(student), source)
    assert restored.sources["double"] == DOUBLE and restored.sources["first"] == PAIR


@pytest.mark.parametrize("kind", [new_markdown_cell, new_raw_cell])
@pytest.mark.parametrize("marked", [True, False])
def test_an_answer_in_a_cell_of_another_type(source, student, kind, marked):
    at = index(student, "double")
    metadata = student.cells[at].metadata if marked else {}
    student.cells[at] = kind(
        f"```python\n{DOUBLE}\n```" if not marked else DOUBLE, metadata=metadata
    )
    restored = restore(hand_in(student), source)
    assert run(sources_of(restored)["double"])["double"](4) == 8
    assert cell(restored.notebook, "double").cell_type == "code"
    assert any("was no code cell" in line for line in restored.report)


def test_helpers_and_imports_from_other_cells_are_kept(source, student):
    cell(student, "setup").source += "\nimport operator"
    student.cells.insert(2, new_code_cell("SCALE = 2\nprint('hello')\nraise SystemExit"))
    student.cells.insert(3, new_code_cell("def times(x):\n    return operator.mul(SCALE, x)"))
    cell(student, "double").source = "# exercise: double\ndef double(x):\n    return times(x)"
    restored = restore(hand_in(student), source)
    text = sources_of(restored)["double"]
    assert run(text)["double"](4) == 8
    assert "hello" not in text and "SystemExit" not in text
    assert restored.report == [
        "double: it needs SCALE, operator, times, which was kept from the student's cell 2, 3, 4"
    ]


def test_names_that_the_course_gives_are_not_taken_from_the_student(source, student):
    student.cells.insert(2, new_code_cell("import math as m\nmath = m\nlen = sum\nunused = 1"))
    cell(
        student, "double"
    ).source = "# exercise: double\ndef double(x):\n    return x * len('ab') + math.pi * 0"
    restored = restore(hand_in(student), source)
    assert restored.report == [] and "Kept" not in restored.sources["double"]


def test_future_imports_stay_first(source, student):
    student.cells.insert(2, new_code_cell("SCALE = 2"))
    text = "from __future__ import annotations\ndef double(x: Unknown):\n    return SCALE * x"
    cell(student, "double").source = "# exercise: double\n" + text
    assert run(sources_of(restore(hand_in(student), source))["double"])["double"](4) == 8


def test_magics_and_broken_code_do_not_hide_an_answer(source, student):
    cell(student, "double").metadata = {}
    cell(student, "double").source = "%%time\ndef double(x):\n    !ls\n    return 2 * x"
    cell(student, "first").metadata = {}
    cell(student, "first").source = "def first(x:\n    return x[0]"
    restored = restore(hand_in(student), source)
    assert restored.sources["double"].startswith("%%time")
    assert restored.sources["first"].startswith("def first(x:")
    assert "first: the answer does not define last" in restored.report


def test_old_and_future_formats(source, student):
    future = copy.deepcopy(student)
    future.nbformat_minor, future.new_thing = 99, {"a": 1}
    assert restore(hand_in(future), source).sources["double"] == DOUBLE
    cells = [dict(c, input=c.source, language="python") for c in student.cells]
    for c in cells:
        c.pop("source") if c["cell_type"] == "code" else None
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}
    assert restore(json.dumps(old).encode(), source).sources["double"] == DOUBLE


def test_bytes_with_a_mark_and_lists_of_lines(source, student):
    for c in student.cells:
        c.source = c.source.splitlines(keepends=True)
    restored = restore(b"\xef\xbb\xbf" + hand_in(student), source)
    assert restored.sources["double"] == DOUBLE


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"{", "broken JSON at line 1"),
        (b"[]", "no JSON object"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"cells": []}', "nbformat number"),
        (b'{"nbformat": "4", "cells": []}', "nbformat number"),
        (b'{"nbformat": 5, "cells": []}', "format 5 is not known"),
        (b'{"nbformat": 2, "worksheets": []}', "format 2 is not known"),
        (b'{"nbformat": 4, "cells": {}}', "no list of cells"),
        (b'{"nbformat": 3}', "without worksheets"),
        ("{}".encode("utf-16"), "UTF-16"),
        (b"\xe9\x00", "not UTF-8"),
        (b"\x89PNG\r\n", "not UTF-8"),
        (b'{"nbformat": 4, "cells": [' + b"{}," * 6000 + b"{}]}", "more than 5000 cells"),
    ],
)
def test_what_is_no_notebook_is_refused_in_one_line(source, data, message):
    with pytest.raises(Unreadable, match=message) as caught:
        restore(data, source)
    assert caught.value.status == "unreadable" and "\n" not in str(caught.value)


def test_odd_values_are_no_reason_to_refuse(source, student):
    text = json.dumps(student)
    text = text.replace('"execution_count": null', '"execution_count": ' + "9" * 5000)
    text = text.replace('"outputs": []', '"outputs": [NaN, Infinity, 1e999, {"a": [[[]]]}]')
    restored = restore(text.encode(), source)
    assert restored.sources["double"] == DOUBLE
    json.dumps(restored.notebook, allow_nan=False)


def test_text_that_no_file_can_hold(source, student):
    cell(student, "double").source = DOUBLE + "\n# \ud800 and \0"
    restored = restore(hand_in(student), source)
    json.dumps(restored.notebook, ensure_ascii=False).encode()
    assert "\0" not in restored.sources["double"]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 90_000,
        "1" + "+1" * 40_000,
        "-" * 90_000 + "1",
        " " * 99_000 + "x",
        "\n" * 99_000,
        "x = " * 20_000 + "1",
        "# exercise: double\n" * 5_000,
        "def f():\n" + " " * 50 + "x\n" * 20_000,
        "a = b = 1\n" * 9_000,
        "```\n" * 20_000,
        "f'" + "{" * 50_000,
        "x" * 5_000_000,
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_hostile_cell_takes_no_time(source, student, text):
    for name in ("double", "first", "words", "try"):
        cell(student, name).source = text
    extra = [new_code_cell(text, metadata=nbgrader("double", solution=True)) for _ in range(5)]
    student.cells += extra
    started = time.process_time()
    restored = restore(hand_in(student), source)
    assert time.process_time() - started < 4
    assert [c.id for c in restored.notebook.cells] == [c.id for c in source.cells]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
LOOKS_LIKE = st.fixed_dictionaries(
    {},
    optional={
        "nbformat": st.sampled_from([3, 4, 5, "4", None, True]),
        "cells": JSON | st.lists(JSON, max_size=4),
        "worksheets": JSON | st.lists(st.fixed_dictionaries({"cells": JSON}), max_size=2),
        "metadata": JSON,
    },
)


def quick(data, source):
    started = time.process_time()
    try:
        restored = restore(data, source)
    except Unreadable as error:
        assert "\n" not in str(error)
        return
    finally:
        assert time.process_time() - started < 1
    nbformat.validate(restored.notebook)
    assert [c.id for c in restored.notebook.cells] == [c.id for c in source.cells]


FUZZ = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(value=JSON | LOOKS_LIKE)
def test_any_json_is_restored_or_refused(source, value):
    quick(json.dumps(value).encode("utf-8", "surrogatepass"), source)


@FUZZ
@given(data=st.binary(max_size=200))
def test_any_bytes_are_restored_or_refused(source, data):
    quick(data, source)


@FUZZ
@given(data=st.data())
def test_a_mutated_notebook_is_restored(source, data):
    notebook = json.loads(json.dumps(blank_notebook(source)))
    notebook["cells"][2]["source"] = DOUBLE
    for _ in range(data.draw(st.integers(1, 5))):
        cells = notebook["cells"]
        if not cells:
            break
        at = data.draw(st.integers(0, len(cells) - 1))
        match data.draw(st.sampled_from(["drop", "copy", "move", "type", "key", "mark", "text"])):
            case "drop":
                cells.pop(at)
            case "copy":
                cells.insert(at, copy.deepcopy(cells[at]))
            case "move":
                cells.append(cells.pop(at))
            case "type":
                cells[at]["cell_type"] = data.draw(JSON | st.sampled_from(["raw", "markdown"]))
            case "key":
                key = data.draw(st.sampled_from(["source", "metadata", "id", "outputs"]))
                cells[at][key] = data.draw(JSON)
            case "mark":
                cells[at]["metadata"] = {"nbgrader": data.draw(JSON), "tags": data.draw(JSON)}
            case "text":
                cells[at]["source"] = data.draw(st.text(max_size=40)) + "\ndef double(x): ..."
    quick(json.dumps(notebook).encode("utf-8", "surrogatepass"), source)


# --------------------------------------------------------------------------------- the file itself


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "submitted" / "ann" / "01_a"
    folder.mkdir(parents=True)
    (folder / "01_a.ipynb").write_bytes(b"{}")
    return tmp_path / "submitted"


def refused(path, root, status="unreadable", **options):
    started = time.process_time()
    with pytest.raises(Unreadable) as caught:
        read_submission(path, root, **options)
    assert caught.value.status == status and "\n" not in str(caught.value)
    assert time.process_time() - started < 0.5
    return str(caught.value)


def test_a_plain_file_is_read(root):
    assert read_submission(root / "ann/01_a/01_a.ipynb", root) == b"{}"
    (root / "link").symlink_to(root)
    assert read_submission(root / "link/ann/01_a/01_a.ipynb", root / "link") == b"{}"


def test_links_are_refused_wherever_they_stand(root):
    (root / "bob").symlink_to(root / "ann")
    assert "link" in refused(root / "bob/01_a/01_a.ipynb", root)
    (root / "eve").mkdir()
    (root / "eve/01_a").symlink_to(root / "ann/01_a")
    assert "link" in refused(root / "eve/01_a/01_a.ipynb", root)
    (root / "ann/01_a/02_b.ipynb").symlink_to("/etc/passwd")
    assert "plain file" in refused(root / "ann/01_a/02_b.ipynb", root)


def test_what_is_no_plain_file_is_refused_at_once(root):
    os.mkfifo(root / "pipe.ipynb")
    refused(root / "pipe.ipynb", root)
    (root / "folder.ipynb").mkdir()
    refused(root / "folder.ipynb", root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket.ipynb"))
        refused(root / "socket.ipynb", root)


def test_missing_outside_and_large_files(root, tmp_path):
    assert "was handed in" in refused(root / "ann/01_a/02_b.ipynb", root, status="missing")
    refused(root / "nobody/01_a/01_a.ipynb", root, status="missing")
    (tmp_path / "secret.ipynb").write_text("{}")
    assert "leaves the folder" in refused(root / ".." / "secret.ipynb", root)
    assert "leaves the folder" in refused(root, root)
    (root / "ann/01_a/big.ipynb").write_bytes(b"x" * 1001)
    assert "larger than" in refused(root / "ann/01_a/big.ipynb", root, max_bytes=1000)
    refused(str(root / "a\0b.ipynb"), root)


# -------------------------------------------------------------------------- other nbgrader courses


@pytest.fixture
def foreign():
    source = make_source()
    for c in source.cells:
        c.source = c.source.replace('hidden("double")', "assert double(2) == 4")
        c.source = c.source.replace('hidden("first")', "assert last([1, 2]) == 2")
    return source


def test_another_courses_notebook_keeps_the_students_cells(foreign):
    assert not is_ours(foreign)
    student = blank_notebook(foreign)
    cell(student, "double").source = DOUBLE
    student.cells.append(copy.deepcopy(cell(student, "double")))
    student.cells.append(new_code_cell("mine = 1"))
    cell(student, "test_double").source = "pass"
    cell(student, "test_double").metadata.tags = ["skip-execution"]
    student.cells.pop(index(student, "test_first"))
    restored = restore(hand_in(student), foreign)
    ids = [c.metadata.get("nbgrader", {}).get("grade_id") for c in restored.notebook.cells]
    marked = [i for i in ids if i]
    assert sorted(marked) == ["double", "first", "test_double", "test_first", "words"]
    assert ids.index("test_first") == ids.index("first") + 1
    assert "mine = 1" in [c.source for c in restored.notebook.cells]
    by_id = {i: c for i, c in zip(ids, restored.notebook.cells, strict=True) if i}
    assert by_id["test_double"].source == cell(foreign, "test_double").source
    assert "tags" not in by_id["test_double"].metadata
    assert by_id["double"].source == DOUBLE and restored.blank == {"first", "words"}
    nbformat.validate(restored.notebook)
