"""Rebuild a submission from the instructor's copy: only the answers are the student's.

Every cell comes from the instructor's source notebook; into its solution cells goes what the
student wrote, wherever and in whatever state it is found. What was done is told in plain lines.

An answer is looked for by the cell's grade_id, then by its comment `# exercise: NAME`, then by
the names it defines. Colab, retyped cells, copies and splits lose the first, then the second.
"""

import ast
import copy
import errno
import itertools
import json
import os
import re
import stat
import symtable
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

from autograder.build import judged_cells, nbgrader_options, top_level_names

MAX_BYTES = 20_000_000
MAX_CELLS = 5_000
MAX_SOURCE = 100_000  # characters of one cell that are looked into
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
class Restored:
    """A rebuilt submission.

    notebook: the instructor's notebook with the student's answers, no outputs.
    report: one line for everything that was not as handed out.
    missing: exercises whose solution cell was not found at all; blank: those left as handed out.
    sources: exercise -> the source of its answer, those of manual answers too.
    """

    notebook: object
    report: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    blank: set[str] = field(default_factory=set)
    sources: dict[str, str] = field(default_factory=dict)

    def judged_cells(self) -> list[tuple[str, str | None, str]]:
        """The judged run: ("setup", None, source) or ("solution", name, source), without missing
        exercises."""
        return [step for step in judged_cells(self.notebook) if step[1] not in self.missing]


# ------------------------------------------------------------------------------------- reading


