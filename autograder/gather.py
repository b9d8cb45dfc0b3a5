"""Bring what a learning platform gives into SUBMITTED_DIR/<student>/<assignment>/.

Sources are zip files or folders: Canvas, Moodle, nbgrader's zip_collect, one folder a student, or
single files named after students. A zip file inside them is one student's hand-in (`course
submit` writes one where a notebook has attachments). Only notebooks and known attachments are
taken. Nothing is unpacked by its own path: a name only says whose file it is.
"""

import contextlib
import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from autograder.collect import NOT_STUDENTS, GradeError
from autograder.record import one_line, student_id
from autograder.restore import MAX_BYTES, read_submission
from course_lib.answers import Unreadable, read_cells
from course_lib.exercises import ATTACHMENTS
from course_lib.submit import SubmitError, recognise

LARGEST = 100_000_000  # bytes of an attachment or of a student's zip file; of a notebook: MAX_BYTES
MOST_ENTRIES = 100_000  # of a platform's zip file
MOST_IN_ONE = 200  # of a student's
MOST_BYTES = 4 * 1024**3  # that one source may unpack to

MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)")
CANVAS = re.compile(
    r"(?P<name>[^_/]+)_(?:LATE_)?(?P<id>[A-Za-z0-9]{5}|\d+)_(?P<other>\d+)_(?P<file>.+)"
)
# The default of nbgrader's FileNameCollectorPlugin.
NBGRADER = re.compile(r".+_(?P<id>\w+)_attempt_(?P<time>[0-9\-]+)_(?P<file>.*)")
COPY = re.compile(r"(?:-(\d+)| ?\((\d+)\))(?=\.\w+$)")  # a second hand-in: "-1.ipynb", " (1).ipynb"


@dataclass
class Gathered:
    """What became of the sources: counts of files, and one line for whatever was refused."""

    new: int = 0
    replaced: int = 0
    unchanged: int = 0
    remarks: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    """A wanted file. `attempt` orders several hand-ins of one student."""

    student: str
    assignment: str
    name: str
    attempt: tuple
    data: bytes


class _Refused(Exception):
    """One file is left out; the text says why."""


def gather(sources, submitted, assignments, assignment=None) -> Gathered:
    """Write what `sources` (zip files or folders) hold below the folder `submitted`.

    assignments: the known ids. assignment: the id for notebooks whose name does not tell.
    Of several hand-ins the last counts. GradeError when a source cannot be read at all.
    """
    done = Gathered()
    if assignment is not None and assignment not in assignments:
        raise GradeError(f"no assignment {assignment!r}: known are {', '.join(assignments)}")
    for source in map(Path, sources):
        seen = {}
        for file in _files(source, list(assignments), assignment, done.remarks):
            key = (file.student, file.assignment, file.name)
            if seen.setdefault(key, file.attempt) == file.attempt:  # the last attempt comes first
                _write(file, Path(submitted), done)
    return done


def _write(file, submitted, done):
    folder = submitted / file.student / file.assignment
    path = folder / file.name
    if path.is_file() and not path.is_symlink():
        if path.read_bytes() == file.data:
            done.unchanged += 1
            return
        done.replaced += 1
    else:
        done.new += 1
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{file.name}.part"
    part.write_bytes(file.data)
    os.replace(part, path)


# ------------------------------------------------------------------------------------- reading


def _files(source, ids, assignment, remarks) -> Iterator[_File]:
    """The wanted files of a source, the last attempts first."""
    with _opened(source, remarks) as entries:
        mine = []
        for name, read in entries:
            place = PurePosixPath(name)
            if NOT_STUDENTS & set(place.parts) or place.name.startswith("."):
                continue
            try:
                mine.append((*whose(name, ids), name, read))
            except _Refused as problem:
                remarks.append(f"{one_line(name)}: {problem}")
        for student, rest, attempt, name, read in sorted(mine, key=lambda m: m[2], reverse=True):
            about = (ids, assignment, remarks)
            if not name.lower().endswith(".zip"):
                yield from _wanted(student, rest, "", attempt, read, *about)
                continue
            try:
                for inside, read_it in _unzip(io.BytesIO(read(LARGEST)), MOST_IN_ONE, 2 * LARGEST):
                    yield from _wanted(student, inside, rest, attempt, read_it, *about)
            except _Refused as problem:
                remarks.append(f"{student}: {one_line(rest)}: {problem}")


