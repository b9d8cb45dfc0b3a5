"""Use an explorer as a person would: every control by keyboard and by mouse, and take the time."""

import statistics

from playwright.sync_api import expect

PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"
# From the key's event to the frame after the picture has changed.
WATCH = """root => {
  let start = 0;
  root.courseTimes = [];
  root.addEventListener('keydown', () => { start = performance.now(); }, true);
  new MutationObserver(() => {
    if (!start) return;
    const begun = start;
    start = 0;
    requestAnimationFrame(() => root.courseTimes.push(performance.now() - begun));
  }).observe(root, {subtree: true, childList: true, attributes: true, characterData: true});
}"""


def scroll_to(page, index, where="start"):
    """Bring cell `index` into view; cells out of view are not in the page."""
    page.evaluate(
        "([i, where]) => window.jupyterapp.shell.currentWidget.content.scrollToItem(i, where)",
        [index, where],
    )


def use(page, explorer):
    """Work every control of `explorer` (a locator); returns the milliseconds of each key."""
    expect(explorer).to_be_visible(timeout=120_000)
    explorer.scroll_into_view_if_needed()
    pictures = explorer.locator("svg[role=img]")
    for i in range(pictures.count()):
        assert len(pictures.nth(i).get_attribute("aria-label")) > 20  # words for the picture
    explorer.evaluate(WATCH)
    worked = 0
    for slider in explorer.locator("input[type=range]").all():
        _by_key(page, explorer, slider)
        _by_mouse(page, explorer, slider)
        worked += 1
    for chooser in explorer.locator("select").all():
        values = [option.get_attribute("value") for option in chooser.locator("option").all()]
        before = explorer.inner_html()
        chooser.select_option(next(v for v in values if v != chooser.input_value()))
        if len(values) > 1:
            _changed(page, explorer, before)
        worked += 1
    for button in explorer.locator("button, input[type=radio], input[type=checkbox]").all():
        button.focus()
        assert button.evaluate("e => e === document.activeElement")
        page.keyboard.press("Space")
        worked += 1
    assert worked, "an explorer without a control"
    assert explorer.locator("svg text, td, p, div").first.is_visible()
    return explorer.evaluate("root => root.courseTimes")


def _by_key(page, explorer, slider):
    slider.focus()
    low, high = (float(slider.get_attribute(name)) for name in ("min", "max"))
    here = float(slider.input_value())
    keys = ["ArrowRight", "ArrowLeft"] if here < high else ["ArrowLeft", "ArrowRight"]
    assert low < high
    for count in range(8):
        before = explorer.inner_html()
        page.keyboard.press(keys[count % 2])
        _changed(page, explorer, before)
    assert float(slider.input_value()) == here
    assert slider.get_attribute("aria-valuetext") or slider.get_attribute("aria-label")
    # JupyterLab's own shortcuts did not take the key: the slider still has the focus.
    assert slider.evaluate("e => e === document.activeElement")


def _by_mouse(page, explorer, slider):
    box = slider.bounding_box()
    here = float(slider.input_value())
    low, high = (float(slider.get_attribute(name)) for name in ("min", "max"))
    share = 0.95 if here < (low + high) / 2 else 0.05
    before = explorer.inner_html()
    slider.click(position={"x": box["width"] * share, "y": box["height"] / 2})
    _changed(page, explorer, before)
    assert float(slider.input_value()) != here


def _changed(page, explorer, before):
    handle = explorer.element_handle()
    page.wait_for_function(
        "([e, before]) => e.innerHTML !== before", arg=[handle, before], timeout=60_000
    )


def median(times):
    assert len(times) >= 8, "no key was timed"
    return statistics.median(times)
