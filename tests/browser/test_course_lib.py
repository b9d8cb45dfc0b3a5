"""The explorers and the checks as a student sees them, in JupyterLab."""

import nbformat
import pytest
from playwright.sync_api import expect

LORA = '.jp-NotebookPanel:not(.lm-mod-hidden) [data-explorer="lora-rank"]'
SHOW = "import course_lib\ncourse_lib.lora_rank_explorer(model='Qwen2.5-Math-1.5B')"
CHECK = "from course_lib import check\ncheck('repeat_kv', lambda x, n: x.repeat(1, n, 1, 1))"


def test_explorer_and_check_are_live(lab):
    page = lab.run([SHOW, CHECK])
    explorer = page.locator(LORA)
    expect(explorer).to_contain_text("4,358,144 trainable parameters", timeout=120_000)
    expect(explorer.locator("svg[role=img]").first).to_be_visible()
    expect(explorer.locator("svg[role=img]").first).to_have_attribute(
        "aria-label", "Trainable parameters against rank. At rank 16: 4,358,144."
    )
    slider = explorer.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(explorer).to_contain_text("6,537,216 trainable parameters")
    expect(slider).to_have_attribute("aria-valuetext", "r = 24")
    explorer.get_by_label("adapters on").select_option("all")
    expect(explorer).to_contain_text("r = 24 on q, k, v, o, gate, up, down")

    # A key is a new picture at once: drawn before the event returns, without the kernel.
    milliseconds = slider.evaluate(
        """input => {
          const times = [];
          for (let i = 0; i < 16; i++) {
            input.value = i;
            const start = performance.now();
            input.dispatchEvent(new Event('input'));
            times.push(performance.now() - start);
          }
          return times.sort((a, b) => a - b)[8];
        }"""
    )
    assert milliseconds < 50

    output = page.locator(".jp-OutputArea-output", has_text="repeat_kv:")
    expect(output).to_contain_text("not yet")
    expect(output).to_contain_text("Likely mistake")
    assert lab.errors(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_an_untrusted_notebook_still_shows_check_and_picture(lab, dark):
    from course_lib.checking import run_check
    from course_lib.rendering import report_html, report_text
    from course_lib.widgets import kv_cache_explorer

    report = run_check("repeat_kv", lambda x, n: x.repeat(1, n, 1, 1))
    check = {"text/html": report_html(report), "text/plain": report_text(report)}
    data, metadata = kv_cache_explorer()._repr_mimebundle_()
    cells = []
    for bundle, about in ((check, {}), (data, metadata)):
        output = nbformat.v4.new_output("display_data", data=bundle, metadata=about)
        cells.append(nbformat.v4.new_code_cell("1", outputs=[output], execution_count=1))
    page = lab.open(nbformat.v4.new_notebook(cells=cells), name=f"saved{dark}", dark=dark)

    output = page.locator(".jp-OutputArea-output", has_text="repeat_kv:")
    expect(output).to_contain_text("not yet")
    cell = output.locator("td", has_text="≠").first
    style = "e => [getComputedStyle(e).borderTopWidth, getComputedStyle(e).backgroundColor]"
    width, colour = cell.evaluate(style)
    assert width == "2px" and colour.startswith("rgba(43, 136, 200")
    # The text has the theme's colour: light on dark, dark on light.
    red = int(output.evaluate("e => getComputedStyle(e).color.match(/[0-9]+/)[0]"))
    assert (red > 127) is dark
    expect(page.locator(".jp-OutputArea-output img")).to_be_visible()