def read_submission(path, root, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a submitted file, which must be a plain file below `root`.

    No component below `root` may be a symbolic link: it could name another student's work or a
    system file. A pipe or a device is refused without waiting for it.
    Unreadable says what is wrong in one line.
    """
    root, path = os.path.abspath(root), os.path.abspath(path)
    parts = os.path.relpath(path, root).split(os.sep)
    if parts[0] in (os.pardir, os.curdir):
        raise Unreadable("unreadable", "the path leaves the folder of submissions")
    name = _printable(parts[-1])
    folders = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    here = None
    try:
        here = os.open(root, folders)
        for part in parts[:-1]:
            inner = os.open(part, folders | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
        # Opening some devices has effects, so look first; what is read is checked again below.
        if not stat.S_ISREG(os.stat(parts[-1], dir_fd=here, follow_symlinks=False).st_mode):
            raise Unreadable("unreadable", f"{name} is not a plain file (a link, folder or device)")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        with open(os.open(parts[-1], flags, dir_fd=here), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("unreadable", f"{name} is not a plain file")
            data = file.read(max_bytes + 1)
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise Unreadable("missing", f"no {name} was handed in") from None
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Unreadable("unreadable", f"{name} is reached through a link") from None
        raise Unreadable("unreadable", f"{name} cannot be opened: {error.strerror}") from None
    except ValueError:
        raise Unreadable("unreadable", "the file's name cannot be used") from None
    finally:
        if here is not None:
            os.close(here)
    if len(data) > max_bytes:
        limit = f"{max_bytes / 1e6:g} MB"
        raise Unreadable("unreadable", f"{name} is larger than {limit}; clear its outputs")
    return data


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


def _parse(data: bytes) -> tuple[list[dict], list[str]]:
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


def _encodable(text: str) -> str:
    # JSON may hold half a surrogate pair or a null, which neither a file nor Python's parser takes.
    return text.encode("utf-8", "replace").decode().replace("\0", "�").replace("\r\n", "\n")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:80]


# ----------------------------------------------------------------------------------- restoring


def restore(data: bytes, source_notebook) -> Restored:
    """Rebuild the notebook in `data` (a file's bytes) from the instructor's source notebook.

    Unreadable when the bytes are no notebook; anything else a student can write is restored.
    A notebook without hidden("...") lines is another nbgrader course's: there the student's other
    cells stay as well, as in stock nbgrader.
    """
    cells, report = _parse(data)
    blank = blank_notebook(source_notebook)
    if not is_ours(source_notebook):
        return _restore_in_place(cells, report, source_notebook, blank)
    made = copy.deepcopy(source_notebook)
    restored = Restored(made, report)
    parse = _parser(MAX_PARSED)
    pieces = _pieces(cells, parse)
    answers = _answers(pieces, blank, restored)
    _report_changed_tests(cells, blank, restored)
    rescued = _names_from_elsewhere(pieces, answers, source_notebook, restored, parse)
    for cell, stub in zip(made.cells, blank.cells, strict=True):
        _clean(cell)
        nbgrader = cell.metadata.get("nbgrader", {})
        if not nbgrader.get("solution"):
            continue
        name = nbgrader["grade_id"]
        cell.source = answers[name][0] if name in answers else stub.source
        if cell.source != stub.source and rescued.get(name):
            cell.source = _put_first(rescued[name], cell.source)
        restored.sources[name] = cell.source
        # nbgrader says "No response" by comparing with the checksum of what was handed out.
        nbgrader["checksum"] = _checksum(stub)
    return restored


def is_ours(source_notebook) -> bool:
    """Whether the hidden tests of a notebook run in the judge: it has a line hidden("NAME")."""
    return any(hidden_exercise(cell) for cell in source_notebook.cells)


def hidden_exercise(cell) -> str | None:
    """The NAME in the line hidden("NAME") of a test cell, None for any other cell."""
    if cell.cell_type != "code" or not cell.metadata.get("nbgrader", {}).get("grade"):
        return None
    found = re.search(r'^hidden\("(\w+)"\)$', cell.source, re.MULTILINE)
    return found[1] if found else None


def blank_notebook(source_notebook):
    """What was handed out: the source notebook without solutions and hidden tests."""
    from nbgrader.preprocessors import ClearHiddenTests, ClearMarkScheme, ClearSolutions

    blank = copy.deepcopy(source_notebook)
    for step in (ClearSolutions(config=nbgrader_options()), ClearHiddenTests(), ClearMarkScheme()):
        blank, _ = step.preprocess(blank, {})
    return blank


def _clean(cell):
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None


def _checksum(cell) -> str:
    from nbgrader.utils import compute_checksum

    return compute_checksum(cell)


# ------------------------------------------------------------------------- finding the answers


def _pieces(cells, parse) -> list[_Piece]:
    """The student's cells, cut at every anchor: cells that were merged come apart again."""
    pieces = []
    for number, cell in enumerate(cells, 1):
        nbgrader = cell["metadata"].get("nbgrader")
        grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        grade_id = grade_id if isinstance(grade_id, str) else None
        source, kind = cell["source"], cell["cell_type"]
        starts = [match.start() for match in ANCHOR.finditer(source)] if _small(source) else []
        starts = [0, *starts[1:], len(source)]
        for start, end in itertools.pairwise(starts):
            text = source[start:end].strip("\n")
            anchor = ANCHOR.search(text) if _small(text) else None
            # In a merged cell the metadata belongs to the first part alone.
            own_id = grade_id if start == 0 or anchor is None else None
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


def _answers(pieces, blank, restored) -> dict[str, tuple[str, list[int]]]:
    """Name of each solution cell -> (what the student wrote, the numbers of the cells it is from).

    Fills restored.missing and .blank and reports what was unusual.
    """
    stubs = {
        cell.metadata.nbgrader["grade_id"]: cell
        for cell in blank.cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    wanted = {name: _wanted_names(cell) for name, cell in stubs.items()}
    # What was handed out is nobody's answer, though an explanation may show a `def`.
    given = {cell.source.strip() for cell in blank.cells}
    own = [p for p in pieces if p.source.strip() not in given or p.grade_id or p.anchor]
    answers = {}
    for name, stub in stubs.items():
        if stub.cell_type != "code":
            answer = _written_answer(name, pieces, stub, blank, restored.report)
            seen = answer is not None
        else:
            answer, seen = _code_answer(name, own, stub, wanted, restored.report)
        if answer is not None:
            answers[name] = answer
        elif seen:
            restored.blank.add(name)
        else:
            restored.missing.add(name)
            restored.report.append(f"{name}: no cell with an answer was found")
        if answer is not None and _is_blank(answer[0], stub):
            restored.blank.add(name)
    return answers


def _wanted_names(stub) -> frozenset:
    """What a solution cell has to define: the functions and classes that were handed out."""
    tree = _tree(stub.source) if stub.cell_type == "code" else None
    defs = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return frozenset(s.name for s in tree.body if isinstance(s, defs)) if tree else frozenset()


def _is_blank(text, stub) -> bool:
    def bare(source):
        lines = [line.rstrip() for line in source.replace(NBGRADER_STUB, "").split("\n")]
        return [line for line in lines if line and line.strip() != "raise NotImplementedError"]

    return bare(text) == bare(stub.source)


def _code_answer(name, pieces, stub, wanted, report):
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
    found = [(how, _filled(pool, stub)) for how, pool in pools.items()]
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


def _filled(pool, stub):
    return [p for p in pool if p.source.strip() and not _is_blank(p.source, stub)]


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


def _written_answer(name, pieces, stub, blank, report):
    """(text, cell numbers) of an answer in words, or None."""
    owned = [p for p in pieces if p.grade_id == name]
    filled = _filled(owned, stub)
    if owned:
        if len(filled) > 1:
            numbers = ", ".join(str(p.cells[0]) for p in filled)
            report.append(f"{name}: the answers in cells {numbers} were joined")
        chosen = filled or owned[-1:]
        return "\n\n".join(p.source for p in chosen), [p.cells[0] for p in chosen]
    # Without its mark: what stands where it was handed out, after the cell that comes before it.
    given = [cell.source.strip() for cell in blank.cells]
    place = next(index for index, cell in enumerate(blank.cells) if cell is stub)
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


def _report_changed_tests(cells, blank, restored):
    found: dict[str, list[str]] = {}
    for cell in cells:
        nbgrader = cell["metadata"].get("nbgrader")
        if isinstance(nbgrader, dict) and isinstance(nbgrader.get("grade_id"), str):
            found.setdefault(nbgrader["grade_id"], []).append(cell["source"])
    texts = {cell["source"].strip() for cell in cells}
    for cell in blank.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if not nbgrader or nbgrader.get("solution"):
            continue
        name = nbgrader["grade_id"]
        if cell.source.strip() in texts:
            continue
        what = "was changed" if name in found else "was not there"
        restored.report.append(f"{name} {what}; the instructor's was put in its place")


def _names_from_elsewhere(pieces, answers, source, restored, parse) -> dict[str, list[str]]:
    """Exercise -> statements from the student's other cells that its answer cannot do without.

    A helper in a cell of its own or an import added to the set-up cell would be lost with the
    cell, and with it an honest answer. So where an answer needs a name that neither the set-up
    cells nor any answer defines, the statement that defines it (import, def, class or assignment
    at the top level, the last one wins) is put in front of that answer, with what it needs in turn.
    """
    import builtins

    used = {number for _, numbers in answers.values() for number in numbers}
    known = set(dir(builtins)) | {"get_ipython", "display", "__file__", "In", "Out", "_"}
    for kind, _, text in judged_cells(source):
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
            report = f"{name}: it needs {names}, which was kept from the student's cell {cells}"
            restored.report.append(report)
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


# ------------------------------------------------------------------------- other nbgrader courses


def _restore_in_place(cells, report, source, blank) -> Restored:
    """Another course's notebook: the student's notebook stays, with the instructor's marks.

    Graded and locked cells come from the instructor, answers keep their text, copies and unknown
    marks lose theirs, and cells that are gone are put back after the one that came before.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

    made = copy.deepcopy(source)
    restored = Restored(made, report)
    marked = {c.metadata.nbgrader["grade_id"]: (c, stub)
              for c, stub in zip(made.cells, blank.cells, strict=True)
              if "nbgrader" in c.metadata}  # fmt: skip
    makers = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}
    last = {}  # as in nbgrader's DeduplicateIds: the last of several copies counts
    ids = []
    for index, cell in enumerate(cells):
        nbgrader = cell["metadata"].get("nbgrader")
        grade_id = nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None
        ids.append(grade_id if isinstance(grade_id, str) and grade_id in marked else None)
        if ids[-1] in last:
            report.append(f"{ids[-1]}: of several copies the last, cell {index + 1}, counts")
        if ids[-1]:
            last[ids[-1]] = index
    result = []
    for index, cell in enumerate(cells):
        name = ids[index]
        if name is None or last[name] != index:
            maker = makers.get(cell["cell_type"], new_raw_cell)
            result.append(maker(cell["source"], id=f"student-{index}"))
            continue
        kept, stub = marked[name]
        nbgrader = kept.metadata.nbgrader
        nbgrader["checksum"] = _checksum(stub)
        if nbgrader.get("solution"):
            kept.source = restored.sources[name] = cell["source"]
            if _is_blank(kept.source, stub):
                restored.blank.add(name)
        elif cell["source"].strip() != stub.source.strip():
            report.append(f"{name} was changed; the instructor's was put in its place")
        result.append(kept)
    there = set(last)
    previous = None
    for name, (kept, stub) in marked.items():
        if name not in there:
            kept.metadata.nbgrader["checksum"] = _checksum(stub)
            if kept.metadata.nbgrader.get("solution"):
                kept.source = stub.source
                restored.missing.add(name)
            result.insert(_position(result, previous), kept)
            report.append(f"{name} was not there; the instructor's was put back")
        previous = name
    for cell in result:
        _clean(cell)
    made.cells = result
    return restored


def _position(cells, previous) -> int:
    ids = [cell.metadata.get("nbgrader", {}).get("grade_id") for cell in cells]
    return ids.index(previous) + 1 if previous else 0
