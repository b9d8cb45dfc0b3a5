"""The facts about every exercise, read from `exercises/<notebook>.toml`, and its hints.

A file holds the notebook's `title` and one `[[exercise]]` table for each exercise, in order:

    [[exercise]]
    name = "repeat_kv"
    points = 2
    difficulty = 1          # 1 easy, 2 medium, 3 hard
    minutes = 10
    hints = ["…", "…", "…"]
    functions = ["repeat_kv"]   # only where a cell defines several names
    title = "Repeat the heads"  # optional, the name by default
"""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from course_lib.show import html_text, show

FOLDER = Path(__file__).parent / "exercises"
# Files that a notebook writes and that are handed in with it.
ATTACHMENTS = {"04_gsm8k_lora": ("gsm8k_results.json", "gsm8k_predictions.jsonl")}


@dataclass(frozen=True)
class Exercise:
    notebook: str  # notebook id, "01_gqa_moe"
    name: str  # name of the exercise, of its solution cell and of the first thing it defines
    title: str
    points: float
    difficulty: int  # 1 easy, 2 medium, 3 hard
    minutes: int
    hints: tuple[str, str, str]
    functions: tuple[str, ...]  # every name the cell defines for the tests, `name` first


def notebook_ids() -> list[str]:
    """The ids of all notebooks that have exercises, in order."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def notebook_title(notebook_id: str) -> str:
    """The title of a notebook."""
    return _read(notebook_id)[0]


def attachments(notebook_id: str) -> tuple[str, ...]:
    """The names of the files that are handed in beside a notebook; most have none."""
    return ATTACHMENTS.get(notebook_id, ())


def load_exercises(notebook_id: str, folder: Path | None = None) -> dict[str, Exercise]:
    """The exercises of one notebook by name, in the notebook's order.

    `folder` is where the TOML files are, the package's own by default.
    LookupError when there is no such notebook, ValueError when its file is not well-formed.
    """
    return dict(_read_file((folder or FOLDER) / f"{notebook_id}.toml")[1])


def find_exercise(name: str) -> Exercise:
    """The exercise called `name`, from whichever notebook; LookupError with a suggestion."""
    found = [e for notebook in notebook_ids() if (e := _read(notebook)[1].get(name))]
    if len(found) > 1:
        homes = ", ".join(e.notebook for e in found)
        raise ValueError(f"exercise {name!r} is defined in several notebooks: {homes}")
    if not found:
        names = [n for notebook in notebook_ids() for n in _read(notebook)[1]]
        near = difflib.get_close_matches(str(name), names, n=1)
        meant = f"; did you mean {near[0]!r}?" if near else f"; there are: {', '.join(names)}"
        raise LookupError(f"there is no exercise called {name!r}{meant}")
    return found[0]


def _read(notebook_id):
    # FOLDER is part of the key, so that another folder never meets this one's cache.
    return _read_file(FOLDER / f"{notebook_id}.toml")


@cache
def _read_file(path):
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml"))) or "none"
        raise LookupError(f"there is no notebook {path.stem!r}; there are: {there}")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name} is not valid TOML: {error}") from None
    title = data.get("title")
    if not isinstance(title, str):
        raise ValueError(f'{path.name}: give the notebook a title = "…" at the top')
    exercises = {}
    for number, entry in enumerate(data.get("exercise", []), 1):
        exercise = _exercise(path, number, entry)
        if exercise.name in exercises:
            raise ValueError(f"{path.name}: two exercises are called {exercise.name!r}")
        exercises[exercise.name] = exercise
    return title, exercises


def _exercise(path, number, entry):
    where = f"{path.name}, exercise {number} ({entry.get('name', 'without a name')})"

    def need(condition, message):
        if not condition:
            raise ValueError(f"{where}: {message}")

    known = {"name", "title", "points", "difficulty", "minutes", "hints", "functions"}
    need(not (unknown := sorted(set(entry) - known)), f"unknown key {', '.join(unknown)}")
    name, hints = entry.get("name"), entry.get("hints")
    points, minutes = entry.get("points"), entry.get("minutes")
    need(isinstance(name, str) and name.isidentifier(), "name must be a Python name")
    need(type(points) in (int, float) and points >= 0, "points must be a number, 0 or more")
    need(entry.get("difficulty") in (1, 2, 3), "difficulty must be 1, 2 or 3")
    need(type(minutes) is int and minutes > 0, "minutes must be a whole number above 0")
    texts = isinstance(hints, list) and all(isinstance(h, str) and h.strip() for h in hints)
    need(texts and len(hints) == 3, "hints must be a list of exactly 3 texts")
    functions = tuple(entry.get("functions", [name]))
    need(functions[:1] == (name,), f"functions must start with {name!r}")
    return Exercise(
        notebook=path.stem,
        name=name,
        title=entry.get("title", name),
        points=points,
        difficulty=entry["difficulty"],
        minutes=minutes,
        hints=tuple(h.strip() for h in hints),
        functions=functions,
    )


_SHOWN: dict[str, int] = {}  # exercise -> number of hints shown in this session


def hint(name: str) -> None:
    """Show the next hint of an exercise: the first call shows hint 1, the next one hint 2, …"""
    exercise = find_exercise(name)
    level = min(_SHOWN.get(name, 0) + 1, 3)
    _SHOWN[name] = level
    after = f'for the next one, run hint("{name}") again' if level < 3 else "this is the last one"
    head, text = f"{name}, hint {level} of 3", exercise.hints[level - 1]
    show(
        f'<div style="border-left:3px solid #2b88c8; padding:2px 10px; margin:4px 0px">'
        f"<b>{html_text(head)}</b><br>{html_text(text)}"
        f'<br><span style="font-size:90%">({html_text(after)})</span></div>',
        f"{head}: {text}\n({after})",
    )
