"""Rebuild a submission from the instructor's copy: only the answers are the student's.

Every cell comes from the instructor's source notebook; into its solution cells goes what the
student wrote, wherever and in whatever state it is found. What was done is told in plain lines.

How an answer is found: course_lib/answers.py.
"""

import copy
import errno
import json
import os
import re
import stat
from dataclasses import dataclass, field

from autograder.build import nbgrader_options
from course_lib.answers import (
    Unreadable,
    find_answers,
    grade_id,
    is_blank,
    is_solution,
    judged_cells,
    printable,
    read_cells,
)

MAX_BYTES = 20_000_000


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
        return [step for step in judged_cells(self.notebook.cells) if step[1] not in self.missing]


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
    name = printable(parts[-1])
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


# ----------------------------------------------------------------------------------- restoring


def restore(data: bytes, source_notebook, blank=None) -> Restored:
    """Rebuild the notebook in `data` (a file's bytes) from the instructor's source notebook.

    blank: what blank_notebook(source_notebook) gives, for who restores many.
    Unreadable when the bytes are no notebook; anything else a student can write is restored.
    A notebook without hidden("...") lines is another nbgrader course's: there the student's other
    cells stay as well, as in stock nbgrader.
    """
    cells, report = read_cells(data)
    if blank is None:
        blank = blank_notebook(source_notebook)
    if not is_ours(source_notebook):
        return _restore_in_place(cells, report, source_notebook, blank)
    made = _copied(source_notebook)
    found = find_answers(cells, blank.cells)
    restored = Restored(made, report + found.report, found.missing, found.blank)
    for cell, given in zip(made.cells, blank.cells, strict=True):
        _clean(cell)
        if not is_solution(cell):
            continue
        name = grade_id(cell)
        cell.source = restored.sources[name] = found.sources.get(name, given.source)
        # nbgrader says "No response" by comparing with the checksum of what was handed out.
        cell.metadata.nbgrader["checksum"] = _checksum(given)
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


def _copied(notebook):
    """A copy by way of its text: deepcopy of a notebook takes five times as long."""
    from nbformat import from_dict

    return from_dict(json.loads(json.dumps(notebook)))


def _clean(cell):
    if cell.cell_type == "code":
        cell.outputs, cell.execution_count = [], None


def _checksum(cell) -> str:
    from nbgrader.utils import compute_checksum

    return compute_checksum(cell)


# ------------------------------------------------------------------------- other nbgrader courses


def _restore_in_place(cells, report, source, blank) -> Restored:
    """Another course's notebook: the student's notebook stays, with the instructor's marks.

    Graded and locked cells come from the instructor, answers keep their text, copies and unknown
    marks lose theirs, and cells that are gone are put back after the one that came before.
    """
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_raw_cell

    made = copy.deepcopy(source)
    restored = Restored(made, report)
    marked = {c.metadata.nbgrader["grade_id"]: (c, given)
              for c, given in zip(made.cells, blank.cells, strict=True)
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
        kept, given = marked[name]
        nbgrader = kept.metadata.nbgrader
        nbgrader["checksum"] = _checksum(given)
        if nbgrader.get("solution"):
            kept.source = restored.sources[name] = cell["source"]
            if is_blank(kept.source, given):
                restored.blank.add(name)
        elif cell["source"].strip() != given.source.strip():
            report.append(f"{name} was changed; the instructor's was put in its place")
        result.append(kept)
    there = set(last)
    previous = None
    for name, (kept, given) in marked.items():
        if name not in there:
            kept.metadata.nbgrader["checksum"] = _checksum(given)
            if kept.metadata.nbgrader.get("solution"):
                kept.source = given.source
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
