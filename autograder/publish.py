"""Write the bundle that students get, and refuse if any part of an answer is in it."""

import ast
import io
import json
import re
import shutil
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("course_lib", "lectures")
FILES = ("LICENSE", "constraints.txt", "environment.yml", "docs/student_guide.md", "docs/errata.md")
JUNK = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.pyc", "*.egg-info", ".*")
# Shorter lines ("return out", "if config.attention_bias:") and labels ("before training") may stand
# anywhere and tell nothing.
TELLING = 30  # characters


class PublishError(Exception):
    """The bundle is not written; the text is one line that says why."""


def publish(folder, root=ROOT):
    """Write the student bundle to a new or empty `folder`; returns the number of files.

    PublishError when the folder holds something, or when a line of a solution or a string of a
    hidden test is found anywhere in the bundle: then nothing is written.
    """
    folder, root = Path(folder), Path(root)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PublishError(f"{folder} is not an empty folder: name a new one")
    if folder.resolve().is_relative_to(root / "course_lib"):
        raise PublishError(f"{folder} is inside what is published: name a folder outside")
    with tempfile.TemporaryDirectory(prefix="publish-") as temporary:
        bundle = Path(temporary, "bundle")
        collect(bundle, root)
        found = leaks(bundle, secrets(root))
        if found:
            path, text = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise PublishError(f"{path} holds a part of an answer: {text!r}{more}; nothing written")
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
    return sum(path.is_file() for path in folder.rglob("*"))


def collect(bundle, root=ROOT):
    """Copy what students get to the folder `bundle`."""
    for name in FOLDERS:
        shutil.copytree(root / name, bundle / name, ignore=JUNK)
    for name in FILES:
        if (root / name).is_file():
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, bundle / name)
    environment = bundle / "environment.yml"
    if environment.is_file():  # the instructor's extras are not in the students' project
        environment.write_text(environment.read_text().replace(",grade,test]", "]"))
    (bundle / "README.md").write_text(readme(root))
    (bundle / "pyproject.toml").write_text(project(root))


def readme(root):
    """The student's README: the student guide, or three lines."""
    guide = Path(root, "docs", "student_guide.md")
    if guide.is_file():
        return guide.read_text()
    return "# Fine-tuning language models\n\nOpen the notebooks in `lectures/`.\n"


def project(root):
    """The project file without the autograder: its packages, its command, its requirements."""
    text = Path(root, "pyproject.toml").read_text()
    facts = tomllib.loads(text)
    parts = re.split(r"(?m)^(?=\[)", text)
    kept = []
    for part in parts:
        title = part.partition("]")[0].strip("[")
        if title.startswith(("tool.ruff", "tool.pytest")):
            continue
        lines = [
            line
            for line in part.splitlines(keepends=True)
            if not re.match(r"(autograder|grade|test|scale)\s*=", line)
        ]
        kept.append("".join(lines).replace(', "autograder*"', ""))
    made = "".join(kept)
    if "autograder" in made or tomllib.loads(made)["project"]["name"] != facts["project"]["name"]:
        raise PublishError(
            "pyproject.toml names the autograder where publishing does not expect it"
        )
    return made


def secrets(root=ROOT):
    """What students may not see: telling lines of solutions, strings of hidden tests."""
    told = set()
    for path in sorted(Path(root, "solutions").glob("*.py")):
        text = path.read_text()
        inside = False
        for line in text.splitlines():
            if "### BEGIN SOLUTION" in line:
                inside = True
            elif "### END SOLUTION" in line:
                inside = False
            elif inside and len(_plain(line)) >= TELLING and not line.lstrip().startswith("#"):
                told.add(_plain(line))
        # A line that the notebook itself shows elsewhere is no secret.
        outside = re.sub(r"(?s)### BEGIN SOLUTION.*?### END SOLUTION", "", text)
        told -= {_plain(line) for line in outside.splitlines()}
    for path in sorted(Path(root, "autograder", "hidden").glob("*.py")):
        told |= _strings(ast.parse(path.read_text()))
    return told


def _strings(tree):
    """Strings of hidden tests with some length: messages, examples, expected texts.

    Not what feedback shows to everyone anyway: titles and hints, in the decorators.
    """
    shown = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        for inner in ast.walk(decorator)
    }
    return {
        _plain(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and node not in shown
        and isinstance(node.value, str)
        and len(_plain(node.value)) >= TELLING
        and " " in node.value.strip()
    }


def leaks(folder, told):
    """Where the bundle (archives in it, too) holds a secret: list of (path, secret)."""
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            for name, text in _texts(path.relative_to(folder).as_posix(), path.read_bytes()):
                plain = _plain(text)
                found += [(name, secret) for secret in sorted(told) if secret in plain]
    return found


def _texts(name, data):
    """(name, text) of a file, of each notebook's cells, of each member of a wheel or zip file."""
    if name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from _texts(f"{name}/{member}", archive.read(member))
        return
    text = data.decode("utf-8", "replace")
    if name.endswith(".ipynb"):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"]) + text
    yield name, text


def _plain(text):
    """Without differences of indentation and line breaks."""
    return " ".join(text.split())
