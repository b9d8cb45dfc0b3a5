import gzip
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile

import nbformat
import pytest
from environments import make_venv, run_in

from autograder import publish

SOLUTION = """# %% exercise="double"
def double(x):
    ### BEGIN SOLUTION
    return sum([x for _ in range(2)], start=0.0)
    ### END SOLUTION
"""
HIDDEN = """
@hidden("double", "twice the argument of the call", hint="Add it to itself.")
def twice(student, draw):
    raise Fail("the seventh sample is off by one in a hundred")
"""
PROJECT = """[project]
name = "course"
version = "1"
[project.optional-dependencies]
lab = ["jupyterlab"]
grade = ["nbgrader"]
[project.scripts]
course = "course_lib.cli:main"
autograder = "autograder.cli:main"
[tool.setuptools.packages.find]
include = ["course_lib*", "autograder*"]
[tool.ruff]
extend-exclude = ["autograder/mutants"]
"""


@pytest.fixture
def course(tmp_path):
    files = {
        "solutions/01_tiny.py": SOLUTION,
        "autograder/hidden/01_tiny.py": HIDDEN,
        "autograder/grade.py": "",
        "course_lib/__init__.py": "# twice the argument of the call: shown to everyone",
        "course_lib/__pycache__/x.pyc": "junk",
        "lectures/01_tiny/01_tiny.ipynb": json.dumps({"cells": [{"source": ["def double(x):"]}]}),
        "docs/student_guide.md": "# Guide",
        "docs/instructor_guide.md": "private",
        "pyproject.toml": PROJECT,
    }
    for name, text in files.items():
        path = tmp_path / "course" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "course"


