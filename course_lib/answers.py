"""Find the answers in a notebook, whatever became of it on the way.

An answer is looked for by the cell's grade_id, then by its comment `# exercise: NAME`, then by
the names it defines. Colab, retyped cells, copies and splits lose the first, then the second.
`course submit` and the grader use this same code, so what the one finds the other finds too.

Notebooks are plain dicts here (an nbformat NotebookNode is one): students need no nbformat.
"""

import ast
import itertools
import json
import re
import symtable
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

MAX_CELLS = 5_000
MAX_SOURCE = 100_000  # characters of one cell that are looked into
MAX_PARSED = 400_000  # characters of a notebook that are given to Python's parser
MAX_PARSED = 400_000  # characters of a notebook that are given to Python's parser
ANCHOR = re.compile(r"^[ \t]*#[ \t]*exercise:[ \t]*(\w+)[ \t]*$", re.MULTILINE)
MAGIC = re.compile(r"^([ \t]*)(?:[A-Za-z_][\w., \t]*=[ \t]*)?[%!?].*$", re.MULTILINE)
DEFINITION = re.compile(r"^[ \t]*(?:async )?(?:def|class) +(\w+)", re.MULTILINE)
NBGRADER_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"


class Unreadable(Exception):
    """A submission that cannot be graded. `status`: "missing" or "unreadable"; one line of text."""

    def __init__(self, status: str, message: str):
        super().__init__(status, message)
        self.status, self.message = status, message

    def __str__(self):
        return self.message


@dataclass
class Found:
    """The answers of a notebook.

    sources: exercise -> the source of its answer, with what it needs from the student's other
    cells in front. report: one line for everything that was not as handed out.
    missing: exercises of which no cell was found at all; blank: those left as handed out.
    """

    sources: dict[str, str] = field(default_factory=dict)
    report: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    blank: set[str] = field(default_factory=set)


def find_answers(cells: list[dict], blank_cells: list[dict]) -> Found:
    """The answers in a student's `cells` (see `read_cells`), for a notebook handed out as
    `blank_cells`."""
    found = Found()
    parse = _parser(MAX_PARSED)
    pieces = _pieces(cells, parse)
    answers = _answers(pieces, blank_cells, found)
    _report_changed_tests(cells, blank_cells, found.report)
    rescued = _names_from_elsewhere(pieces, answers, blank_cells, found.report, parse)
    blanks = {grade_id(cell): cell["source"] for cell in blank_cells if is_solution(cell)}
    for name, (text, _) in answers.items():
        changed = text != blanks[name] and rescued.get(name)
        found.sources[name] = _put_first(rescued[name], text) if changed else text
    return found


def grade_id(cell) -> str | None:
    """The grade_id in a cell's metadata, if it is a text."""
    nbgrader = cell["metadata"].get("nbgrader")
    name = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
    return name if isinstance(name, str) else None


def is_solution(cell) -> bool:
    """Whether a cell of a handed-out notebook is one to write an answer into."""
    return bool(cell["metadata"].get("nbgrader", {}).get("solution"))


def judged_cells(cells) -> list[tuple[str, str | None, str]]:
    """The cells of a judged run in order: ("setup", None, source) or ("solution", name, source)."""
    steps = []
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        if is_solution(cell):
            steps.append(("solution", grade_id(cell), cell["source"]))
        elif "setup" in cell["metadata"].get("tags", []):
            steps.append(("setup", None, cell["source"]))
    return steps


def top_level_names(tree: ast.Module) -> set[str]:
    """The names that the top level of a module binds: imports, defs, classes and assignments."""
    names = set()
    for statement in tree.body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(statement.name)
            case ast.Import() | ast.ImportFrom():
                names |= {a.asname or a.name.split(".")[0] for a in statement.names}
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                targets = statement.targets if type(statement) is ast.Assign else [statement.target]
                nodes = (node for target in targets for node in ast.walk(target))
                names |= {n.id for n in nodes if type(n) is ast.Name and type(n.ctx) is ast.Store}
    return names


