"""JupyterLab in a real browser: one server and one Chromium for the whole run.

A test takes `lab`, gives it cells and gets a page on which they have run:

    page = lab.run(["from course_lib import ...", "lora_rank_explorer()"])
"""

import shutil
from pathlib import Path

import pytest
from labs import start_lab


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in Path(item.path).parents:
            item.add_marker("browser")


@pytest.fixture(scope="session")
def chromium():
    api = pytest.importorskip("playwright.sync_api")
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    api.expect.set_options(timeout=60_000)  # a machine may be busy
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab_server(chromium, tmp_path_factory):
    with start_lab(
        chromium, tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("lab-home")
    ) as lab:
        yield lab


@pytest.fixture
def lab(lab_server):
    yield lab_server
    lab_server.close_pages()
