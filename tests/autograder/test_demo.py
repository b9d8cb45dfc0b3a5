import csv
import json

import nbformat
import pytest

from autograder import build, demo
from autograder.restore import restore

ID = "01_gqa_moe"


@pytest.fixture(scope="module")
def source():
    return build.source_notebook(ID)


@pytest.fixture(scope="module")
def answers(source):
    solved = {name: text for _, name, text in build.judged_cells(source.cells) if name}
    return demo.sample_answers(source, solved, demo.mistakes(ID))


def test_the_class_is_varied(answers):
    assert len(answers) >= 10
    same = [s for s in answers if answers[s] == answers["ada_perfect"]]
    assert set(same) == {"ada_perfect", "oscar_links", "Łucja O'Neil-Šimić"}


def test_the_files_are_notebooks_but_one(answers):
    for student, data in answers.items():
        if student == "nora_broken_file":
            with pytest.raises(json.JSONDecodeError):
                json.loads(data)
        else:
            nbformat.reads(data.decode(), as_version=4)


def test_colab_loses_metadata_and_keeps_answers(answers, source):
    notebook = json.loads(answers["grace_colab"])
    assert all("nbgrader" not in c["metadata"] and "id" not in c for c in notebook["cells"])
    restored = restore(answers["grace_colab"], source)
    assert restored.sources == restore(answers["ada_perfect"], source).sources
    assert restored.report and not restored.missing


@pytest.mark.parametrize("notebook", demo.NOTEBOOKS)
def test_mistakes_are_python_that_defines_the_exercise(notebook):
    for name, sources in demo.mistakes(notebook).items():
        assert len(set(sources)) == 2
        for source in sources:
            assert name in compile(source, name, "exec").co_names


def test_two_students_make_different_mistakes(answers):
    assert len({answers[s] for s in ("ada_perfect", "dmitri_misread", "emma_miscounted")}) == 3


@pytest.mark.slow
def test_the_demo_from_beginning_to_end(tmp_path):
    lines = []
    assert demo.demo(tmp_path, workers=2, say=lines.append) == 0
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    total, statuses = {}, {}
    for row in rows:
        key = (row["student"], row["assignment"])
        total[key] = total.get(key, 0.0) + float(row["score"] or 0)
        statuses.setdefault(row["student"], set()).add(row["status"])
    for notebook in demo.NOTEBOOKS:
        for student in ("ada_perfect", "farid_noisy", "grace_colab", "Łucja O'Neil-Šimić"):
            assert total[student, notebook] == 20, (student, notebook)
        for student in ("ben_blank", "jack_forges", "nora_broken_file"):
            assert total[student, notebook] == 0, (student, notebook)
        for student in ("chloe_half_done", "dmitri_misread", "emma_miscounted", "hugo_endless"):
            assert 0 < total[student, notebook] < 20, (student, notebook)
    assert {"timeout"} <= statuses["hugo_endless"] and {"crash"} <= statuses["iris_kills_kernel"]
    assert statuses["nora_broken_file"] == {"unreadable"}
    assert (tmp_path / "report.html").is_file()
    assert any(line.startswith("report: ") for line in lines)
    # A second run meets the link that the first one wrote, and does not write through it.
    demo.write_class(tmp_path / "submitted")
    assert (tmp_path / "submitted/oscar_links/02_lora_parameters").is_dir()
