"""A new exercise is complete from the start: it builds, checks, and its hidden tests judge."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from autograder.build import ROOT

spec = importlib.util.spec_from_file_location("new_exercise", ROOT / "scripts" / "new_exercise.py")
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
ID, NAME = "01_gqa_moe", "mean_square_of_a_test"


@pytest.fixture
def course(tmp_path):
    junk = shutil.ignore_patterns("__pycache__", "mutants")
    for folder in ("course_lib", "autograder"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=junk)
    (tmp_path / "solutions").mkdir()
    shutil.copy(ROOT / "solutions" / f"{ID}.py", tmp_path / "solutions")
    script.new_exercise(ID, NAME, tmp_path)
    facts = tmp_path / "course_lib" / "exercises" / f"{ID}.toml"
    most = max(map(int, re.findall(r"points = (\d+)", facts.read_text())))
    less = re.sub(rf"points = {most}\b", f"points = {most - 1}", facts.read_text(), count=1)
    facts.write_text(less)  # 20 again
    return tmp_path


def python(course, *arguments):
    environment = os.environ | {"PYTHONPATH": str(course), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=course, env=environment, capture_output=True, text=True
    )


def test_it_builds_and_its_check_tells_right_from_wrong(course):
    built = python(course, "-m", "autograder", "build")
    assert built.returncode == 0, built.stderr
    notebook = (course / "lectures" / ID / f"{ID}.ipynb").read_text()
    assert f"# exercise: {NAME}" in notebook and "square().mean(dim=-1).to" not in notebook
    code = f"""
import sys, torch
from course_lib.checking import run_check
space = {{"torch": torch, "__name__": "__main__"}}
exec(open(sys.argv[1]).read(), space)
report = run_check("{NAME}", space["{NAME}"])
assert not report.course_errors, report.course_errors
print(report.passed)
"""
    bank = course / "autograder" / "mutants" / ID / NAME
    for path in bank.glob("*/*.py"):
        done = python(course, "-c", code, str(path))
        assert done.stdout.strip() == str(path.parent.name == "right"), (path, done.stderr)


@pytest.mark.slow
def test_its_hidden_tests_tell_right_from_wrong(course):
    bank = course / "bank"
    shutil.copytree(course / "autograder" / "mutants" / ID, bank / ID)
    arguments = ("-m", "autograder", "selftest", "--bank", str(bank), "--sandbox", "none")
    done = python(course, *arguments, "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 answers, 0 not ok" in done.stdout


def test_the_guide_shows_what_is_made():
    guide = (ROOT / "docs" / "new_exercise.md").read_text()
    for part in (script.FACTS, script.CELLS, script.CHECK, script.HIDDEN):
        assert part.format(name="mean_square").strip() in guide


@pytest.mark.parametrize(
    "arguments",
    [
        ("09_none", "x"),
        (ID, "no name"),
        (ID, "class"),
        (ID, "repeat_kv"),
        (ID, "torch"),
        (ID, "check"),
        (ID, "train_tiny"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(arguments):
    before = (ROOT / "solutions" / f"{ID}.py").read_bytes()
    with pytest.raises(ValueError):
        script.new_exercise(*arguments)
    assert (ROOT / "solutions" / f"{ID}.py").read_bytes() == before
