"""`course submit`: what tools do to a notebook is mended, answers are run, one file is written."""

import json
import zipfile

import pytest

from autograder.build import release_notebook, source_notebook
from course_lib import cli, submit
from course_lib.answers import grade_id, is_solution
from course_lib.exercises import load_exercises

ID = "01_gqa_moe"
NAMES = list(load_exercises(ID))


@pytest.fixture(scope="module")
def blank():
    return json.loads(json.dumps(release_notebook(ID)))


@pytest.fixture(scope="module")
def solutions():
    return {c.id: c.source for c in source_notebook(ID).cells if is_solution(c)}


@pytest.fixture
def student(blank, solutions):
    """A solved notebook; a test damages it."""
    notebook = json.loads(json.dumps(blank))
    for cell in notebook["cells"]:
        cell["source"] = solutions.get(cell["id"], cell["source"])
    return notebook


def cell(notebook, name):
    return next(c for c in notebook["cells"] if c["id"] == name)


def written(notebook, tmp_path, name=f"{ID}.ipynb", **options):
    path = tmp_path / name
    path.write_text(json.dumps(notebook))
    options = {"run": False, "say": lambda line: None} | options
    return submit.submit(path, **options)


def read(handed):
    return json.loads(handed.path.read_text())


def test_what_is_written_is_the_handed_out_notebook_with_the_answers(student, blank, tmp_path):
    handed = written(student, tmp_path)
    made = read(handed)
    assert handed.path == tmp_path / "hand_in" / f"{ID}.ipynb" and handed.repairs == []
    for mine, given in zip(made["cells"], blank["cells"], strict=True):
        assert mine["metadata"] == given["metadata"]
        expected = cell(student, given["id"])["source"] if is_solution(given) else given["source"]
        assert mine["source"] == expected
    assert [line.state for line in handed.lines] == ["not run"] * len(NAMES)


def test_a_file_from_colab(student, tmp_path, solutions):
    # Colab: lists of lines, its own metadata, ids in metadata, widget state; a retyped cell.
    for number, c in enumerate(student["cells"]):
        c["metadata"] = {"id": f"x{number}", "colab_type": "code", **c["metadata"]}
        del c["id"]
        c["source"] = c["source"].splitlines(keepends=True)
    student["metadata"] |= {"colab": {"provenance": []}, "widgets": {"state": {}}}
    retyped = next(c for c in student["cells"] if grade_id(c) == "route")
    retyped["metadata"] = {"id": "new"}
    handed = written(student, tmp_path, "Copy of 01_gqa_moe.ipynb (1).ipynb")
    made = read(handed)
    assert {grade_id(c): c["source"] for c in made["cells"] if is_solution(c)} == solutions
    assert "widgets" not in made["metadata"] and "colab" not in made["metadata"]
    assert len(handed.repairs) == 1 and handed.repairs[0].startswith("route: cell")


def test_merged_and_moved_cells_come_apart(student, tmp_path, solutions):
    first, second = cell(student, "repeat_kv"), cell(student, "gqa_attention")
    first["source"] += "\n\n" + second["source"]
    student["cells"].remove(second)
    moved = cell(student, "load_balancing_loss")
    student["cells"].remove(moved)
    student["cells"].insert(0, moved)
    made = read(written(student, tmp_path))
    assert [grade_id(c) for c in made["cells"] if is_solution(c)] == NAMES
    assert {c["id"]: c["source"] for c in made["cells"] if is_solution(c)} == solutions


def test_outputs_of_unchanged_cells_are_kept_and_huge_ones_are_not(student, tmp_path):
    output = {"output_type": "stream", "name": "stdout", "text": "seen"}
    cell(student, "test_repeat_kv")["outputs"] = [output]
    cell(student, "test_route")["outputs"] = [output | {"text": "x" * 2_000_000}]
    made = read(written(student, tmp_path))
    assert cell(made, "test_repeat_kv")["outputs"] == [output]
    assert cell(made, "test_route")["outputs"] == []


def test_the_own_file_stays(student, tmp_path):
    path = tmp_path / f"{ID}.ipynb"
    path.write_text(json.dumps(student))
    before = path.read_bytes()
    with pytest.raises(submit.SubmitError, match="the notebook itself"):
        submit.submit(path, out=tmp_path, run=False)
    assert path.read_bytes() == before


def test_attachments_make_it_a_zip(student, tmp_path, monkeypatch):
    monkeypatch.setattr(submit, "attachments", lambda notebook_id: ("a.json", "b.jsonl"))
    (tmp_path / "a.json").write_text("{}")
    handed = written(student, tmp_path)
    with zipfile.ZipFile(handed.path) as archive:
        assert sorted(archive.namelist()) == [f"{ID}.ipynb", "a.json"]
    assert handed.path.name == f"{ID}.zip" and handed.absent == ["b.jsonl"]


def test_which_notebook_is_told_by_its_exercises(student, tmp_path):
    assert written(student, tmp_path, "Untitled.ipynb").notebook_id == ID
    for c in student["cells"]:
        c |= {"source": "print(1)", "metadata": {}}
    with pytest.raises(submit.SubmitError, match="no exercise of this course"):
        written(student, tmp_path, "Untitled.ipynb")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff\xfe", b"{}", b'{"nbformat": 9}'])
def test_what_is_no_notebook_is_one_line(tmp_path, data, capsys):
    (tmp_path / "x.ipynb").write_bytes(data)
    assert cli.main(["submit", str(tmp_path / "x.ipynb")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["submit", str(tmp_path / "none.ipynb")]) == 1
    assert "cannot read" in capsys.readouterr().err


def test_answers_are_run_and_one_bad_cell_costs_only_itself(student, tmp_path, capsys, monkeypatch):
    head = "# exercise: {}\n"
    cell(student, "kv_cache_bytes")["source"] = head.format("kv_cache_bytes") + "while True: pass"
    cell(student, "route")["source"] = (
        head.format("route") + "def route(x, k):\n    return torch.softmax(x, -1), x"
    )
    cell(student, "expected_experts")["source"] = (
        head.format("expected_experts") + "import os\nos._exit(3)"
    )
    cell(student, "moe_param_counts")["source"] = head.format("moe_param_counts") + "1 / 0"
    student["cells"].remove(cell(student, "load_balancing_loss"))
    path = tmp_path / f"{ID}.ipynb"
    path.write_text(json.dumps(student))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cli.main(["submit", str(path), "--seconds", "4"]) == 0
    said = capsys.readouterr().out
    told = {name: next(x for x in said.splitlines() if f" {name} " in x) for name in NAMES}
    assert "ok       repeat_kv" in told["repeat_kv"]
    assert "ok       gqa_attention" in told["gqa_attention"]
    assert (
        "not yet" in told["kv_cache_bytes"] and "not finished after 4 s" in told["kv_cache_bytes"]
    )
    assert "not yet" in told["route"] and "1 of 6" in told["route"]
    assert "the cell stops: ZeroDivisionError" in told["moe_param_counts"]
    assert "it ended Python (exit code 3)" in told["expected_experts"]
    assert "missing" in told["load_balancing_loss"]
    assert "hand_in" in said.splitlines()[-1]


def test_a_blank_notebook_needs_no_run(blank, tmp_path, monkeypatch):
    monkeypatch.setattr(submit.trial, "run", lambda *a: pytest.fail("nothing is there to run"))
    handed = written(blank, tmp_path, run=True)
    assert [line.state for line in handed.lines] == ["blank"] * len(NAMES)
