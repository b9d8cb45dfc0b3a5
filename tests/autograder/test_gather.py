"""`autograder collect`: every platform's names, and nothing hostile gets out of its place."""

import io
import json
import os
import stat
import zipfile

import pytest

from autograder import cli, collect
from autograder.collect import GradeError, find_submissions
from autograder.gather import gather, whose
from course_lib import exercises

IDS = ["01_gqa_moe", "04_gsm8k_lora"]
NOTEBOOK = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})


def archive(files, target=None):
    """A zip file as bytes (or written to `target`): name or ZipInfo -> text or bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in files.items():
            made.writestr(name, text)
    if target is not None:
        target.write_bytes(data.getvalue())
    return data.getvalue()


def below(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("name", "student", "file"),
    [
        ("doejane_12345_67890_01_gqa_moe.ipynb", "doejane_12345", "01_gqa_moe.ipynb"),
        ("doejane_LATE_12345_67890_01_gqa_moe-2.ipynb", "doejane_12345", "01_gqa_moe-2.ipynb"),
        ("submissions/anon_aB3xy_77_hand in.ipynb", "anon_aB3xy", "hand in.ipynb"),
        (
            "Jané Doe_998_assignsubmission_file_/01_gqa_moe.ipynb",
            "Jané_Doe_998",
            "01_gqa_moe.ipynb",
        ),
        ("Jane Doe_998_assignsubmission_file_x.ipynb", "Jane_Doe_998", "x.ipynb"),
        ("ps1_hacker_attempt_2026-01-30-20-30-10_p.ipynb", "hacker", "p.ipynb"),
        ("ada/01_gqa_moe/01_gqa_moe.ipynb", "ada", "01_gqa_moe.ipynb"),
        ("submitted/ada/01_gqa_moe/x.ipynb", "ada", "x.ipynb"),
        ("01_gqa_moe/ada/x.ipynb", "ada", "x.ipynb"),
        ("ada/notebook.ipynb", "ada", "notebook.ipynb"),
        ("ada.ipynb", "ada", "ada.ipynb"),
        ("01_gqa_moe_ada.ipynb", "ada", "01_gqa_moe_ada.ipynb"),
        ("ada-01_gqa_moe (2).ipynb", "ada", "ada-01_gqa_moe (2).ipynb"),
        ("../x/01_gqa_moe.ipynb", "x", "01_gqa_moe.ipynb"),
    ],
)
def test_whose(name, student, file):
    assert whose(name, IDS)[:2] == (student, file)


def test_canvas_the_last_hand_in_counts(tmp_path):
    archive(
        {
            "doejane_12_901_01_gqa_moe-1.ipynb": NOTEBOOK + "\n",
            "doejane_12_900_01_gqa_moe.ipynb": NOTEBOOK,
            "royada_LATE_13_902_01_gqa_moe.ipynb": NOTEBOOK,
            "__MACOSX/._x": "junk",
        },
        tmp_path / "submissions.zip",
    )
    done = gather([tmp_path / "submissions.zip"], tmp_path / "out", IDS)
    assert (done.new, done.replaced, done.unchanged, done.remarks) == (2, 0, 0, [])
    assert below(tmp_path / "out") == {
        "doejane_12/01_gqa_moe/01_gqa_moe.ipynb",
        "royada_13/01_gqa_moe/01_gqa_moe.ipynb",
    }
    assert (tmp_path / "out/doejane_12/01_gqa_moe/01_gqa_moe.ipynb").read_text() == NOTEBOOK + "\n"
    again = gather([tmp_path / "submissions.zip"], tmp_path / "out", IDS)
    assert (again.new, again.replaced, again.unchanged) == (0, 0, 2)
    found, _ = find_submissions(tmp_path / "out", IDS)
    assert [(s.student, s.assignment, s.problem) for s in found] == [
        ("doejane_12", "01_gqa_moe", None),
        ("royada_13", "01_gqa_moe", None),
    ]


def test_moodle_with_a_students_zip_and_its_attachments(tmp_path):
    inner = archive(
        {
            "04_gsm8k_lora.ipynb": NOTEBOOK,
            "sub/gsm8k_results.json": "{}",
            "gsm8k_predictions.jsonl": "{}\n",
            "holiday.jpg": "x",
        }
    )
    archive(
        {
            "Ada Roy_7_assignsubmission_file_/04_gsm8k_lora.zip": inner,
            "Bo Li_8_assignsubmission_file_/gsm8k_results.json": "{}",
        },
        tmp_path / "m.zip",
    )
    done = gather([tmp_path / "m.zip"], tmp_path / "out", IDS)
    folder = "Ada_Roy_7/04_gsm8k_lora"
    assert below(tmp_path / "out") == {
        f"{folder}/04_gsm8k_lora.ipynb",
        f"{folder}/gsm8k_results.json",
        f"{folder}/gsm8k_predictions.jsonl",
        "Bo_Li_8/04_gsm8k_lora/gsm8k_results.json",
    }
    assert done.remarks == [
        "Ada_Roy_7: holiday.jpg: neither a notebook nor an attachment: left out"
    ]


def test_a_name_that_tells_nothing(tmp_path):
    archive({"ada/x.ipynb": NOTEBOOK}, tmp_path / "x.zip")
    done = gather([tmp_path / "x.zip"], tmp_path / "out", IDS)
    assert done.remarks == ["ada: x.ipynb: which assignment? Name it with --assignment"]
    gather([tmp_path / "x.zip"], tmp_path / "out", IDS, "01_gqa_moe")
    assert below(tmp_path / "out") == {"ada/01_gqa_moe/01_gqa_moe.ipynb"}
    cell = {"cell_type": "code", "metadata": {}, "source": "# exercise: repeat_kv\n1"}
    text = json.dumps({"nbformat": 4, "cells": [cell]})
    archive({"bo/x.ipynb": text}, tmp_path / "y.zip")
    gather([tmp_path / "y.zip"], tmp_path / "out2", IDS)
    assert below(tmp_path / "out2") == {"bo/01_gqa_moe/01_gqa_moe.ipynb"}


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"ada/../../01_gqa_moe.ipynb": NOTEBOOK}, "leaves its folder"),
        ({"/etc/01_gqa_moe.ipynb": NOTEBOOK}, "leaves its folder"),
        ({"..\\..\\01_gqa_moe.ipynb": NOTEBOOK}, "leaves its folder"),
        ({"C:/x/01_gqa_moe.ipynb": NOTEBOOK}, "leaves its folder"),
        ({link("ada/01_gqa_moe.ipynb"): "/etc/passwd"}, "a link"),
        ({"ada/01_gqa_moe.ipynb": b"\0" * 30_000_000}, "unpacks to more than 20 MB"),
        ({"ada.zip": b"PK nonsense"}, "not a zip file"),
        ({"ada.zip": archive({"../../01_gqa_moe.ipynb": NOTEBOOK})}, "leaves its folder"),
        ({"ada.zip": archive({f"{i}.ipynb": "" for i in range(300)})}, "more than 200 files"),
        ({"01_gqa_moe.ipynb": NOTEBOOK}, "whose is it?"),
    ],
)
def test_hostile_entries_are_one_line_each_and_neighbours_are_taken(tmp_path, files, why):
    archive(files | {"bo/01_gqa_moe.ipynb": NOTEBOOK}, tmp_path / "in.zip")
    done = gather([tmp_path / "in.zip"], tmp_path / "deep" / "out", IDS)
    assert below(tmp_path) == {"in.zip", "deep/out/bo/01_gqa_moe/01_gqa_moe.ipynb"}
    assert len(done.remarks) == 1 and why in done.remarks[0] and "\n" not in done.remarks[0]


def test_a_lying_size_and_a_damaged_member(tmp_path):
    data = bytearray(
        archive({"ada/01_gqa_moe.ipynb": NOTEBOOK * 50, "bo/01_gqa_moe.ipynb": NOTEBOOK})
    )
    data[60:70] = b"\xff" * 10  # in the first member's compressed bytes
    (tmp_path / "in.zip").write_bytes(data)
    done = gather([tmp_path / "in.zip"], tmp_path / "out", IDS)
    assert below(tmp_path / "out") == {"bo/01_gqa_moe/01_gqa_moe.ipynb"}
    assert len(done.remarks) == 1 and "damaged" in done.remarks[0]


def test_folders_and_links_in_them(tmp_path):
    source = tmp_path / "in"
    for name in ("ada/01_gqa_moe/01_gqa_moe.ipynb", "bo/work.ipynb"):
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text(NOTEBOOK)
    (tmp_path / "secret").write_text("secret")
    (source / "eve").mkdir()
    os.symlink(tmp_path / "secret", source / "eve" / "01_gqa_moe.ipynb")
    os.symlink(tmp_path, source / "eve" / "folder")
    os.mkfifo(source / "eve" / "04_gsm8k_lora.ipynb")
    done = gather([source], tmp_path / "out", IDS, "01_gqa_moe")
    assert below(tmp_path / "out") == {f"{s}/01_gqa_moe/01_gqa_moe.ipynb" for s in ("ada", "bo")}
    assert len(done.remarks) == 2 and all("eve" in line for line in done.remarks)


def test_students_and_grader_name_the_same_attachments():
    assert {i: set(names) for i, names in collect.ATTACHMENTS.items()} == {
        i: set(names) for i, names in exercises.ATTACHMENTS.items()
    }


def test_the_command(tmp_path, capsys):
    (tmp_path / "bad.zip").write_text("no zip")
    assert cli.main(["collect", str(tmp_path / "bad.zip"), "--to", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert cli.main(["collect", str(tmp_path / "none"), "--to", str(tmp_path / "out")]) == 2
    archive({"ada/01_gqa_moe.ipynb": NOTEBOOK}, tmp_path / "ok.zip")
    assert cli.main(["collect", str(tmp_path / "ok.zip"), "--to", str(tmp_path / "out")]) == 0
    assert "1 new, 0 replaced, 0 unchanged; 0 left out" in capsys.readouterr().out
    with pytest.raises(GradeError, match="no assignment '09_x'"):
        gather([], tmp_path / "out", IDS, "09_x")
