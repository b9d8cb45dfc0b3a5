import re
from html.parser import HTMLParser

import pytest
import tiny
from nbformat.v4 import new_output

from autograder import feedback, record, report

NASTY = "<script>alert(1)</script><img src=x onerror=y>&\x1b[31m\u202e"


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.found, self.attributes = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]


def check_self_contained(html):
    tags = Tags(html)
    assert not {"script", "iframe", "link", "object"} & set(tags.found)
    for _, name, value in tags.attributes:
        assert not name.startswith("on")
        if name == "src":
            assert value.startswith("data:image/png;base64,")
        if name == "href":
            assert not re.match(r"[a-z]+:", value)
    assert "url(" not in html and "@import" not in html


def test_feedback_shows_what_counts():
    html = feedback.render(tiny.result(), tiny.autograded({"double": (2.0, ""), "shift": (3, "")}))
    assert "5 of 6 points" in html and "1 answer still to be graded by hand" in html
    assert "down too" in html and "wrong values" in html and "return x + by" in html
    check_self_contained(html)


def test_feedback_escapes_everything():
    notebook = tiny.autograded({"double": (2.0, "")})
    for cell in notebook.cells:
        cell.source = NASTY + cell.source
        if cell.cell_type == "code":
            cell.outputs = [
                new_output("stream", name="stdout", text=NASTY),
                new_output("error", ename=NASTY, evalue=NASTY, traceback=[]),
                new_output("display_data", {"text/html": NASTY, "text/plain": NASTY}),
                new_output("display_data", {"image/png": f'x" onerror="{NASTY}'}),
            ]
    verdicts = tiny.result()["verdicts"]
    for v in verdicts:
        v["message"] = NASTY
        v["properties"] = [[NASTY, False, NASTY]]
    html = feedback.render(tiny.result(NASTY, verdicts=verdicts, repairs=[NASTY]), notebook)
    check_self_contained(html)
    assert Tags(html).found.count("img") == 0
    assert "\x1b" not in html and "\u202e" not in html


def test_feedback_hides_a_test_that_stands_in_its_cell():
    notebook = tiny.inline_source()
    notebook.cells[2].outputs = [
        new_output("error", ename="AssertionError", evalue=tiny.SECRET, traceback=[tiny.SECRET])
    ]
    assert tiny.SECRET not in feedback.render(tiny.result(), notebook)


def test_feedback_without_a_notebook():
    verdicts = tiny.result()["verdicts"]
    for v in verdicts:
        v.update(score=0.0, status="unreadable", message="not a notebook", properties=[])
    html = feedback.render(tiny.result(verdicts=verdicts), None)
    assert "could not be read" in html and "not a notebook" in html


def absent():
    verdicts = tiny.result()["verdicts"]
    for v in verdicts:
        v.update(score=0.0, status="missing", message="no submission", properties=[])
    return verdicts


def test_report_keeps_hand_grades_and_missing_apart():
    results = [tiny.result("ada"), tiny.result("ben"), tiny.result("cy", verdicts=absent())]
    html = report.render(results)
    assert "2 answers wait for a hand grade" in html
    assert "2 handed in, 1 missing" in html
    # 5 of 6 decided points for both who handed in: the absent and the essay pull nothing down.
    assert "mean 83%" in html
    check_self_contained(html)


def test_full_marks_are_in_the_last_bin():
    assert report.bins([0.0, 0.099, 0.1, 0.3, 0.95, 1.0]) == [2, 1, 0, 1, 0, 0, 0, 0, 0, 2]


def test_report_links_and_escapes_hostile_names():
    html = report.render([tiny.result(NASTY), tiny.result('a"b/../#?%')])
    check_self_contained(html)
    links = [value for _, name, value in Tags(html).attributes if name == "href"]
    assert all(link.startswith("feedback/") for link in links) and len(links) == 2
    assert any("%23%3F%25" in link for link in links)


def test_report_of_nothing_says_so(tmp_path):
    with pytest.raises(record.RecordError, match="run `autograder grade` first"):
        report.write(tmp_path)
