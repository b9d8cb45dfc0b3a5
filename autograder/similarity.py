"""How alike two answers are, by the shape of their code: comments, layout and the names of local
variables do not count.

Two uses, both hints where to look and no more: which known mistake a wrong answer resembles, and
which answers of a class are nearly the same. Compared are short runs of syntax tree nodes (as in
"winnowing", Schleimer, Wilkerson, Aiken 2003), after what everybody was given has been taken away.
"""

import ast
import csv
import io
import re
import warnings
from collections import Counter, defaultdict
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from autograder.record import csv_text, write_atomically

RUN = 4  # nodes in a run
ALIKE = 0.9  # of all runs of two answers, for "near-identical"
FEWEST = 25  # runs of one's own: shorter answers are alike without any help
RARE = 0.1  # a run that more of the class has says nothing
RESEMBLES = 0.6
MOST_SOURCE = 20_000  # characters that are looked at
COLUMNS = ("assignment", "exercise", "similarity", "same text", "students")


@lru_cache(maxsize=50_000)
def shape(source: str) -> tuple[str, ...]:
    """The nodes of the syntax tree in order, with local names numbered; without docstrings and
    annotations. Of code that does not parse, its words."""
    source = source[:MOST_SOURCE]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" is the student's business
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return tuple(re.findall(r"\w+|[^\w\s]", re.sub(r"#.*", "", source)))
    bound = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    bound |= {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    numbers, found = {}, []

    def name(text):
        return str(numbers.setdefault(text, len(numbers))) if text in bound else text

    stack = [tree]  # not recursive: 1+1+1+... is as deep as it is long
    while stack:
        node = stack.pop()
        kind = type(node).__name__
        match node:
            case ast.expr_context():
                continue
            case ast.Expr(value=ast.Constant(value=str())):
                continue
            case ast.Name():
                kind = f"Name {name(node.id)}"
            case ast.arg():
                found.append(f"arg {name(node.arg)}")
                continue
            case ast.Attribute():
                kind = f".{node.attr}"
            case ast.Constant():
                kind = repr(node.value)[:80]
            case ast.keyword():
                kind = f"{node.arg}="
            case ast.FunctionDef() | ast.ClassDef():
                kind = f"{kind} {node.name}"
        found.append(kind)
        children = [
            child
            for field, value in ast.iter_fields(node)
            if field not in ("annotation", "returns")
            for child in (value if isinstance(value, list) else [value])
            if isinstance(child, ast.AST)
        ]
        stack += reversed(children)
    return tuple(found)


def runs(source: str, given: Counter | None = None) -> Counter:
    """How often each run of nodes occurs, without those in `given`."""
    nodes = shape(source)
    counted = Counter(nodes[i : i + RUN] for i in range(max(1, len(nodes) - RUN + 1)))
    return counted - given if given else counted


def alike(one: Counter, other: Counter) -> float:
    """The share of their runs that two answers have in common, 0..1 (Dice's coefficient)."""
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


# ------------------------------------------------------------------------------- known mistakes


def known_mistakes(bank: Path, notebook: str) -> dict[str, tuple[dict, list]]:
    """exercise -> (name of a mistake -> its runs, runs of right answers), of a bank."""
    found = {}
    for folder in sorted((Path(bank) / notebook).glob("*")):
        wrong = {p.stem: runs(p.read_text("utf-8")) for p in sorted(folder.glob("wrong/*.py"))}
        right = [runs(p.read_text("utf-8")) for p in sorted(folder.glob("right/*.py"))]
        if wrong:
            found[folder.name] = wrong, right
    return found


def resembled(source: str, wrong: dict, right: list) -> tuple[str, float] | None:
    """(name, similarity) of the known mistake that this wrong answer is most alike, if it is closer
    to that than to every known right answer; else None."""
    mine = runs(source)
    best = max(((alike(mine, other), name) for name, other in wrong.items()), default=(0.0, ""))
    nearest_right = max((alike(mine, other) for other in right), default=0.0)
    if best[0] < RESEMBLES or best[0] <= nearest_right:
        return None
    return best[1], best[0]


# ------------------------------------------------------------------------ near-identical answers


def near_identical(answers: dict[str, str], blank: str = "") -> list[tuple[float, bool, list[str]]]:
    """Groups of students whose answers to one exercise are nearly the same.

    answers: student -> source. blank: the cell as handed out, which is taken away. Returned are
    (similarity of the least alike pair that was found, whether all have the same text, students).
    Answers that are short, and runs that more than a tenth of the class has, do not count.
    """
    given = runs(blank) if blank else Counter()
    same_shape = defaultdict(list)  # exact copies first: they count as one answer
    for student, source in sorted(answers.items()):
        if source.strip() != blank.strip():
            same_shape[shape(source)].append(student)
    kinds = list(same_shape.values())
    counted = [runs(answers[kind[0]], given) for kind in kinds]
    most = max(2, int(RARE * len(answers)))
    places = defaultdict(list)
    for index, counts in enumerate(counted):
        if counts.total() >= FEWEST:
            for run in counts:
                places[run].append(index)
    shared = Counter()
    for where in places.values():
        if len(where) <= most:
            shared.update(combinations(where, 2))
    group = list(range(len(kinds)))  # index -> the first of its group
    least = {}
    for (a, b), rare in shared.items():
        if rare * 5 < FEWEST or (close := alike(counted[a], counted[b])) < ALIKE:
            continue
        first, second = sorted((group[a], group[b]))
        group = [first if g == second else g for g in group]
        least[first] = min(close, least.pop(second, 1.0), least.get(first, 1.0))
    members = defaultdict(list)
    for index, first in enumerate(group):
        members[first] += kinds[index]
    found = []
    for first, students in members.items():
        if len(students) < 2 or counted[first].total() < FEWEST:
            continue
        texts = {answers[s].strip() for s in students}
        # The one natural way to write it: many have the shape, and each a text of his own.
        if len(students) > most and len(texts) > len(students) / 2:
            continue
        found.append((least.get(first, 1.0), len(texts) == 1, sorted(students)))
    return sorted(found, key=lambda g: (-g[0], not g[1], g[2]))


def write_csv(out, found) -> Path:
    """Write similar.csv under `out`; found: (assignment, exercise) -> groups of near_identical."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for (assignment, exercise), groups in sorted(found.items()):
        for similarity, same, students in groups:
            names = csv_text("; ".join(students))
            row = (assignment, exercise, f"{similarity:.2f}", "yes" if same else "no", names)
            table.writerow(row)
    path = Path(out) / "similar.csv"
    write_atomically(path, text.getvalue())
    return path
