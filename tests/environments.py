"""Environments of their own for slow tests: made new, packages installed, notebooks run in them."""

import json
import os
import subprocess
import venv

import nbformat

RUN = """
import json, sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=600, kernel_name="python3", allow_errors=True,
               skip_cells_with_tag="long").execute()
outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
errors = [f"{o.ename}: {o.evalue}" for o in outputs if o.output_type == "error"]
texts = [str(o.get("data", {}).get("text/plain", "")) for o in outputs]
print(json.dumps({"errors": errors, "not yet": [t for t in texts if "not yet" in t]}))
"""


def make_venv(folder, *packages, constraints=None):
    """The path of a new environment's Python, with these packages."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if constraints:
        install += ["-c", constraints]
    subprocess.run([*install, *packages], check=True, capture_output=True)
    return python


def run_in(python, notebook, path):
    """What a notebook runs into in the environment of `python`: its errors, its failed checks."""
    nbformat.write(notebook, path)
    environment = os.environ | {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "JUPYTER_PATH": str(python.parent.parent / "share" / "jupyter"),
    }
    done = subprocess.run(
        [python, "-c", RUN, path], env=environment, capture_output=True, text=True, cwd=path.parent
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])
