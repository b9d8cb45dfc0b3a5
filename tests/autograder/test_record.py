import csv
import os
import shutil

import pytest
import tiny
from nbformat.v4 import new_output

from autograder import record


@pytest.fixture(scope="module")
def fresh_course(tmp_path_factory):
    # nbgrader starts a process of seconds to make a gradebook: once for all, on a bare PATH.
    folder = tmp_path_factory.mktemp("course")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        record.prepare_course(folder, folder / "submitted", {tiny.ID: tiny.source()})
    return folder


@pytest.fixture
def course(fresh_course, tmp_path):
    return shutil.copytree(fresh_course, tmp_path / "out")


def grades_in_gradebook(course, student):
    with record.open_gradebook(course) as gradebook:
        found = gradebook.find_submission_notebook(tiny.ID, tiny.ID, student)
        return {g.name: (g.score, g.needs_manual_grade) for g in found.grades}


def test_graded_cells_are_named_after_their_exercise():
    assert record.graded_cells(tiny.source()) == [
        ("double", "test_double", 2.0),
        ("shift", "test_shift", 4.0),
        ("essay", "essay", 0.0),
    ]


def test_scores_are_nbgraders_whatever_the_cells_printed(course):
    notebook = tiny.autograded({"double": (2.0, "fine"), "shift": (2.5, "in part")})
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            cell.outputs.append(new_output("stream", name="stderr", text="warning"))
    with record.open_gradebook(course) as gradebook:
        scores = record.record_submission(gradebook, "ada", tiny.ID, notebook)
    assert scores == {"test_double": 2.0, "test_shift": 2.5, "essay": None}
    assert grades_in_gradebook(course, "ada") == {
        "test_double": (2.0, False),
        "test_shift": (2.5, False),
        "essay": (0.0, True),
    }


def test_the_same_as_nbgraders_own_preprocessor(course):
    from nbgrader.preprocessors import SaveAutoGrades

    notebook = tiny.autograded({"double": (2.0, ""), "shift": (1.25, "")})
    with record.open_gradebook(course) as gradebook:
        record.record_submission(gradebook, "ours", tiny.ID, notebook)
        record.record_submission(gradebook, "theirs", tiny.ID, None)
    where = {"notebook": tiny.ID, "assignment": tiny.ID, "student": "theirs"}
    where["db_url"] = record.database_url(course)
    SaveAutoGrades().preprocess(notebook, {"nbgrader": where})
    assert grades_in_gradebook(course, "ours") == grades_in_gradebook(course, "theirs")


def test_forged_outputs_do_not_grade():
    from nbgrader.utils import determine_grade

    notebook = tiny.autograded({})
    test = notebook.cells[2]
    test.outputs = [new_output("execute_result", {"text/plain": "2"})]
    verdict = type("V", (), {"score": 0.0, "message": "not yet"})
    record.write_scores(notebook, {"double": verdict})
    assert determine_grade(test) == (0.0, 2.0)


def test_a_score_above_the_maximum_is_cut():
    assert tiny.autograded({"double": (7.0, "")}).cells[2].outputs[0].data["text/plain"] == "2"


def test_a_manual_score_wins_and_survives_a_regrade(course):
    notebook = tiny.autograded({"double": (0.0, ""), "shift": (4.0, "")})
    with record.open_gradebook(course) as gradebook:
        record.record_submission(gradebook, "ada", tiny.ID, notebook)
        for name, score in (("test_double", 1.5), ("essay", 0.0)):
            grade = gradebook.find_grade(name, tiny.ID, tiny.ID, "ada")
            grade.manual_score, grade.needs_manual_grade = score, False
        gradebook.db.commit()
        again = record.record_submission(gradebook, "ada", tiny.ID, notebook)
    assert again == {"test_double": 1.5, "test_shift": 4.0, "essay": 0.0}
    assert not any(needs for _, needs in grades_in_gradebook(course, "ada").values())
    kept = tiny.result()
    with record.open_gradebook(course) as gradebook:
        record.take_manual_scores(record.manual_scores(gradebook), kept)
    assert [(v["score"], v["status"]) for v in kept["verdicts"]] == [
        (1.5, "graded"),
        (3.0, "graded"),
        (0.0, "graded"),
    ]


