"""The course's notebooks in JupyterLab: they open, run, and show what they should.

With COURSE_SCREENSHOTS naming a folder, pictures of the main views are written there
(`make screenshots`).
"""

import os
from pathlib import Path

import pytest

from autograder.build import release_notebook, source_notebook

WIDGETS = {"01_gqa_moe": "KV cache", "02_lora_parameters": "trainable parameters"}
TILED = "# exercise: repeat_kv\ndef repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)"


def show(page, text, picture):
    """Scroll to the first output or text that holds `text`; photograph the view if asked to."""
    place = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").get_by_text(text).first
    place.scroll_into_view_if_needed(timeout=30_000)
    place.wait_for(timeout=30_000)
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
    show(page, "Likely mistake", f"notebook{'_dark' * dark}.png")
    assert page.get_by_text("query head h must use kv head h // n_rep").count() >= 1


@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("notebook_id", WIDGETS)
def test_notebooks_run_with_solutions(lab, notebook_id, dark):
    page = lab.run(solved(notebook_id), notebook_id, dark)
    # Cells that need the result of a slow one are the only ones that may fail here.
    assert {e["ename"] for e in lab.errors(page)} <= {"NameError"}
    show(page, WIDGETS[notebook_id], f"{notebook_id}{'_dark' * dark}.png")
