"""What comes out of editors, clouds, mail programs and curious students' hands."""

import json
import os
from functools import partial

from attacks import Attack

broken = partial(Attack, family="broken", scores=(1, 4, 2))
NOTHING = {"scores": (0, 0, 0), "status": "unreadable"}
FILE = "93_hostile.ipynb"


def dump(notebook, **options):
    return json.dumps(notebook, **options).encode()


def changed(**fields):
    """An edit that sets these fields of the notebook."""
    return lambda notebook: {**notebook, **fields}


def cells(change):
    """An edit of the list of cells: `change` returns the new one."""
    return lambda notebook: {**notebook, "cells": change(notebook["cells"])}


def each(**fields):
    """An edit that sets these fields of every cell."""
    return cells(lambda found: [{**cell, **fields} for cell in found])


def version_3(notebook):
    made = []
    for cell in notebook["cells"]:
        text = {"input": cell["source"], "prompt_number": 1, "language": "python"}
        made.append({"cell_type": "code", "metadata": {}, "outputs": [], **text})
    sheets = [{"cells": made, "metadata": {}}]
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": sheets}


def split_in_two(found):
    index = next(i for i, c in enumerate(found) if "def victim" in c["source"])
    head, tail = found[index]["source"].split("\n", 1)
    one = {**found[index], "source": head, "id": "head"}
    two = {**found[index], "source": tail, "id": "tail"}
    return [*found[:index], one, two, *found[index + 1 :]]


def as_link(target):
    def place(folder, data):
        (folder / FILE).symlink_to(target(folder))

    return place


def folder_is_a_link(folder, data):
    folder.rmdir()
    folder.symlink_to("/etc")


def hard_link(folder, data):
    neighbour = folder.parent.parent / "aaron_honest" / folder.name / FILE
    os.link(neighbour, folder / FILE)


def pipe(folder, data):
    os.mkfifo(folder / FILE)


def socket_file(folder, data):
    import socket

    place = socket.socket(socket.AF_UNIX)
    here = os.open(folder, os.O_RDONLY)
    try:  # the path of a socket may not be long
        place.bind(f"/proc/self/fd/{here}/{FILE}")
    finally:
        os.close(here)
        place.close()


def two_notebooks(folder, data):
    (folder / "final.ipynb").write_bytes(data)
    (folder / "final (really).ipynb").write_bytes(data)


def among_rubbish(folder, data):
    (folder / FILE).write_bytes(data)
    (folder / ".ipynb_checkpoints").mkdir()
    (folder / ".ipynb_checkpoints" / FILE).write_bytes(b"old")
    (folder / "gradebook.db").write_bytes(b"SQLite format 3\0")
    (folder / "nbgrader_config.py").write_text("raise SystemExit('hostile_was_here')")
    (folder / "conftest.py").write_text("raise SystemExit('hostile_was_here')")
    (folder / "torch.py").write_text("raise SystemExit('hostile_was_here')")
    (folder / "sitecustomize.py").write_text("raise SystemExit('hostile_was_here')")
    (folder / "passwd").symlink_to("/etc/passwd")
    (folder / "endless").symlink_to("/dev/zero")