def test_regrading_updates(course):
    for score in (1.0, 2.0):
        notebook = tiny.autograded({"double": (score, ""), "shift": (0.0, "")})
        with record.open_gradebook(course) as gradebook:
            record.record_submission(gradebook, "ada", tiny.ID, notebook)
            assert len(gradebook.assignment_submissions(tiny.ID)) == 1
    assert grades_in_gradebook(course, "ada")["test_double"] == (2.0, False)


def test_other_exercises_in_the_same_folder_are_refused(course, tmp_path):
    with record.open_gradebook(course) as gradebook:
        record.record_submission(gradebook, "ada", tiny.ID, None)
    with pytest.raises(record.RecordError, match="another --out"):
        record.prepare_course(course, tmp_path, {tiny.ID: tiny.inline_source()})


def test_a_broken_gradebook_is_one_line(course):
    (course / "gradebook.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(record.RecordError, match=r"move it away"), record.open_gradebook(course):
        pass


def test_works_without_alembic_on_the_path(fresh_course):
    assert (fresh_course / "gradebook.db").exists()


def test_csv_keeps_ordinary_names_and_disarms_formulas(tmp_path):
    names = ["ada", "Łucja O'Neil, B.Sc.", "=HYPERLINK(1)", "+1", "@x", "李雷"]
    path = record.write_csv(tmp_path, [tiny.result(name) for name in names])
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    assert ",".join(header) == "student,assignment,exercise,score,max_score,status,message"
    assert {row[0] for row in rows} == {
        "ada",
        "Łucja O'Neil, B.Sc.",
        "'=HYPERLINK(1)",
        "'+1",
        "'@x",
        "李雷",
    }
    assert rows == sorted(rows)
    ungraded = [row for row in rows if row[2] == "essay"]
    assert {(row[3], row[5]) for row in ungraded} == {("", "ungraded")}


@pytest.mark.parametrize(
    ("folder", "student"),
    [
        ("Zoë", "Zoë"),
        ("a..b", "a..b"),
        ("two\nlines", "two\\nlines"),
        ("bell\x07", "bell\\x07"),
        ("bad\udcffbytes", "bad\\udcffbytes"),
        ("\u202eevil", "\\u202eevil"),
        ("  ", "_"),
    ],
)
def test_student_ids_are_one_printable_line(folder, student):
    assert record.student_id(folder) == student


def test_long_names_stay_apart_and_fit_a_file_name():
    one, other = (record.student_id("é" * 120 + end) for end in "ab")
    assert one != other and len(one.encode()) < 200


def test_messages_are_one_printable_line():
    assert record.one_line("a\r\n\x1b[31mb\t c") == "a �[31mb c"
    assert len(record.one_line("x" * 10_000)) == record.MESSAGE_LENGTH


def test_timestamps(tmp_path):
    stamp = tmp_path / "timestamp.txt"
    assert record.read_timestamp(tmp_path) == (None, None)
    stamp.write_text("2026-11-20 10:00:00 UTC\n")
    assert record.read_timestamp(tmp_path)[0].isoformat() == "2026-11-20T10:00:00"
    stamp.write_text("yesterday, I swear")
    assert "no date" in record.read_timestamp(tmp_path)[1]
    stamp.unlink()
    stamp.symlink_to("/etc/hostname")
    assert "not a plain file" in record.read_timestamp(tmp_path)[1]
    stamp.unlink()
    os.mkfifo(stamp)
    when, _ = record.read_timestamp(tmp_path)  # does not wait for a writer
    assert when is None


def test_only_text_and_images_are_kept():
    notebook = tiny.source()
    png = "iVBORw0KGgoAAAANSUhEUg=="
    html = {"text/html": "<script>1</script>", "text/plain": "x", "image/svg+xml": "<svg/>"}
    notebook.cells[0].outputs = [
        new_output("display_data", {**html, "image/png": png}),
        new_output("display_data", {"image/png": '"><script>', "text/plain": "y"}),
        new_output("display_data", {"application/javascript": "1"}),
    ]
    record.keep_safe_outputs(notebook)
    kept = [set(o.data) for o in notebook.cells[0].outputs]
    assert kept == [{"text/plain", "image/png"}, {"text/plain"}, {"text/plain"}]
