import io
import json
import tomllib
import zipfile

import pytest

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
    publish.publish(tmp_path / "bundle", course)
    names = {p.relative_to(tmp_path / "bundle").as_posix() for p in tmp_path.rglob("bundle/**/*")}
    files = {name for name in names if (tmp_path / "bundle" / name).is_file()}
    assert files == {
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
        "the seventh sample is off by one in a hundred",
    ],
)
@pytest.mark.parametrize("where", ["course_lib/new.py", "lectures/01_tiny/01_tiny.ipynb"])
def test_an_answer_anywhere_is_refused_and_nothing_is_written(course, tmp_path, leak, where):
    text = json.dumps({"cells": [{"source": [leak]}]}) if where.endswith("ipynb") else leak
    (course / where).write_text(text)
    with pytest.raises(publish.PublishError, match=where.split("/")[-1]):
        publish.publish(tmp_path / "bundle", course)
    assert not (tmp_path / "bundle").exists()


def test_a_wheel_is_looked_into(course, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("autograder/x.py", "the seventh sample is off by one in a hundred")
    (course / "course_lib" / "old.whl").write_bytes(data.getvalue())
    with pytest.raises(publish.PublishError, match=r"old\.whl/autograder/x\.py"):
        publish.publish(tmp_path / "bundle", course)


def test_a_folder_with_files_is_refused(course, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "mine.txt").write_text("mine")
    with pytest.raises(publish.PublishError, match="not an empty folder"):
        publish.publish(tmp_path / "bundle", course)
    assert (tmp_path / "bundle" / "mine.txt").read_text() == "mine"
