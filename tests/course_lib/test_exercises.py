import pytest

from course_lib import exercises
from course_lib.exercises import find_exercise, hint, load_exercises, notebook_ids

GOOD = """
title = "A notebook"
[[exercise]]
name = "repeat"
points = 2
difficulty = 1
minutes = 10
hints = ["one", "two `x`", "three"]
[[exercise]]
name = "best"
points = 1.5
difficulty = 3
minutes = 5
hints = ["a", "b", "c"]
functions = ["best", "worst"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(exercises, "FOLDER", tmp_path)
    monkeypatch.setattr(exercises, "_SHOWN", {})
    (tmp_path / "01_a.toml").write_text(GOOD)
    return tmp_path


def test_reads_in_order(folder):
    found = load_exercises("01_a")
    assert list(found) == ["repeat", "best"]
    assert found["repeat"].notebook == "01_a" and found["repeat"].functions == ("repeat",)
    assert found["best"].functions == ("best", "worst") and found["best"].points == 1.5
    assert found["best"].hints == ("a", "b", "c") and found["best"].difficulty == 3
    assert exercises.notebook_title("01_a") == "A notebook"
    assert find_exercise("best") == found["best"]


def test_a_caller_cannot_spoil_the_registry(folder):
    load_exercises("01_a").clear()
    assert len(load_exercises("01_a")) == 2


def test_unknown_names_get_a_suggestion(folder):
    with pytest.raises(LookupError, match="did you mean 'repeat'"):
        find_exercise("repeet")
    with pytest.raises(LookupError, match="there are: 01_a"):
        load_exercises("02_b")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"three"]', "]", "exactly 3"),
        ('"three"', '""', "exactly 3"),
        ("points = 2", "points = -1", "points"),
        ("points = 2", "points = true", "points"),
        ("difficulty = 1", "difficulty = 4", "difficulty"),
        ("minutes = 10", "minutes = 0", "minutes"),
        ('name = "repeat"', 'name = "re peat"', "Python name"),
        ('name = "repeat"', 'name = "best"', "two exercises"),
        ('functions = ["best", ', 'functions = ["wurst", ', "must start with"),
        ("minutes = 5", 'minutes = 5\ncolour = "red"', "unknown key colour"),
        ('title = "A notebook"', "", "title"),
        ("points = 2", "points = ", "not valid TOML"),
    ],
)
def test_faults_are_named(folder, old, new, message):
    assert old in GOOD
    (folder / "01_a.toml").rename(folder / "02_b.toml")
    (folder / "02_b.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(ValueError, match=message) as caught:
        load_exercises("02_b")
    assert "02_b.toml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_name_in_two_notebooks_is_a_fault(folder):
    (folder / "02_b.toml").write_text(GOOD)
    with pytest.raises(ValueError, match="several notebooks: 01_a, 02_b"):
        find_exercise("best")


def test_hints_come_one_after_another(folder, capsys):
    for level, text in [(1, "one"), (2, "two `x`"), (3, "three"), (3, "three")]:
        hint("repeat")
        out = capsys.readouterr().out
        assert f"repeat, hint {level} of 3: {text}" in out
    hint("best")
    assert "hint 1 of 3: a" in capsys.readouterr().out


def test_the_course_files_are_well_formed():
    for notebook in notebook_ids():
        for name in load_exercises(notebook):
            assert find_exercise(name).notebook == notebook
        assert sum(e.points for e in load_exercises(notebook).values()) == 20, notebook
