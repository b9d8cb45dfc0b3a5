"""The course beside Colab's packages: none of them is replaced, and the notebooks run there."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from environments import make_venv, run_in
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from autograder.build import ROOT, notebook_ids, source_notebook, students_repository
from autograder.publish import publish
from course_lib import colab

FREEZE = {
    canonicalize_name(line.partition("==")[0]): line.partition("==")[2]
    for line in (ROOT / "tests/colab/pip-freeze.gpu.txt").read_text().splitlines()
    if "==" in line and not line.startswith("#")
}
# What the tests of whole notebooks install: Colab's versions, but torch, which is the CPU's.
SAME = ["numpy", "transformers", "peft", "datasets", "pyarrow", "pandas", "accelerate"]
SAME += ["ipywidgets", "anywidget", "ipython", "ipykernel", "jupyter_client", "matplotlib"]
SAME += ["plotly", "psutil", "nbformat"]


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("requirement", project()["dependencies"])
def test_colabs_versions_satisfy_the_course(requirement):
    wanted = Requirement(requirement)
    assert wanted.specifier.contains(FREEZE[canonicalize_name(wanted.name)], prereleases=True)


def test_the_set_up_cell_requires_what_the_project_requires():
    names = [Requirement(text).name for text in project()["dependencies"]]
    assert sorted(names) == sorted(colab.REQUIRED)


def test_trl_has_on_colab_what_it_imports():
    # Of trl's own requirements only these two are newer than Colab's; see the module's docstring.
    from importlib.metadata import requires

    trl = [Requirement(text) for text in requires("trl")]
    trl = [r for r in trl if r.marker is None or "extra" not in str(r.marker)]
    too_new = {
        r.name
        for r in trl
        if not r.specifier.contains(FREEZE[canonicalize_name(r.name)], prereleases=True)
    }
    assert too_new <= {"datasets", "pyarrow"}
    assert "trl" not in FREEZE
    assert colab.TRL in (ROOT / "constraints.txt").read_text().split()  # the version tested here


def test_every_notebook_has_badge_and_set_up_cell_of_the_one_repository():
    repository = students_repository()
    assert repository == project()["urls"]["Students"].rstrip("/")
    path = repository.removeprefix("https://github.com/")
    for notebook_id in notebook_ids():
        cells = source_notebook(notebook_id).cells
        link = f"/github/{path}/blob/main/lectures/{notebook_id}/{notebook_id}.ipynb)"
        assert link in cells[0].source and cells[0].source.startswith("# ")
        start = next(c for c in cells if c.cell_type == "code")
        assert start.id == "start" and f'start("{notebook_id}")' in start.source
        assert f"--no-deps {repository}/" in start.source
        assert "tags" not in start.metadata  # a judged run leaves it out


@pytest.fixture
def pip(monkeypatch):
    """What would be installed; the installation is pretended to succeed."""
    calls = []

    def run(command, **options):
        calls.append(command)
        monkeypatch.setattr(colab, "_is_there", lambda name: True)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(colab.subprocess, "run", run)
    return calls


def test_nothing_is_done_where_all_is_there(pip, capsys):
    colab.start("04_gsm8k_lora")
    said = capsys.readouterr().out
    assert pip == [] and "torch" in said and "Drive" not in said


def test_on_colab_what_is_missing_is_installed_without_dependencies(pip, capsys, monkeypatch):
    monkeypatch.setattr(colab, "on_colab", lambda: True)
    monkeypatch.setattr(colab, "_is_there", lambda name: name != "trl")
    colab.start("03_sft_masking")
    assert [command[2:] for command in pip] == [
        ["pip", "install", "--quiet", "--no-deps", colab.TRL]
    ]
    said = capsys.readouterr().out
    assert "installing trl" in said and "keep_on_drive()" in said


def test_elsewhere_what_is_missing_is_said(pip, capsys, monkeypatch):
    monkeypatch.setattr(colab, "_is_there", lambda name: name != "peft")
    colab.start("01_gqa_moe")
    assert pip == [] and capsys.readouterr().out == (
        'Missing here: peft. Install: pip install "peft"\n'
    )


def test_drive_is_where_the_work_goes(monkeypatch, tmp_path):
    with pytest.raises(RuntimeError, match="not Colab"):
        colab.keep_on_drive()
    mounted = []
    drive = type(sys)("google.colab.drive")
    drive.mount = mounted.append
    package = type(sys)("google.colab")
    package.drive = drive
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setattr(colab, "DRIVE", tmp_path / "drive")
    monkeypatch.chdir(tmp_path)
    place = colab.keep_on_drive("work")
    assert mounted == [str(tmp_path / "drive")]
    assert Path.cwd() == place == tmp_path / "drive" / "MyDrive" / "work"


# ------------------------------------------------------------------------------- widgets

# Constructs every widget, plotly at hand, and says what it shows where and what it sends.
WIDGETS = """
import json, plotly.graph_objects, course_lib, ipywidgets
shown = {}
for name in sorted(course_lib.__all__):
    if name.endswith(("_explorer", "_chooser")):
        data, _ = getattr(course_lib, name)()._repr_mimebundle_()
        shown[name] = {kind: len(str(value)) for kind, value in data.items()}
