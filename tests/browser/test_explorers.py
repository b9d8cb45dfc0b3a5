"""Every explorer of the course: keyboard and mouse, the time from a key to the picture, words."""

from controls import PANEL, median, scroll_to, use

import course_lib

EXPLORERS = sorted(name for name in course_lib.__all__ if name.endswith("_explorer"))


def test_explorers_answer_keys_and_mouse_at_once(lab):
    page = lab.run([f"import course_lib\ncourse_lib.{name}()" for name in EXPLORERS])
    slow = {}
    for index, name in enumerate(EXPLORERS):
        scroll_to(page, index)
        kind = name.removesuffix("_explorer").replace("_", "-")
        times = use(page, page.locator(f'{PANEL} [data-explorer="{kind}"]'))
        slow[name] = median(times)
    print("median milliseconds from key to picture:", slow)
    assert max(slow.values()) < 50, slow
    assert lab.errors(page) == []