def _wanted(student, name, outer, attempt, read, ids, assignment, remarks):
    """The file `name` of a student, if it is a notebook or an attachment; `outer`: its zip file."""
    base = COPY.sub("", PurePosixPath(name).name)
    if base.startswith(".") or NOT_STUDENTS & set(PurePosixPath(name).parts):
        return
    try:
        if base.lower().endswith(".ipynb"):
            data = read(MAX_BYTES)
            which = _assignment(f"{outer}/{name}", data, ids) or assignment
            if which is None:
                raise _Refused("which assignment? Name it with --assignment")
            yield _File(student, which, f"{which}.ipynb", attempt, data)
            return
        owners = [i for i in ids if base in ATTACHMENTS.get(i, ())]
        if not owners:
            raise _Refused("neither a notebook nor an attachment: left out")
        yield _File(student, owners[0], base, attempt, read(LARGEST))
    except _Refused as problem:
        remarks.append(f"{student}: {one_line(name)}: {problem}")


def _assignment(name, data, ids):
    """The assignment by the file's name, else by the exercises in it, else None."""
    named = [i for i in ids if i in name]
    if named:
        return max(named, key=len)
    try:
        found = recognise(name, read_cells(data)[0])
    except (SubmitError, Unreadable):
        return None
    return found if found in ids else None


def whose(name: str, ids: list[str]) -> tuple[str, str, tuple]:
    """(student, the file's own name, attempt) for a path inside a source.

    The name that a platform gave is looked for first, then the folder, then the file's name.
    """
    place = PurePosixPath(name)
    copies = COPY.search(place.name)
    attempt = ("", int(next(filter(None, copies.groups()))) if copies else 0)
    for part in reversed(place.parts):
        if found := MOODLE.fullmatch(part):
            return _id(found["name"], found["id"]), found["file"] or place.name, attempt
    if found := NBGRADER.fullmatch(place.name):
        return _id(found["id"]), found["file"], (found["time"], attempt[1])
    if found := CANVAS.fullmatch(place.name):
        return _id(found["name"], found["id"]), found["file"], attempt
    folders = [part for part in place.parts[:-1] if part not in ("submitted", "downloaded")]
    at = next((i for i, part in enumerate(folders) if part in ids), None)
    if at is not None:  # <student>/<assignment>/…, or <assignment>/<student>/…
        folders = folders[:at] or folders[at + 1 :]
    if folders:
        return _id(folders[-1]), place.name, attempt
    stem = COPY.sub("", place.name).rpartition(".")[0]
    for i in ids:
        stem = stem.replace(i, "")
    if not (stem := stem.strip(" _-.")):
        raise _Refused("whose is it? Put it into a folder named after the student")
    return _id(stem), place.name, attempt


def _id(*parts):
    """A student's id: letters of any language, digits, and _ . - for the rest."""
    text = "_".join(parts)
    made = student_id(re.sub(r"[^\w.\-@+]+", "_", text).strip("_.") or "unnamed")
    return made[:100]


# ------------------------------------------------------------------------------- zips and folders


@contextlib.contextmanager
def _opened(source, remarks):
    """(path, a function of a limit that reads it) for every file of a zip file or folder."""
    try:
        if source.is_dir():
            yield [
                (path.relative_to(source).as_posix(), _reader(path, source))
                for folder, _, names in sorted(os.walk(source))
                for path in (Path(folder, name) for name in sorted(names))
            ]
            return
        with open(source, "rb") as file:
            yield _unzip(file, MOST_ENTRIES, MOST_BYTES, remarks)
    except OSError as error:
        raise GradeError(f"cannot read {source}: {error.strerror or error}") from None
    except _Refused as problem:
        raise GradeError(f"{source}: {problem}") from None


def _reader(path, root):
    def read(limit):
        try:
            return read_submission(path, root, limit)
        except Unreadable as error:
            raise _Refused(str(error)) from None

    return read


def _unzip(file, most, most_bytes, remarks=None):
    """(name, reader) for the plain files of a zip file; _Refused when it is none, or a bomb."""
    try:
        archive = zipfile.ZipFile(file)
        infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        raise _Refused("not a zip file, or damaged") from None
    if len(infos) > most:
        raise _Refused(f"more than {most:,} files in a zip file")
    left = most_bytes

    def reader(info):
        def read(limit):
            nonlocal left
            if stat.S_ISLNK(info.external_attr >> 16):
                raise _Refused("a link in a zip file: not followed")
            if info.flag_bits & 1:
                raise _Refused("a zip file with a password")
            allowed = min(limit, left)
            try:
                with archive.open(info) as member:  # what the zip says of its size proves nothing
                    data = member.read(allowed + 1)
            except Exception as error:  # BadZipFile, zlib.error, lzma.LZMAError, …
                raise _Refused(f"damaged in the zip file ({type(error).__name__})") from None
            left -= len(data)
            if len(data) > allowed:
                raise _Refused(f"unpacks to more than {allowed / 1e6:.0f} MB: left out")
            return data

        return read

    for info in infos:
        if info.is_dir():
            continue
        name = info.filename.replace("\\", "/")
        if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
            if remarks is None:
                raise _Refused(f"a path that leaves its folder: {one_line(info.filename)}")
            remarks.append(f"{one_line(info.filename)}: a path that leaves its folder: left out")
            continue
        yield name, reader(info)