versions = {"ipywidgets": ipywidgets.__version__, "plotly": plotly.__version__}
print(json.dumps({"shown": shown, "versions": versions}))
"""


def widgets_in(python, folder):
    done = subprocess.run([python, "-c", WIDGETS], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_widgets(found):
    assert len(found["shown"]) == 7
    for name, sizes in found["shown"].items():
        assert "application/vnd.jupyter.widget-view+json" in sizes, name
        assert sizes["text/plain"] > 40, name
        assert sizes.get("image/png", sizes.get("text/html", 0)) > 1000, name


def test_every_widget_shows_with_the_newest_versions(tmp_path):
    found = widgets_in(sys.executable, tmp_path)
    assert found["versions"]["ipywidgets"].startswith("8.")
    assert found["versions"]["plotly"].startswith("7.")
    check_widgets(found)


# ------------------------------------------------------------------------------- whole notebooks


@pytest.fixture(scope="module")
def colab_python(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colab")
    publish(folder / "students")
    same = [f"{name}=={FREEZE[canonicalize_name(name)]}" for name in SAME]
    torch = next(x for x in (ROOT / "constraints.txt").read_text().split() if x[:7] == "torch==")
    python = make_venv(folder / "venv", torch, *same, "nbclient", "setuptools")
    wheel = next((folder / "students" / "dist").glob("*.whl"))
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    # pip's resolver, asked for the course and all it requires, has only the course to install.
    report = subprocess.run(
        [*install, "--dry-run", "--report", "-", wheel], check=True, capture_output=True, text=True
    )
    planned = [i["metadata"]["name"] for i in json.loads(report.stdout)["install"]]
    assert planned == ["finetuning-course"]
    subprocess.run([*install, "--no-deps", wheel, colab.TRL], check=True, capture_output=True)
    return python


@pytest.mark.slow
@pytest.mark.parametrize("notebook_id", notebook_ids())
def test_solutions_run_with_colabs_versions(colab_python, notebook_id, tmp_path):
    notebook = source_notebook(notebook_id)
    for cell in notebook.cells:
        cell.source = cell.source.partition("### BEGIN HIDDEN TESTS")[0].rstrip()
    found = run_in(colab_python, notebook, tmp_path / "x.ipynb")
    # Cells that need the result of a slow one, which is left out, are the only ones that may fail.
    assert [e for e in found["errors"] if not e.startswith("NameError")] == []
    assert found["not yet"] == []


@pytest.mark.slow
def test_every_widget_shows_with_colabs_versions(colab_python, tmp_path):
    found = widgets_in(colab_python, tmp_path)
    assert found["versions"] == {name: FREEZE[name] for name in ("ipywidgets", "plotly")}
    check_widgets(found)
