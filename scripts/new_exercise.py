"""Start a new exercise: every part of it, small and working, in the places where they belong.

    make new-exercise NOTEBOOK=01_gqa_moe NAME=mean_square

adds to the notebook's end an exercise that is complete already (the mean of squares, the first
half of RMSNorm). Then change each part into yours; docs/new_exercise.md goes through them.
"""

import argparse
import keyword
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

FACTS = """
[[exercise]]
name = "{name}"
points = 1
difficulty = 1
minutes = 5
hints = [
    "Square every entry first, then average over the last axis only.",
    "`mean` takes the axis as `dim`; in half precision, convert before you square.",
    "`x.float().square().mean(dim=-1)`, then back to the type that `x` has.",
]
"""

CELLS = '''
# %% [markdown] about="{name}"
# **Why.** RMSNorm divides every vector by its root mean square. This is the part under the root.
#
# **Mathematics.** Over the last axis of length $d$: $\\frac{{1}}{{d}} \\sum_i x_i^2$.
#
# By hand: $(3, 4)$ gives $(9 + 16) / 2 = 12.5$.


# %% exercise="{name}"
# exercise: {name}
def {name}(x):
    """The mean of the squares over the last axis.

    x: (..., d), floating; not modified
    Returns (...), of x's dtype; computed in float32 or better.
    """
    ### BEGIN SOLUTION
    return x.float().square().mean(dim=-1).to(x.dtype)
    ### END SOLUTION


# %% test="{name}"
check("{name}", {name})
### BEGIN HIDDEN TESTS
hidden("{name}")
### END HIDDEN TESTS
'''

CHECK = """

@visible("{name}")
def {name}_cases({name}):
    x = torch.tensor([[3.0, 4.0], [1.0, 0.0]])
    yield Case(
        "the example by hand: (3, 4) gives 12.5",
        call="{name}(x)   # x (2, 2)",
        got=lambda: {name}(x),
        # Slow and obvious: a loop over numbers, no line of the solution.
        expected=torch.tensor([sum(v * v for v in row) / len(row) for row in x.tolist()]),
        mistakes=[
            ("you averaged over the first axis", torch.tensor([5.0, 8.0])),
            ("your result is its own root", torch.tensor([12.5, 0.5]).sqrt()),
        ],
        hint=1,
        unchanged=[x],
    )
    half = torch.tensor([300.0, 0.0, 0.0], dtype=torch.float16)
    yield Case(
        "in float16 300² = 90,000 is too large, but the mean, 30,000, is not",
        call="{name}(half)   # half (3,), float16: 300, 0, 0",
        got=lambda: {name}(half),
        expected=torch.tensor(30000.0, dtype=torch.float16),
        rtol=1e-2,
        hint=2,
    )
"""

HIDDEN = """

# ---------------------------------------------------------------- {name}


@hidden(
    "{name}",
    "the mean of squares over the last axis",
    weight=2,
    core=True,
    hint="Check the axis on a matrix that is not square.",
)
def {name}_values(student, draw):
    x = draw.normal(3, 4, 7)
    check_close(student.{name}(x), (x * x).sum(dim=-1) / 7)


@hidden("{name}", "half precision keeps its type", hint="Compute in float32, then convert.")
def {name}_half(student, draw):
    x = draw.normal(5, 64).bfloat16()
    check_close(student.{name}(x), (x.double() ** 2).mean(-1).bfloat16(), rtol=2e-2)
    y = torch.zeros(4, 6, dtype=torch.float16)
    y[:, 2] = draw.uniform(270, 500, 4)  # squares above 65,504, means below
    check_close(student.{name}(y), (y.double() ** 2).mean(-1).half(), rtol=2e-2)


@hidden("{name}", "the argument is not modified", hint="No operation that ends in _.")
def {name}_pure(student, draw):
    x = draw.normal(2, 5)
    held = student.put(x)
    first = student.{name}(held)
    check_close(student.{name}(held), first)
"""