def test_the_bundle_has_what_students_need_and_no_autograder(course, tmp_path):
    publish.publish(tmp_path / "bundle", course, wheel=False)
    names = {p.relative_to(tmp_path / "bundle").as_posix() for p in tmp_path.rglob("bundle/**/*")}
    files = {name for name in names if (tmp_path / "bundle" / name).is_file()}
    assert files == {
        ".gitignore",
        ".published",
        "README.md",
        "pyproject.toml",
        "course_lib/__init__.py",
        "docs/student_guide.md",
        "lectures/01_tiny/01_tiny.ipynb",
    }
    project = tomllib.loads((tmp_path / "bundle" / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"course": "course_lib.cli:main"}
    assert project["project"]["optional-dependencies"] == {"lab": ["jupyterlab"]}
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["course_lib*"]


@pytest.mark.parametrize(
    "leak",
    [
        "return sum([x for _ in range(2)], start=0.0)",
        "return sum([x for _ in\n        range(2)], start=0.0)",
        "return sum([x for _ in range(2)],\n    start=0.0,\n)",
        "> return sum([x for _ in\n> range(2)], start=0.0)",
        "# the seventh sample is off\n# by one in a hundred",
        r'"the seventh\nsample is off\tby one in a hundred"',
        "the seventh sample is off by one in a hundred",
    ],
)
@pytest.mark.parametrize("where", ["course_lib/new.py", "lectures/01_tiny/01_tiny.ipynb"])
def test_an_answer_anywhere_is_refused_and_nothing_is_written(course, tmp_path, leak, where):
    text = json.dumps({"cells": [{"source": [leak]}]}) if where.endswith("ipynb") else leak
    (course / where).write_text(text)
    with pytest.raises(publish.PublishError, match=where.split("/")[-1]):
        publish.publish(tmp_path / "bundle", course, wheel=False)
    assert not (tmp_path / "bundle").exists()


MANY = """# %% exercise="means"
def means(model):
    ### BEGIN SOLUTION
    found = {}
    for name, parameter in model.named_parameters():
        found[name] = parameter.detach().mean().item()
    return found
    ### END SOLUTION
"""
COMMON = "for name, parameter in model.named_parameters():"
NEXT = "        found[name] = parameter.detach().mean().item()"


@pytest.mark.parametrize(
    ("where", "text", "refused"),
    [
        ("course_lib/experiments/other.py", COMMON, False),  # anyone writes this line
        ("course_lib/experiments/other.py", f"{COMMON}\n{NEXT}", True),
        ("course_lib/checks/many.py", COMMON, True),
        ("course_lib/exercises/02_many.toml", f'title = "{COMMON}"', True),
        ("course_lib/exercises/01_tiny.toml", f'title = "{COMMON}"', False),
    ],
)
def test_one_line_is_an_answer_only_at_home(course, tmp_path, where, text, refused):
    (course / "solutions" / "02_many.py").write_text(MANY)
    (course / where).parent.mkdir(parents=True, exist_ok=True)
    (course / where).write_text(text)
    bundle = tmp_path / "bundle"
    publish.collect(bundle, course)
    found = publish.leaks(bundle, publish.secrets(course))
    assert bool(found) is refused, found


def test_a_wheel_is_looked_into(course, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("autograder/x.py", "the seventh sample is off by one in a hundred")
    (course / "course_lib" / "old.data").write_bytes(data.getvalue())  # known by its content
    with pytest.raises(publish.PublishError, match=r"old\.data/autograder/x\.py"):
        publish.publish(tmp_path / "bundle", course, wheel=False)


@pytest.mark.parametrize("place", ["metadata", "outputs"])
def test_metadata_and_outputs_are_looked_into(course, tmp_path, place):
    line = "return sum([x for _ in range(2)], start=0.0)"
    notebook = {"cells": [{"source": [], place: {"x": [line]}}]}
    (course / "lectures" / "01_tiny" / "01_tiny.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(publish.PublishError, match="holds a part of an answer"):
        publish.publish(tmp_path / "bundle", course, wheel=False)


def test_the_name_of_a_file_can_give_it_away(course, tmp_path):
    (course / "course_lib" / "the seventh sample is off by one in a hundred.txt").write_text("")
    with pytest.raises(publish.PublishError, match="holds a part of an answer"):
        publish.publish(tmp_path / "bundle", course, wheel=False)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.json.gz", gzip.compress(b"the seventh sample")),
        ("x.png", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"),
        ("x.txt", "the seventh sample".encode("utf-16")),
    ],
    ids=["gzip", "png", "utf-16"],
)
def test_what_cannot_be_looked_into_is_refused(course, tmp_path, name, data):
    (course / "course_lib" / name).write_bytes(data)
    with pytest.raises(publish.PublishError, match=f"{name} is no text"):
        publish.publish(tmp_path / "bundle", course, wheel=False)


def test_a_folder_with_files_is_refused(course, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("mine")
    with pytest.raises(publish.PublishError, match="neither empty nor an earlier publication"):
        publish.publish(tmp_path / "bundle", course, wheel=False)
    assert (tmp_path / "bundle" / "mine.txt").read_text() == "mine"


def test_a_correction_is_published_over_the_publication_before(course, tmp_path):
    bundle = tmp_path / "bundle"
    count = publish.publish(bundle, course, wheel=False)
    (bundle / ".git").mkdir()
    (bundle / ".git" / "HEAD").write_text("main")
    (bundle / "syllabus.md").write_text("Monday")
    (course / "docs" / "student_guide.md").write_text("# Guide, corrected")
    (course / "course_lib" / "new.py").write_text("x = 1")
    (course / "course_lib" / "__init__.py").unlink()
    assert publish.publish(bundle, course, wheel=False) == count  # one more, one less
    assert "corrected" in (bundle / "README.md").read_text()
    assert (bundle / "course_lib" / "new.py").is_file()
    assert not (bundle / "course_lib" / "__init__.py").exists()
    assert (bundle / "syllabus.md").read_text() == "Monday"
    assert (bundle / ".git" / "HEAD").read_text() == "main"


def test_a_correction_with_an_answer_in_it_changes_nothing(course, tmp_path):
    bundle = tmp_path / "bundle"
    publish.publish(bundle, course, wheel=False)
    before = {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()}
    (course / "course_lib" / "new.py").write_text("return sum([x for _ in range(2)], start=0.0)")
    with pytest.raises(publish.PublishError, match="part of an answer"):
        publish.publish(bundle, course, wheel=False)
    assert {path: path.read_bytes() for path in bundle.rglob("*") if path.is_file()} == before


def test_a_file_that_was_put_there_by_hand_is_not_overwritten(course, tmp_path):
    bundle = tmp_path / "bundle"
    publish.publish(bundle, course, wheel=False)
    (bundle / "course_lib" / "new.py").write_text("mine")
    (course / "course_lib" / "new.py").write_text("x = 1")
    with pytest.raises(publish.PublishError, match=r"new\.py did not come from here"):
        publish.publish(bundle, course, wheel=False)
    assert (bundle / "course_lib" / "new.py").read_text() == "mine"


def test_a_list_of_files_elsewhere_removes_nothing(course, tmp_path):
    bundle = tmp_path / "bundle"
    publish.publish(bundle, course, wheel=False)
    other = tmp_path / "other.txt"
    other.write_text("mine")
    with open(bundle / publish.MANIFEST, "a") as file:
        file.write(f"../other.txt\n{other}\n")
    publish.publish(bundle, course, wheel=False)
    assert other.read_text() == "mine"


def test_links_of_the_guide_work_at_the_top(course):
    (course / "docs" / "student_guide.md").write_text("# Guide\n[e](errata.md) [w](https://x.md)")
    assert publish.readme(course) == "# Guide\n\n[e](docs/errata.md) [w](https://x.md)"


def test_the_real_bundle_links_to_what_is_in_it(tmp_path):
    publish.publish(tmp_path / "bundle", wheel=False)
    for page in [tmp_path / "bundle" / "README.md", *(tmp_path / "bundle" / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    text = (tmp_path / "bundle" / "README.md").read_text()
    for notebook in (tmp_path / "bundle" / "lectures").glob("*/*.ipynb"):
        assert f"/lectures/{notebook.stem}/{notebook.name})" in text  # its badge
    every = [p.relative_to(tmp_path).as_posix() for p in (tmp_path / "bundle").rglob("*")]
    for private in ("solutions", "autograder", "hidden", "mutants", "tests"):
        assert not [name for name in every if private in name.split("/")]


@pytest.mark.slow
def test_the_wheel_alone_checks_a_notebook(tmp_path):
    publish.publish(tmp_path / "bundle")
    (wheel,) = (tmp_path / "bundle" / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith("autograder")]
    held = {name.rsplit("/", 1)[-1] for name in names if name.endswith(".ipynb")}
    notebooks = sorted((tmp_path / "bundle").glob("lectures/*/*.ipynb"))
    assert held == {p.name for p in notebooks} != set()
    # Not below sys.prefix, as Debian's and Colab's Python install. -I: the own one stays.
    place = tmp_path / "local"
    install = [sys.executable, "-m", "pip", "install", "-qI", "--no-deps", "--prefix", place, wheel]
    subprocess.run([*install, "--disable-pip-version-check"], check=True, capture_output=True)
    (packages,) = place.glob("lib/python*/site-packages")
    alone = tmp_path / notebooks[0].name
    shutil.copy(notebooks[0], alone)
    command = [
        sys.executable,
        "-c",
        "import sys; from course_lib.cli import main; sys.exit(main())",
    ]
    done = subprocess.run(
        [*command, "submit", alone],
        env=os.environ | {"PYTHONPATH": str(packages)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert "Hand in this one file" in done.stdout, done.stderr


@pytest.mark.slow
def test_a_fresh_clone_works_alone(tmp_path):
    """Published, committed, cloned, installed into an empty environment, run blank."""
    bundle = tmp_path / "bundle"
    publish.publish(bundle)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for command in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "The course"]):
        subprocess.run(["git", *command], cwd=bundle, check=True, capture_output=True)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", bundle, clone], check=True)
    python = make_venv(
        clone / ".venv", "-e", f"{clone}[lab,data,sft]", constraints=clone / "constraints.txt"
    )
    program = python.parent / "course"
    doctor = subprocess.run([program, "doctor"], cwd=clone, capture_output=True, text=True)
    assert doctor.returncode == 0 and "\nReady." in doctor.stdout, doctor.stdout
    notebooks = sorted(clone.glob("lectures/*/*.ipynb"))
    assert notebooks
    for path in notebooks:
        found = run_in(python, nbformat.read(path, as_version=4), tmp_path / "x.ipynb")
        kinds = {error.partition(":")[0] for error in found["errors"]}
        assert kinds <= {"NotImplementedError"}, (path, found["errors"])
        done = subprocess.run([program, "submit", path], capture_output=True, text=True)
        assert done.returncode == 0 and "Hand in this one file" in done.stdout
