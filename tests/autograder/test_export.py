import csv
import io

import pytest
import tiny

from autograder import export, record


def made(student, score=5.0, **changed):
    result = tiny.result(student, **changed)
    result["verdicts"] = result["verdicts"][:2]
    result["verdicts"][1]["score"] = score - 2.0
    return result


RESULTS = [made("doejane_12345"), made("Jane_Doe_998", 4.5), made("=1+1", 3.0), made("łukasz", 2.0)]


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def test_files_without_a_class_list(tmp_path):
    export.write(tmp_path, RESULTS)
    canvas = rows((tmp_path / "canvas.csv").read_text())
    assert canvas[0] == [*export.CANVAS, tiny.ID]
    assert canvas[1] == ["    Points Possible", "", "", "", "", "6"]
    assert ["doejane_12345", "12345", "", "", "", "5"] in canvas
    assert ["'=1+1", "", "", "'=1+1", "", "3"] in canvas
    assert rows((tmp_path / "moodle.csv").read_text())[1:] == [
        ["'=1+1", "3"], ["Jane_Doe_998", "4.5"], ["doejane_12345", "5"], ["łukasz", "2"],
    ]  # fmt: skip


def test_an_answer_that_waits_has_no_sum_unless_it_is_worth_nothing(tmp_path):
    waiting = made("ada")
    waiting["verdicts"][0]["score"] = None
    assert export.sums([waiting, tiny.result("ben")]) == {
        ("ada", tiny.ID): None,
        ("ben", tiny.ID): 5.0,
    }


def test_canvas_gradebook_is_filled(tmp_path):
    roster = tmp_path / "canvas.csv"
    roster.write_text(
        f"Student,ID,SIS Login ID,Section,Other (7),{tiny.ID} (99),Final\n"
        "    Points Possible,,,,10,6,(read only)\n"
        '"Doe, Jane",12345,jd1,A,7,,80\n'
        '"Nowak, Ł.",222,łukasz,A,3,1,70\n'
        '"Absent, A",333,aa,A,,,\n'
    )
    text, remarks = export.fill(roster, RESULTS)
    found = rows(text)
    assert found[0][5] == f"{tiny.ID} (99)" and len(found[0]) == 7
    assert found[1] == ["    Points Possible", "", "", "", "10", "6", "(read only)"]
    assert found[2] == ["Doe, Jane", "12345", "jd1", "A", "7", "5", "80"]
    assert found[3][5] == "2" and found[4][5] == ""
    assert any(line.startswith("333") for line in remarks)
    assert any(line.startswith("=1+1: not in canvas.csv") for line in remarks)


def test_a_new_column_when_the_platform_has_none(tmp_path):
    roster = tmp_path / "list.csv"
    roster.write_text("Username,Mail\nłukasz,x\n")
    assert rows(export.fill(roster, RESULTS)[0]) == [
        ["Username", "Mail", tiny.ID],
        ["łukasz", "x", "2"],
    ]


def test_moodles_worksheet_is_filled(tmp_path):
    roster = tmp_path / "sheet.csv"
    roster.write_text(
        "\ufeffIdentifier,Full name,Grade,Maximum Grade,Last modified (grade)\n"
        "Participant 998,Jane Doe,,6.00,-\nParticipant 7,Nobody,,6.00,-\n"
    )
    text, remarks = export.fill(roster, RESULTS)
    assert rows(text)[1] == ["Participant 998", "Jane Doe", "4.5", "6.00", "-"]
    assert rows(text)[2][2] == "" and any("Participant 7" in line for line in remarks)


def test_a_name_that_fits_two_fits_none(tmp_path):
    roster = tmp_path / "list.csv"
    roster.write_text("Full name\nJane Doe\n")
    both = [made("Jane_Doe_1"), made("Jane_Doe_2")]
    text, remarks = export.fill(roster, both)
    assert rows(text)[1] == ["Jane Doe", ""] and len(remarks) == 3


@pytest.mark.parametrize("data", [b"", b"colour,size\n1,2\n", b"\xff\xfe\x00\n"])
def test_another_file_is_one_line(tmp_path, data):
    roster = tmp_path / "x.csv"
    roster.write_bytes(data)
    with pytest.raises(record.RecordError, match=r"x\.csv"):
        export.fill(roster, RESULTS)