ATTACKS = [
    broken("an empty file", edit=lambda n: b"", message="empty", **NOTHING),
    broken("half a file", edit=lambda n: dump(n)[:700], message="JSON|cut", **NOTHING),
    broken("a Word document", edit=lambda n: b"PK\x03\x04" + os.urandom(2000), **NOTHING),
    broken("a web page", edit=lambda n: b"<!doctype html><script>alert(1)</script>", **NOTHING),
    broken("a list", edit=lambda n: b"[]", **NOTHING),
    broken("null", edit=lambda n: b"null", **NOTHING),
    broken("a number without end", edit=lambda n: b"9" * 100_000, **NOTHING),
    broken("a hundred thousand brackets", edit=lambda n: b"[" * 100_000, **NOTHING),
    broken("brackets as metadata", edit=lambda n: dump(changed(metadata="@")(n)).replace(
        b'"@"', b"[" * 50_000 + b"]" * 50_000), **NOTHING),
    broken("NaN for a version", edit=changed(nbformat_minor=float("nan"))),
    broken("a version of the future", edit=changed(nbformat=99), **NOTHING),
    broken("version 3", edit=version_3),
    broken("no version", edit=lambda n: {"cells": n["cells"]}, message="nbformat", **NOTHING),
    broken("no cells", edit=lambda n: {"nbformat": 4, "nbformat_minor": 5, "metadata": {}},
           **NOTHING),
    broken("cells that are no list", edit=changed(cells={"0": "x"}), **NOTHING),
    broken("cells that are no cells", edit=cells(lambda c: [None, 7, "x", [], *c])),
    broken("no metadata anywhere", edit=each(metadata={})),
    broken("metadata that is null", edit=each(metadata=None)),
    broken("sources as numbers", edit=each(source=7), scores=(0, 0, 0),
           message="not implemented"),
    broken("sources as lines", edit=cells(
        lambda found: [{**c, "source": c["source"].splitlines(keepends=True)} for c in found])),
    broken("the same id everywhere", edit=each(id="x")),
    broken("no cell ids, minor version 0", edit=lambda n: changed(nbformat_minor=0)(
        cells(lambda f: [{k: v for k, v in c.items() if k != "id"} for c in f])(n))),
    broken("ids of hostile text", edit=each(id='"><script>../../')),
    broken("every cell twice", edit=cells(lambda c: [x for cell in c for x in (cell, cell)])),
    broken("in reverse", edit=cells(lambda c: c[::-1])),
    broken("an answer split in two", edit=cells(split_in_two)),
    broken("tests deleted", edit=cells(
        lambda f: [c for c in f if not c["metadata"].get("nbgrader", {}).get("grade")])),
    broken("an answer deleted", edit=cells(
        lambda f: [c for c in f if "def victim" not in c["source"]]), scores=(1, 0, 2),
        status="missing", message="missing"),
    broken("an answer in a text cell", edit=cells(
        lambda f: [{**c, "cell_type": "markdown"} if "def victim" in c["source"] else c
                   for c in f]), scores=(1, 4, 2)),
    broken("unknown cell types", edit=cells(
        lambda f: [*f, {"cell_type": "heading", "source": "x", "metadata": {}}])),
    broken("a kernel of another language", edit=changed(
        metadata={"kernelspec": {"name": "evil", "language": "R", "argv": ["rm", "-rf", "/"]}})),
    broken("a byte order mark", edit=lambda n: b"\xef\xbb\xbf" + dump(n)),
    broken("UTF-16", edit=lambda n: json.dumps(n).encode("utf-16"), **NOTHING),
    broken("Windows line ends", edit=lambda n: dump(n, indent=1).replace(b"\n", b"\r\n").replace(
        b"\\n", b"\\r\\n")),
    broken("null bytes in the answer", cell="def victim(x, k):\n    return x\0 * k",
           scores=(1, 0, 2), message="cell raised|not defined"),
    broken("half a character", edit=lambda n: dump(n).replace(b"return k * x",
           b"return k * x  # \\ud800")),
    broken("quotes of a word processor", cell="def victim(x, k):\n    “scale”\n    return x * k",
           scores=(1, 0, 2), message="SyntaxError"),
    broken("tabs and spaces mixed", cell="def victim(x, k):\n\tk = k\n        return x * k",
           scores=(1, 0, 2), message="TabError|IndentationError|SyntaxError"),
    broken("a merge conflict", cell="<<<<<<< HEAD\ndef victim(x, k):\n    return x * k\n=======\n"
           ">>>>>>> mine", scores=(1, 0, 2), message="SyntaxError"),
    broken("brackets too deep for Python", cell="(" * 5000 + ")" * 5000 +
           "\ndef victim(x, k):\n    return x * k", scores=(1, 0, 2)),
    broken("sums too deep for Python", cell="1" + "+1" * 50_000, scores=(1, 0, 2), slow=True),
    broken("a file of 25 megabytes", edit=changed(padding="x" * 25_000_000), message="larger",
           slow=True, **NOTHING),
    broken("ten thousand cells", edit=cells(lambda c: c + [
        {"cell_type": "code", "source": "1", "metadata": {}, "outputs": []}] * 10_000), slow=True,
        **NOTHING),
    broken("keys given twice", edit=lambda n: b'{"cells": [], ' + dump(n)[1:]),
    broken("attachments of markup", edit=cells(lambda f: [
        {**c, "attachments": {"a.svg": {"image/svg+xml": "<svg onload=alert(1)>"}}} for c in f])),
    broken("a folder in place of the file", place=lambda f, data: (f / FILE).mkdir(),
           message="not a plain file", **NOTHING),
    broken("a link to a neighbour's", place=as_link(
        lambda f: f.parent.parent / "aaron_honest" / f.name / FILE), message="link", **NOTHING),
    broken("a link to the system", place=as_link(lambda f: "/etc/passwd"), message="link",
           **NOTHING),
    broken("a link to itself", place=as_link(lambda f: FILE), message="link", **NOTHING),
    broken("a link to endless zeros", place=as_link(lambda f: "/dev/zero"), message="link",
           **NOTHING),
    broken("a folder that is a link", place=folder_is_a_link, message="link", **NOTHING),
    # Grading sees no link here: the bytes are his. Who wrote them is a question for similar.csv.
    broken("a hard link to a neighbour's", place=hard_link),
    broken("a pipe that nobody writes to", place=pipe, message="plain file", **NOTHING),
    broken("a socket", place=socket_file, message="plain file", **NOTHING),
    broken("two notebooks, neither named", place=two_notebooks, scores=(0, 0, 0),
           status="missing", message="2 notebooks"),
    broken("renamed", place=lambda f, data: (f / "Copy of it (1).ipynb").write_bytes(data)),
    broken("another file name", place=lambda f, data: (f / "answers.txt").write_bytes(data),
           scores=(0, 0, 0), status="missing", message="no file called"),
    broken("rubbish and traps beside it", place=among_rubbish),
    broken("a formula for a name", student='=HYPERLINK("x";"4")'),
    broken("a command for a name", student="+cmd|' -C calc'!A0"),
    broken("markup for a name", student="<script>alert(1)<img src=x onerror=alert(1)>"),
    broken("a path for a name", student="..\\..\\hostile_was_here"),
    broken("an encoded path for a name", student="%2e%2e%2f%2e%2e%2fhostile_was_here"),
    broken("an option for a name", student="--out=hostile_was_here"),
    broken("lines for a name", student="two\nlines\r\x1b[2J"),
    broken("a long name", student="n" * 255),
    broken("reversed writing for a name", student="ada\u202egnp.exe"),
    broken("commas and quotes for a name", student="O'Neil, \"Ada\"; DROP TABLE grade;--"),
    broken("bytes for a name", student=os.fsdecode(b"caf\xe9\xff")),
    broken("an ordinary name", student="Łukasz 李 नमस्ते"),
]  # fmt: skip