ANSWERS = {
    "wrong/first_axis.py": "    return x.float().square().mean(dim=0).to(x.dtype)\n",
    "wrong/root.py": "    return x.float().square().mean(dim=-1).sqrt().to(x.dtype)\n",
    "wrong/in_place.py": "    return x.square_().mean(dim=-1)\n",
    "wrong/overflow.py": "    return x.square().mean(dim=-1)\n",
    "right/einsum.py": (
        "    v = x.double()\n"
        '    return (torch.einsum("...i,...i->...", v, v) / x.shape[-1]).to(x.dtype)\n'
    ),
    "right/power.py": "    return (x.float() ** 2).mean(-1).to(x.dtype)\n",
}
ROW = re.compile(r"^# \| (\d+) \| `.*\n", re.MULTILINE)  # of the table on the first page


def new_exercise(notebook_id: str, name: str, root: Path = ROOT) -> list[Path]:
    """Add the parts of exercise `name` at the end of a notebook; returns the files touched.

    ValueError when the notebook does not exist or the name is taken or no Python name.
    """
    module = notebook_id.partition("_")[2]
    bank = root / "autograder" / "mutants" / notebook_id / name
    parts = {
        root / "course_lib" / "exercises" / f"{notebook_id}.toml": FACTS,
        root / "solutions" / f"{notebook_id}.py": CELLS,
        root / "course_lib" / "checks" / f"{module}.py": CHECK,
        root / "autograder" / "hidden" / f"{notebook_id}.py": HIDDEN,
    }
    for path in parts:
        if not path.is_file():
            have = sorted(p.stem for p in (root / "solutions").glob("[0-9]*.py"))
            raise ValueError(f"there is no notebook {notebook_id!r} (there are {', '.join(have)})")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{name!r} is no Python name that a function can have")
    if any(f'name = "{name}"' in p.read_text() for p in (root / "course_lib/exercises").glob("*")):
        raise ValueError(f"there is an exercise {name!r} already")
    cells = (root / "solutions" / f"{notebook_id}.py").read_text(encoding="utf-8")
    if re.search(rf"(\bimport\b.*|\bas |\bdef |\bclass |^){name}\b", cells, re.MULTILINE):
        raise ValueError(f"the notebook has something called {name!r} already")
    for path, text in parts.items():
        old = path.read_text(encoding="utf-8").rstrip("\n")
        path.write_text(old + "\n" + text.format(name=name), encoding="utf-8")
    solution = root / "solutions" / f"{notebook_id}.py"
    text = solution.read_text(encoding="utf-8")
    last = list(ROW.finditer(text))[-1]
    row = f"# | {int(last[1]) + 1} | `{name}` | the mean of squares | 1 |\n"
    solution.write_text(text[: last.end()] + row + text[last.end() :], encoding="utf-8")
    for file, body in ANSWERS.items():
        path = bank / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# exercise: {name}\ndef {name}(x):\n{body}", encoding="utf-8")
        parts[path] = ""
    return list(parts)


def main() -> int:
    parser = argparse.ArgumentParser(description="Start a new exercise at the end of a notebook.")
    parser.add_argument("notebook", metavar="NOTEBOOK", help="for example 01_gqa_moe")
    parser.add_argument("name", metavar="NAME", help="of the exercise and of its function")
    options = parser.parse_args()
    if not options.notebook or not options.name:  # as make passes what it was not given
        parser.exit(1, "say both: make new-exercise NOTEBOOK=01_gqa_moe NAME=mean_square\n")
    try:
        touched = new_exercise(options.notebook, options.name)
    except ValueError as error:
        print(f"new exercise: {error}", file=sys.stderr)
        return 1
    print(*(path.relative_to(ROOT) for path in touched), sep="\n")
    facts = f"course_lib/exercises/{options.notebook}.toml"
    print(
        f"\nA notebook has 20 points: take one from another exercise, in {facts}\n"
        "and in the table on the notebook's first page; until then it does not build.\n"
        "Then change each part into yours (docs/new_exercise.md), and run:\n"
        f"autograder build, autograder selftest --notebook {options.notebook}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
