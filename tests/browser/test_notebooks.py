"""The course's notebooks in JupyterLab: they open, run, and show what they should.

With COURSE_SCREENSHOTS naming a folder, pictures of the main views are written there
(`make screenshots`).
"""

import os
from pathlib import Path

import pytest

from autograder.build import release_notebook, source_notebook

WIDGETS = {"01_gqa_moe": "kv_cache_explorer()", "02_lora_parameters": "lora_rank_explorer()"}
TILED = "# exercise: repeat_kv\ndef repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)"


def show(page, place, picture):
    """Wait for `place` (a locator) to be in view; photograph the view if asked to."""
    place.wait_for(timeout=30_000)
    place.scroll_into_view_if_needed(timeout=30_000)
    if folder := os.environ.get("COURSE_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1500)  # formulas and pictures settle
        page.screenshot(path=Path(folder) / picture)


def solved(notebook_id):
    """The notebook with solutions, without hidden lines and slow cells."""
    notebook = source_notebook(notebook_id)
    notebook.cells = [c for c in notebook.cells if "long" not in c.metadata.get("tags", ())]
    for cell in notebook.cells:
        cell.source = cell.source.partition("### BEGIN HIDDEN TESTS")[0].rstrip()
    return notebook


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_wrong_answer_is_told_what_is_wrong(lab, dark):
    notebook = release_notebook("01_gqa_moe")
    index = next(i for i, c in enumerate(notebook.cells) if c.id == "test_repeat_kv")
    notebook.cells = notebook.cells[: index + 1]
    notebook.cells[index - 1].source = TILED
    page = lab.run(notebook, "01_gqa_moe", dark)
    assert lab.errors(page) == []
    show(page, page.get_by_text("Likely mistake").first, f"notebook{'_dark' * dark}.png")
    assert page.get_by_text("query head h must use kv head h // n_rep").count() >= 1


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("notebook_id", WIDGETS)
def test_notebooks_run_with_solutions(lab, notebook_id, dark):
    notebook = solved(notebook_id)
    widget = WIDGETS[notebook_id]
    index = next(i for i, c in enumerate(notebook.cells) if c.source.rstrip().endswith(widget))
    page = lab.run(notebook, notebook_id, dark)
    # Cells that need the result of a slow one are the only ones that may fail here.
    assert {e["ename"] for e in lab.errors(page)} <= {"NameError"}
    # Cells out of view are not in the page: JupyterLab has to go there.
    page.evaluate(
        "i => window.jupyterapp.shell.currentWidget.content.scrollToItem(i, 'start')", index
    )
    picture = page.locator(".jp-OutputArea-output svg[role=img]").first
    show(page, picture, f"{notebook_id}{'_dark' * dark}.png")
