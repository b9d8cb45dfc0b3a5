"""The course's notebooks in JupyterLab: they open, run, and show what they should.

With COURSE_SCREENSHOTS naming a folder, pictures of the main views are written there
(`make screenshots`).
"""

import copy
import io
import os
import re
import symtable
from pathlib import Path

import pytest
from controls import PANEL, median, scroll_to, use
from IPython.core.inputtransformer2 import TransformerManager
from PIL import Image
from playwright.sync_api import expect

from autograder.build import notebook_ids, release_notebook, source_notebook

TILED = "# exercise: repeat_kv\ndef repeat_kv(x, n_rep):\n    return x.repeat(1, n_rep, 1, 1)"
# What a notebook's picture shows.
VIEWS = {
    "01_gqa_moe": "kv_cache_explorer()",
    "02_lora_parameters": "lora_rank_explorer()",
    "03_sft_masking": "mask_explorer()",
    "04_gsm8k_lora": "lab.show_intervals(",
    "05_star": "star_explorer()",
    "06_speculative_decoding": "speculative_explorer()",
}
# The notebook and nothing else: no file list, no status bar, no open page at its side.
ALONE = """async () => {
  const {commands, shell} = window.jupyterapp;
  if (!shell.leftCollapsed) await commands.execute('application:toggle-left-area');
}"""
# The pictures are published: no solution may be seen in them.
HIDE_ANSWERS = """() => {
  const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
  for (const cell of document.querySelectorAll('.jp-Cell[data-windowed-list-index]')) {
    const source = cells.get(Number(cell.dataset.windowedListIndex)).sharedModel.getSource();
    if (source.includes('### BEGIN SOLUTION')) cell.style.visibility = 'hidden';
  }
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


def picture(lab, page, name, index):
    """Photograph the view around cell `index`, light and dark, if asked to."""
    folder = os.environ.get("COURSE_SCREENSHOTS")
    if not folder:
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    page.set_viewport_size({"width": 1060, "height": 1240})
    page.evaluate(ALONE)
    for dark in (False, True):
        lab.theme(page, dark)
        scroll_to(page, index, "center")
        page.evaluate(HIDE_ANSWERS)
        page.wait_for_timeout(2500)  # formulas and pictures settle
        scroll_to(page, index, "center")
        page.wait_for_timeout(500)
        page.evaluate(HIDE_ANSWERS)
        # 64 colours are enough for text and lines, and a third of the bytes.
        image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        path = Path(folder) / f"{name}{'_dark' * dark}.png"
        image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size < 250_000
    lab.theme(page, False)


def solved(notebook_id):
    """The notebook with solutions, without hidden lines."""
    notebook = source_notebook(notebook_id)
    for cell in notebook.cells:
        cell.source = cell.source.partition("### BEGIN HIDDEN TESTS")[0].rstrip()
    return notebook


def quick(notebook):
    """The cells that neither are slow nor use what a slow one defines."""
    lost, kept = set(), []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            made, used = _names(cell.source)
            if "long" in cell.metadata.get("tags", ()) or used & lost:
                lost |= made
                continue
            lost -= made
        kept.append(cell)
    notebook.cells = kept
    return notebook


def _names(source):
    """(what a cell defines, what it uses and does not define)."""
    top = symtable.symtable(TransformerManager().transform_cell(source), "cell", "exec")
    made = {s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()}
    used, scopes = set(), [top]
    while scopes:
        scope = scopes.pop()
        scopes += scope.get_children()
        for symbol in scope.get_symbols():
            if symbol.is_referenced() and (scope is top or symbol.is_global()):
                used.add(symbol.get_name())
    return made, used - made


def view(notebook, notebook_id):
    """The index of the cell that the notebook's picture shows, None if it is not there."""
    indices = range(len(notebook.cells))
    return next((i for i in indices if VIEWS[notebook_id] in notebook.cells[i].source), None)


def play(lab, page):
    """Use every widget of the page; a key is a new picture at once."""
    for index in page.evaluate(WIDGETS):
        scroll_to(page, index)
        # The one in this cell: others may be in view, or still in the page.
        cell = page.locator(f'{PANEL} .jp-Cell[data-windowed-list-index="{index}"]')
        times = use(page, cell.locator("[data-explorer]").first)
        assert not times or median(times) < 50, (index, times)


def test_a_wrong_answer_is_told_what_is_wrong(lab):
    notebook = release_notebook("01_gqa_moe")
    index = next(i for i, c in enumerate(notebook.cells) if c.id == "test_repeat_kv")
    notebook.cells = notebook.cells[: index + 1]
    notebook.cells[index - 1].source = TILED
    page = lab.run(notebook, "01_gqa_moe")
    assert lab.errors(page) == []
    mistake = page.get_by_text("Likely mistake").first
    mistake.wait_for()
    assert page.get_by_text("query head h must use kv head h // n_rep").count() >= 1
    picture(lab, page, "notebook", index)


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


@pytest.mark.parametrize("notebook_id", notebook_ids())
def test_notebooks_run_with_solutions(lab, notebook_id):
    whole = solved(notebook_id)
    notebook = quick(copy.deepcopy(whole))
    assert [c.id for c in notebook.cells if _is_exercise(c)] == [
        c.id for c in whole.cells if _is_exercise(c)
    ]
    page = lab.run(notebook, notebook_id)
    assert lab.errors(page) == []
    assert len(page.evaluate(WIDGETS)) == sum(
        bool(re.search(r"^\w+_(explorer|chooser)\(", c.source, re.M)) for c in notebook.cells
    )
    if (index := view(notebook, notebook_id)) is not None:
        picture(lab, page, notebook_id, index)
    play(lab, page)


@pytest.mark.slow
@pytest.mark.parametrize("notebook_id", notebook_ids())
def test_whole_notebooks_run_with_solutions(lab, notebook_id):
    notebook = solved(notebook_id)
    page = lab.run(notebook, notebook_id)
    assert lab.errors(page) == []
    if view(quick(copy.deepcopy(notebook)), notebook_id) is None:
        picture(lab, page, notebook_id, view(notebook, notebook_id))
    play(lab, page)


def _is_exercise(cell):
    return "nbgrader" in cell.metadata
