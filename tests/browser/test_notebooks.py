"""The course's notebooks in JupyterLab: they open, run, and show what they should.

With COURSE_SCREENSHOTS naming a folder, pictures of the main views are written there
(`make screenshots`).
"""

import os
from pathlib import Path

import pytest
from controls import PANEL, median, scroll_to, use
from playwright.sync_api import expect

from autograder.build import notebook_ids, release_notebook, source_notebook

TILED = "# exercise: repeat_kv\ndef repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)"
BOTH = pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
# The pictures are published: no solution may be seen in them.
HIDE_ANSWERS = """() => {
  for (const cell of document.querySelectorAll('.jp-Cell'))
    if (cell.textContent.includes('### END SOLUTION')) cell.style.visibility = 'hidden';
}"""
WIDGETS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  const found = [];
  for (let i = 0; i < cells.length; i++) {
    const outputs = cells.get(i).toJSON().outputs ?? [];
    if (outputs.some(o => o.data?.['application/vnd.jupyter.widget-view+json'])) found.push(i);
  }
  return found;
}"""


def picture(page, name, dark):
    """Photograph the view, if asked to."""
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.evaluate(HIDE_ANSWERS)
        page.wait_for_timeout(1500)  # formulas and pictures settle
        page.screenshot(path=Path(folder) / f"{name}{'_dark' * dark}.png")


def solved(notebook_id):
    """The notebook with solutions, without hidden lines and slow cells."""
    notebook = source_notebook(notebook_id)
    notebook.cells = [c for c in notebook.cells if "long" not in c.metadata.get("tags", ())]
    for cell in notebook.cells:
        cell.source = cell.source.partition("### BEGIN HIDDEN TESTS")[0].rstrip()
    return notebook


@pytest.mark.parametrize(
    "dark", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["light", "dark"]
)
def test_a_wrong_answer_is_told_what_is_wrong(lab, dark):
    notebook = release_notebook("01_gqa_moe")
    index = next(i for i, c in enumerate(notebook.cells) if c.id == "test_repeat_kv")
    notebook.cells = notebook.cells[: index + 1]
    notebook.cells[index - 1].source = TILED
    page = lab.run(notebook, "01_gqa_moe", dark)
    assert lab.errors(page) == []
    mistake = page.get_by_text("Likely mistake").first
    mistake.wait_for(timeout=30_000)
    mistake.scroll_into_view_if_needed(timeout=30_000)
    picture(page, "notebook", dark)
    assert page.get_by_text("query head h must use kv head h // n_rep").count() >= 1


def test_hints_open_one_after_another(lab):
    notebook = release_notebook("01_gqa_moe")
    index = next(i for i, c in enumerate(notebook.cells) if c.id == "repeat_kv")
    notebook.cells = notebook.cells[index - 1 : index]
    page = lab.open(notebook)
    for level in (1, 2, 3):
        summary = page.get_by_text(f"Hint {level} of 3", exact=True)
        expect(summary).to_be_visible()
        if level < 3:
            expect(page.get_by_text(f"Hint {level + 1} of 3", exact=True)).to_be_hidden()
        summary.focus()
        page.keyboard.press("Space")  # a hint opens without a mouse
    expect(page.locator("details[open]")).to_have_count(3)


@pytest.mark.slow
@pytest.mark.parametrize("notebook_id", notebook_ids())
def test_a_blank_notebook_opens(lab, notebook_id):
    page = lab.open(release_notebook(notebook_id), notebook_id)
    expect(page.locator(f"{PANEL} h1").first).to_be_visible()
    expect(page.locator(f'{PANEL} a[href*="colab.research.google.com/github/"]')).to_be_visible()
    assert lab.errors(page) == []


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("notebook_id", notebook_ids())
def test_notebooks_run_with_solutions(lab, notebook_id, dark):
    page = lab.run(solved(notebook_id), notebook_id, dark)
    # Cells that need the result of a slow one are the only ones that may fail here.
    assert {e["ename"] for e in lab.errors(page)} <= {"NameError"}
    cells = page.evaluate(WIDGETS)
    for number, index in enumerate(cells):
        scroll_to(page, index)
        # The one in this cell: others may be in view, or still in the page.
        cell = page.locator(f'{PANEL} .jp-Cell[data-windowed-list-index="{index}"]')
        explorer = cell.locator("[data-explorer]").first
        expect(explorer).to_be_visible(timeout=30_000)
        if number == 0:
            explorer.evaluate("e => e.closest('.jp-Cell').scrollIntoView({block: 'center'})")
            picture(page, notebook_id, dark)
        if not dark:
            times = use(page, explorer)
            assert not times or median(times) < 50, (index, times)
    if not cells:
        picture(page, notebook_id, dark)
