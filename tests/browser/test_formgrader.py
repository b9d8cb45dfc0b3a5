"""nbgrader's formgrader on a graded class: the same students, the same scores."""

import csv
from collections import defaultdict

import pytest
from labs import start_lab
from playwright.sync_api import expect

from autograder import cli


@pytest.mark.slow
def test_formgrader_shows_the_demo_class(chromium, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "demo"
    assert cli.main(["demo", "--out", str(out)]) == 0
    graded = next(path.parent for path in out.rglob("gradebook.db"))
    scores = defaultdict(float)
    with open(graded / "grades.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            scores[row["student"], row["assignment"]] += float(row["score"])
    assignments = sorted({assignment for _, assignment in scores})
    with start_lab(chromium, graded, tmp_path / "home") as lab:
        page = chromium.new_context(viewport={"width": 1250, "height": 1000}).new_page()
        page.goto(f"{lab.base}/formgrader/gradebook?token={lab.token}")
        for assignment in assignments:
            expect(page.get_by_role("link", name=assignment)).to_be_visible(timeout=30_000)
        for assignment in assignments:
            page.goto(f"{lab.base}/formgrader/gradebook/{assignment}/{assignment}")
            rows = page.locator("tbody tr")
            expect(page.locator("table").first).not_to_contain_text("Loading", timeout=30_000)
            expect(rows.first).to_be_visible()
            graded_here = [score for (_, a), score in scores.items() if a == assignment and score]
            shown = " ".join(rows.all_inner_texts())
            for score in graded_here:
                assert f"{score:g} / 20" in shown, (assignment, score, shown[:500])
