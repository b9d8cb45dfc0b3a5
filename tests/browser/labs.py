"""A running JupyterLab and its pages, for tests that drive a browser."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest

WAIT = 300_000  # milliseconds; a machine may be busy


class Lab:
    """A running JupyterLab; `browser` is Playwright's."""

    def __init__(self, browser, root, port, token):
        self.root = root
        self.base, self.token = f"http://127.0.0.1:{port}", token
        # One context: JupyterLab's files are read and compiled once, not for every page.
        self.context = browser.new_context(viewport={"width": 1250, "height": 1500})
        self.context.set_default_timeout(WAIT)
        self.pages = []

    def request(self, path, method="GET", body=None):
        """The server's REST answer, decoded."""
        request = urllib.request.Request(
            f"{self.base}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def open(self, cells, name="test", dark=False):
        """A page with a notebook of these code cells (or a finished notebook), kernel ready."""
        notebook = cells
        if isinstance(cells, list):
            notebook = nbformat.v4.new_notebook(
                cells=[nbformat.v4.new_code_cell(source) for source in cells]
            )
        # Without it JupyterLab asks which kernel to take, and waits.
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(notebook, self.root / f"{name}.ipynb")
        page = self.context.new_page()
        self.pages.append(page)
        # A fresh workspace, so that no tab of an earlier test comes back.
        workspace = f"auto-{secrets.token_hex(4)}"
        page.goto(
            f"{self.base}/lab/workspaces/{workspace}/tree/{name}.ipynb?reset&token={self.token}"
        )
        page.wait_for_function("() => window.jupyterapp")
        page.evaluate("() => window.jupyterapp.restored")
        page.wait_for_function(
            """() => {
              const context = window.jupyterapp.shell.currentWidget?.sessionContext;
              return context?.isReady && context.session?.kernel?.status === 'idle';
            }""",
            timeout=WAIT,
        )
        self.theme(page, dark)
        return page

    def theme(self, page, dark):
        """Change the page's theme; it is a setting of the server, so the next page has it, too."""
        name = "JupyterLab Dark" if dark else "JupyterLab Light"
        page.evaluate(
            "theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", name
        )
        page.wait_for_function(
            "light => document.body.dataset.jpThemeLight === light", arg=str(not dark).lower()
        )

    def run(self, cells, name="test", dark=False):
        """As `open`, and every cell has run; what widgets draw may still be on its way."""
        page = self.open(cells, name, dark)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        return page

    def errors(self, page):
        """The error outputs of the page's notebook, from its model (not from what is in view)."""
        outputs = page.evaluate(
            """() => {
              const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
              return Array.from({length: cells.length}, (_, i) => cells.get(i).toJSON().outputs);
            }"""
        )
        return [o for cell in outputs for o in cell or [] if o["output_type"] == "error"]

    def close_pages(self):
        for page in self.pages:
            page.close()
        self.pages.clear()
        for session in self.request("api/sessions"):  # kernels outlive their page
            self.request(f"api/sessions/{session['id']}", "DELETE")


@contextlib.contextmanager
def start_lab(chromium, root, home):
    """A JupyterLab over the folder `root`, also started there; what it writes goes to `home`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    overrides = home / "lab-settings"
    news = overrides / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    news.parent.mkdir(parents=True)
    news.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(overrides),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += [f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={token}"]
    command += ["--LabApp.expose_app_in_browser=True", "--ServerApp.ip=127.0.0.1"]
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=root)
    try:
        lab = Lab(chromium, root, port, token)
        deadline = time.monotonic() + 180  # a busy machine
        while True:
            with contextlib.suppress(OSError):
                lab.request("api/status")
                break
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail("JupyterLab did not start:\n" + (home / "log").read_text()[-2000:])
            time.sleep(0.2)
        yield lab
        lab.context.close()
    finally:
        server.terminate()
        try:
            server.wait(15)
        except subprocess.TimeoutExpired:
            server.kill()