# ------------------------------------------------------------------------------------- reading


def read_cells(data: bytes) -> tuple[list[dict], list[str]]:
    """The cells of a notebook file as {cell_type, metadata, source}, and report lines."""

    def need(condition, message):
        if not condition:
            raise Unreadable("unreadable", message)

    need(data.strip(), "the file is empty")
    need(data[:2] not in (b"\xff\xfe", b"\xfe\xff"), "the file is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("unreadable", "the file is not UTF-8 text, so no notebook") from None
    try:
        # Numbers of any size are harmless: none is used but the format's.
        notebook = json.loads(text, parse_int=lambda digits: int(digits[:20]))
    except json.JSONDecodeError as error:
        raise Unreadable(
            "unreadable", f"not a notebook: broken JSON at line {error.lineno}; download it again"
        ) from None
    except (RecursionError, ValueError):
        raise Unreadable("unreadable", "not a notebook: its JSON is nested too deeply") from None
    need(isinstance(notebook, dict), "not a notebook: the file holds no JSON object")
    version = notebook.get("nbformat")
    need(type(version) is int, "not a notebook: it has no nbformat number")
    need(3 <= version <= 4, f"notebook format {version} is not known; save it as nbformat 4")
    report = []
    if version == 3:
        report.append("the notebook was in the old format 3; it was converted")
        sheets = notebook.get("worksheets")
        need(isinstance(sheets, list), "not a notebook: format 3 without worksheets")
        lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
        found = [cell for cells in lists if isinstance(cells, list) for cell in cells]
    else:
        found = notebook.get("cells")
        need(isinstance(found, list), "not a notebook: it has no list of cells")
    need(len(found) <= MAX_CELLS, f"the notebook has more than {MAX_CELLS} cells")
    cells = []
    for number, cell in enumerate(found, 1):
        cell = cell if isinstance(cell, dict) else {}
        source = cell.get("source", cell.get("input"))  # `input` in format 3
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(source, str):
            report.append(f"cell {number} holds no text; it was ignored")
            source = ""
        metadata = cell.get("metadata")
        cells.append(
            {
                "cell_type": cell.get("cell_type"),
                "metadata": metadata if isinstance(metadata, dict) else {},
                "source": _encodable(source),
            }
        )
    return cells, report


def printable(text: str) -> str:
    """A file's name for a message: one short line."""
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


def _encodable(text: str) -> str:
    # JSON may hold half a surrogate pair or a null, which neither a file nor Python's parser takes.
    return text.encode("utf-8", "replace").decode().replace("\0", "�").replace("\r\n", "\n")


# ------------------------------------------------------------------------- finding the answers


@dataclass(eq=False)
class _Piece:
    """A part of the student's notebook: a cell, or the part of a cell from one anchor on."""

    cells: tuple[int, ...]  # the numbers, from 1, of the cells it is from
    kind: str
    source: str
    parse: Callable  # see _parser
    grade_id: str | None = None
    anchor: str | None = None

    @cached_property
    def tree(self) -> ast.Module | None:
        return self.parse(self.source)

    @cached_property
    def names(self) -> frozenset:
        """What it defines at its top level; in broken Python, its functions and classes."""
        if self.tree is not None:
            return frozenset(top_level_names(self.tree))
        return frozenset(DEFINITION.findall(self.source)) if _small(self.source) else frozenset()

    def defines(self, names) -> frozenset:
        """Those of `names` that it defines. Most cells name none of them and are not parsed."""
        return self.names & names if any(n in self.source for n in names) else frozenset()


def _pieces(cells, parse) -> list[_Piece]:
    """The student's cells, cut at every anchor: cells that were merged come apart again."""
    pieces = []
    for number, cell in enumerate(cells, 1):
        mark = grade_id(cell)
        source, kind = cell["source"], cell["cell_type"]
        starts = [match.start() for match in ANCHOR.finditer(source)] if _small(source) else []
        starts = [0, *starts[1:], len(source)]
        for start, end in itertools.pairwise(starts):
            text = source[start:end].strip("\n")
            anchor = ANCHOR.search(text) if _small(text) else None
            # In a merged cell the metadata belongs to the first part alone.
            own_id = mark if start == 0 or anchor is None else None
            name = anchor[1] if anchor else None
            pieces.append(_Piece((number,), kind, text, parse, own_id, name))
    return pieces


def _small(text):
    return len(text) <= MAX_SOURCE


def _parser(budget: int):
    """A function that gives Python's syntax tree of a text, or None: not Python, or too much.

    It parses `budget` characters in all: what a student hands in must not keep the grader busy.
    IPython's magics and shell lines are taken as `pass`.
    """

    def parse(source: str) -> ast.Module | None:
        nonlocal budget
        budget -= len(source)
        return _tree(source) if _small(source) and budget >= 0 else None

    return parse


def _tree(source: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a student's text warns
        for text in (source, MAGIC.sub(r"\1pass", source)):
            try:
                return ast.parse(text)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return None


def _answers(pieces, blank_cells, found) -> dict[str, tuple[str, list[int]]]:
    """Name of each solution cell -> (what the student wrote, the numbers of the cells it is from).

    Fills found.missing and .blank and reports what was unusual.
    """
    blanks = {grade_id(cell): cell for cell in blank_cells if is_solution(cell)}
    wanted = {name: _wanted_names(cell) for name, cell in blanks.items()}
    # What was handed out is nobody's answer, though an explanation may show a `def`.
    given = {cell["source"].strip() for cell in blank_cells}
    own = [p for p in pieces if p.source.strip() not in given or p.grade_id or p.anchor]
    answers = {}
    for name, blank in blanks.items():
        if blank["cell_type"] != "code":
            answer = _written_answer(name, pieces, blank, blank_cells, found.report)
            seen = answer is not None
        else:
            answer, seen = _code_answer(name, own, blank, wanted, found.report)
        if answer is not None:
            answers[name] = answer
        elif seen:
            found.blank.add(name)
        else:
            found.missing.add(name)
            found.report.append(f"{name}: no cell with an answer was found")
        if answer is not None and is_blank(answer[0], blank):
            found.blank.add(name)
    return answers


def _wanted_names(blank) -> frozenset:
    """What a solution cell has to define: the functions and classes that were handed out."""
    tree = _tree(blank["source"]) if blank["cell_type"] == "code" else None
    defs = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(s.name for s in tree.body if isinstance(s, defs)) if tree else frozenset()


def is_blank(text, blank) -> bool:
    def bare(source):
        lines = [line.rstrip() for line in source.replace(NBGRADER_STUB, "").split("\n")]
        return [line for line in lines if line and line.strip() != "raise NotImplementedError"]

    return bare(text) == bare(blank["source"])


def _code_answer(name, pieces, blank, wanted, report):
    """((source, cell numbers) or None, whether any cell of this exercise was there)."""
    names = wanted[name]
    owned = [p for p in pieces if p.grade_id == name]
    anchored = [p for p in pieces if p.anchor == name and p.grade_id != name]
    others = [p for p in pieces if p.defines(names) and p not in owned and p not in anchored]
    if owned or anchored:  # another exercise's cell may define this name as well, and not mean it
        others = [p for p in others if p.anchor not in wanted and p.grade_id not in wanted]
    pools = {
        "its mark": [p for p in owned if p.anchor in (None, name)],
        "its comment `# exercise:`": anchored,
        "what it defines": others,
        "its mark, though it holds another exercise's comment": [
            p for p in owned if p.anchor not in (None, name)
        ],
    }
    found = [(how, _filled(pool, blank)) for how, pool in pools.items()]
    found = [(how, pool) for how, pool in found if pool]
    if not found:
        return None, bool(owned or anchored)
    complete = [(how, pool) for how, pool in found if names <= _union(pool)]
    how, pool = (complete or found)[0]
    chosen = _choose(pool, names)
    if not complete:  # a cell with two functions of which one was moved elsewhere
        for _, more in found:
            chosen += [p for p in more if (p.names & names) - _union(chosen)]
    numbers = sorted({n for p in chosen for n in p.cells})
    used = f"cell{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
    rest = sorted({n for _, pool in found for p in pool for n in p.cells} - set(numbers))
    if rest:
        ignored = ", ".join(map(str, rest[:8]))
        report.append(f"{name}: {used} was used; cell {ignored} also looked like an answer")
    elif len(numbers) > 1:
        report.append(f"{name}: its parts in {used} were joined")
    if how != "its mark":
        report.append(f"{name}: {used} was recognised by {how}")
    if any(p.kind != "code" for p in chosen):
        report.append(f"{name}: {used} was no code cell; its text was taken as code")
    if not names <= _union(chosen):
        lost = ", ".join(sorted(names - _union(chosen)))
        report.append(f"{name}: the answer does not define {lost}")
    return ("\n".join(_unfenced(p) for p in chosen), numbers), True


def _filled(pool, blank):
    return [p for p in pool if p.source.strip() and not is_blank(p.source, blank)]


def _union(pool) -> set:
    return {name for piece in pool for name in piece.names}


def _choose(pool, names) -> list[_Piece]:
    """Of several cells that claim one exercise: the parts of a split one, or the last copy."""
    pool = _joined(pool)
    whole = [p for p in pool if p.tree is not None and names and names <= p.names]
    whole = whole or [p for p in pool if names and names <= p.names]
    if whole:
        return whole[-1:]
    last = {name: p for p in pool for name in p.names & names}  # the last to define each name
    return [p for p in pool if not p.names & names or any(last[n] is p for n in p.names & names)]


def _joined(pool) -> list[_Piece]:
    """Join neighbours that are Python only together: a cell split in the middle of a function."""
    done, pool = [], list(pool)
    while pool:
        piece = pool.pop(0)
        for count in range(1, min(len(pool), 6) + 1):
            group = [piece, *pool[:count]]
            if all(p.tree is not None for p in group):
                continue
            numbers = tuple(n for p in group for n in p.cells)
            text = "\n".join(p.source for p in group)
            whole = replace(piece, cells=numbers, source=text)
            if whole.tree is not None:
                piece = whole
                del pool[:count]
                break
        done.append(piece)
    return done


def _unfenced(piece) -> str:
    """The code in a cell that became text: without the ``` lines around it."""
    if piece.kind == "code" or piece.tree is not None:
        return piece.source
    fenced = re.search(r"^```\w*\n(.*?)^```", piece.source, re.M | re.S)
    return fenced[1] if fenced else piece.source


def _written_answer(name, pieces, blank, blank_cells, report):
    """(text, cell numbers) of an answer in words, or None."""
    owned = [p for p in pieces if p.grade_id == name]
    filled = _filled(owned, blank)
    if owned:
        if len(filled) > 1:
            numbers = ", ".join(str(p.cells[0]) for p in filled)
            report.append(f"{name}: the answers in cells {numbers} were joined")
        chosen = filled or owned[-1:]
        return "\n\n".join(p.source for p in chosen), [p.cells[0] for p in chosen]
    # Without its mark: what stands where it was handed out, after the cell that comes before it.
    given = [cell["source"].strip() for cell in blank_cells]
    place = next(index for index, cell in enumerate(blank_cells) if cell is blank)
    start = [i for i, p in enumerate(pieces) if place and p.source.strip() == given[place - 1]]
    chosen = []
    for piece in pieces[start[-1] + 1 :] if start else []:
        if piece.kind == "code" or (piece.source.strip() in given and piece.source.strip()):
            break
        chosen.append(piece)
    chosen = [p for p in chosen if p.source.strip() and p.source.strip() != given[place]]
    if not chosen:
        return None
    numbers = [p.cells[0] for p in chosen]
    report.append(f"{name}: taken from cell {numbers[0]}, where it was handed out")
    return "\n\n".join(p.source for p in chosen), numbers


# ---------------------------------------------------------------------- tests, and names elsewhere


def _report_changed_tests(cells, blank_cells, report):
    marked = {name for cell in cells if (name := grade_id(cell))}
    texts = {cell["source"].strip() for cell in cells}
    for cell in blank_cells:
        name = grade_id(cell)
        if name is None or is_solution(cell) or cell["source"].strip() in texts:
            continue
        what = "was changed" if name in marked else "was not there"
        report.append(f"{name} {what}; the instructor's was put in its place")


def _names_from_elsewhere(pieces, answers, blank_cells, report, parse) -> dict[str, list[str]]:
    """Exercise -> statements from the student's other cells that its answer cannot do without.

    A helper in a cell of its own or an import added to the set-up cell would be lost with the
    cell, and with it an honest answer. So where an answer needs a name that neither the set-up
    cells nor any answer defines, the statement that defines it (import, def, class or assignment
    at the top level, the last one wins) is put in front of that answer, with what it needs in turn.
    """
    import builtins

    used = {number for _, numbers in answers.values() for number in numbers}
    known = set(dir(builtins)) | {"get_ipython", "display", "__file__", "In", "Out", "_"}
    for kind, _, text in judged_cells(blank_cells):
        tree = _tree(text) if kind == "setup" else None
        known |= top_level_names(tree) if tree else set()
    trees = {name: parse(text) for name, (text, _) in answers.items()}
    trees = {name: tree for name, tree in trees.items() if tree is not None}
    for tree in trees.values():
        known |= top_level_names(tree)
    needs = {name: _free_names(tree) - known for name, tree in trees.items()}
    defined = {}  # name -> (piece, statement)
    for piece in pieces if any(needs.values()) else ():
        # What stands in a cell that was used is with its answer already.
        if piece.kind != "code" or piece.tree is None or used & set(piece.cells):
            continue
        for statement in piece.tree.body:
            names = top_level_names(ast.Module([statement], [])) - known
            defined |= dict.fromkeys(names, (piece, statement))
    rescued = {}
    for name, todo in needs.items():
        needed = {}
        while todo := {n for n in todo if n in defined} - set(needed):
            needed |= {n: defined[n] for n in todo}
            found = [_free_names(ast.Module([defined[n][1]], [])) for n in todo]
            todo = set().union(*found) - known
        if needed:
            places = {(piece.cells[0], s.lineno): (piece, s) for piece, s in needed.values()}
            rescued[name] = [_statement(*places[place]) for place in sorted(places)]
            cells = ", ".join(str(n) for n in sorted({number for number, _ in places}))
            names = ", ".join(sorted(needed))
            report.append(
                f"{name}: it needs {names}, which was kept from the student's cell {cells}"
            )
    return rescued


def _statement(piece, statement) -> str:
    """The text of a top-level statement with its decorators."""
    first = min([statement.lineno, *(d.lineno for d in getattr(statement, "decorator_list", ()))])
    return "\n".join(piece.source.split("\n")[first - 1 : statement.end_lineno])


def _free_names(tree) -> set[str]:
    """The global names that a piece of code reads, in its functions and classes too."""
    try:
        table = symtable.symtable(ast.unparse(tree), "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names, tables = set(), [table]
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        top = inner.get_type() == "module"
        read = (s for s in inner.get_symbols() if s.is_referenced())
        names |= {s.get_name() for s in read if top or s.is_global()}
    return names


def _put_first(statements, source) -> str:
    note = "# Kept from other cells of this notebook: the answer below needs it."
    future = [s for s in statements if s.lstrip().startswith("from __future__")]
    others = [s for s in statements if s not in future]
    lines = source.split("\n")
    ends = [i for i, line in enumerate(lines, 1) if line.startswith("from __future__ import")]
    head = ends[-1] if ends else 0
    return "\n".join([*future, *lines[:head], note, *others, "", *lines[head:]])
