"""Late penalties through nbgrader's own gradebook and plug-in."""

import json

import pytest
import tiny

from autograder import late, record, report
from autograder.page import number

PLUGIN = """
from nbgrader.plugins import BasePlugin
class AnHourAPoint(BasePlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return total_seconds_late / 3600
c.AssignLatePenalties.plugin_class = AnHourAPoint
"""


@pytest.fixture
def course(tmp_path):
    """A course directory in which ben handed in 2 h late, and ada in time."""
    out = tmp_path / "out"
    record.prepare_course(out, tmp_path, {tiny.ID: tiny.source()})
    graded = tiny.autograded({"double": (2.0, ""), "shift": (3.0, "")})
    with record.open_gradebook(out) as gradebook:
        gradebook.update_or_create_assignment(tiny.ID, duedate="2026-11-20 10:00:00 UTC")
        for student, hour in (("ada", 9), ("ben", 12)):
            when = f"2026-11-20 {hour}:00:00 UTC"
            record.record_submission(gradebook, student, tiny.ID, graded, when, {"essay"})
    for student in ("ada", "ben"):
        path = record.result_path(out, student, tiny.ID)
        record.write_atomically(path, json.dumps(tiny.result(student)))
    return out


def lateness(out):
    report.write(out)
    return {r["student"]: r.get("late") for r in record.read_results(out)}


def gradebooks(out, student="ben"):
    with record.open_gradebook(out) as gradebook:
        submission = gradebook.find_submission(tiny.ID, student)
        return submission.score, submission.late_submission_penalty


def own_rule(out, text):
    with (out / "nbgrader_config.py").open("a") as file:
        file.write(text)


def test_without_a_rule_lateness_costs_nothing(course):
    assert lateness(course) == {"ada": None, "ben": {"seconds": 7200.0, "penalty": 0.0}}
    assert gradebooks(course) == (5, 0)


def test_nbgraders_rule_and_a_plugin_of_ones_own(course):
    own_rule(course, 'c.LateSubmissionPlugin.penalty_method = "zero"\n')
    assert lateness(course)["ben"]["penalty"] == 5.0
    assert gradebooks(course) == (5, 5) and gradebooks(course, "ada") == (5, 0)
    own_rule(course, PLUGIN)
    assert lateness(course)["ben"]["penalty"] == 2.0
    assert gradebooks(course) == (5, 2)
    page = (course / "feedback" / "ben" / tiny.ID / f"{tiny.ID}.html").read_text()
    assert "Handed in 2 h late; 2 points are taken off: 3 of 6" in page
    rows = (course / "canvas.csv").read_text().splitlines()
    assert rows[-1].endswith(",3") and rows[-2].endswith(",5")
    told = (course / "report.html").read_text()
    assert "Late (1)" in told and number(2.0) in told


def test_an_extension_takes_the_penalty_back(course):
    own_rule(course, PLUGIN)
    assert lateness(course)["ben"]
    with record.open_gradebook(course) as gradebook:
        gradebook.grant_extension(tiny.ID, "ben", hours=3)
    assert lateness(course) == {"ada": None, "ben": None}
    assert gradebooks(course) == (5, 0)


def test_a_penalty_beyond_the_score_stops_at_zero(course):
    own_rule(course, PLUGIN.replace("/ 3600", "* 100"))
    assert lateness(course)["ben"]["penalty"] == 5.0


def test_own_settings_are_kept_by_the_next_run(course):
    own_rule(course, PLUGIN)
    record.prepare_course(course, course, {tiny.ID: tiny.source()})
    text = (course / "nbgrader_config.py").read_text()
    assert text.count("AnHourAPoint") == 2 and text.count("submitted_directory") == 1


def test_a_broken_configuration_is_one_line(course):
    own_rule(course, "raise ValueError('two\\nlines')\n")
    with pytest.raises(
        record.RecordError, match=r"nbgrader_config.py fails: ValueError: two lines"
    ):
        lateness(course)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(20, "20 s"), (2700, "45 min"), (7320, "2 h 2 min"), (86400, "1 day"), (187200, "2 days 4 h")],
)
def test_how_late(seconds, told):
    assert late.how_late(seconds) == told
