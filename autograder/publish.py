"""Write the repository that students get, and refuse if any part of an answer is in it."""

import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from autograder.build import colab_badge, students_repository
from course_lib.exercises import load_exercises

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("course_lib", "lectures")
FILES = ("LICENSE", "constraints.txt", "environment.yml", ".gitattributes")
DOCS = ("student_guide.md", "troubleshooting.md", "gpu_guide.md", "errata.md")
IGNORED = ".venv/\n__pycache__/\n*.egg-info/\nbuild/\n.ipynb_checkpoints/\nhand_in/\n"
MANIFEST = ".published"  # the files of a publication: what the next one may replace or take away
JUNK = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "*.pyc", "*.egg-info", ".*")
# Shorter lines ("return out", "if config.attention_bias:") and labels ("before training") may stand
# anywhere and tell nothing.
TELLING = 30  # characters
# Of these only text is looked at: the header of tensors.
BINARY = (".safetensors",)


class PublishError(Exception):
    """The bundle is not written; the text is one line that says why."""


def publish(folder, root=ROOT, wheel=True):
    """Write the students' repository to a new or empty `folder`, or over what was published there
    before; returns the number of files.

    wheel: put an installable package into its `dist/` as well. Of an earlier publication what is
    published no more is removed; files that did not come from it (.git, a syllabus) stay.
    PublishError when the folder holds something else, or when a line of a solution or a string of
    a hidden test is found anywhere in the bundle: then nothing is written.
    """
    folder, root = Path(folder), Path(root)
    if folder.exists() and not folder.is_dir():
        raise PublishError(f"{folder} is not a folder: name a new one")
    earlier = published_before(folder)
    if earlier is None and folder.is_dir() and any(folder.iterdir()):
        raise PublishError(f"{folder} is neither empty nor an earlier publication: name a new one")
    if folder.resolve().is_relative_to(root / "course_lib"):
        raise PublishError(f"{folder} is inside what is published: name a folder outside")
    with tempfile.TemporaryDirectory(prefix="publish-") as temporary:
        bundle = Path(temporary, "bundle")
        collect(bundle, root)
        if wheel:
            build_wheel(bundle)
        found = leaks(bundle, secrets(root))
        if found:
            path, text = found[0]
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise PublishError(f"{path} holds a part of an answer: {text!r}{more}; nothing written")
        files = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
        theirs = sorted(n for n in files - (earlier or set()) if (folder / n).exists())
        if theirs:
            raise PublishError(f"{folder / theirs[0]} did not come from here: move it away first")
        for name in (earlier or set()) - files:
            (folder / name).unlink(missing_ok=True)
        (bundle / MANIFEST).write_text("".join(f"{name}\n" for name in sorted(files)))
        shutil.copytree(bundle, folder, dirs_exist_ok=True)
    return len(files)


def published_before(folder):
    """The files that an earlier publication wrote to `folder`; None if there was none."""
    try:
        names = Path(folder, MANIFEST).read_text("utf-8").splitlines()
    except OSError:
        return None
    inside = (name for name in names if name and not Path(name).is_absolute())
    return {name for name in inside if ".." not in Path(name).parts}


def collect(bundle, root=ROOT):
    """Copy what students get to the folder `bundle`."""
    for name in FOLDERS:
        shutil.copytree(root / name, bundle / name, ignore=JUNK)
    for name in (*FILES, *(f"docs/{name}" for name in DOCS)):
        if (root / name).is_file():
            (bundle / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, bundle / name)
    environment = bundle / "environment.yml"
    if environment.is_file():  # the instructor's extras are not in the students' project
        environment.write_text(environment.read_text().replace(",grade,test]", "]"))
    (bundle / ".gitignore").write_text(IGNORED)
    (bundle / "README.md").write_text(readme(root))
    (bundle / "pyproject.toml").write_text(project(root))


def build_wheel(bundle):
    """Build the bundle's package into its folder `dist`."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as temporary:
        source = shutil.copytree(bundle, Path(temporary, "source"))  # a build leaves files behind
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(Path(bundle, "dist")), str(source)]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise PublishError(f"the wheel could not be built: {why}")


def readme(root):
    """The students' README: the notebooks with their badges, then the student guide."""
    guide = Path(root, "docs", "student_guide.md")
    text = guide.read_text(encoding="utf-8") if guide.is_file() else "# Notebooks\n"
    # The guide moves from docs/ to the top: its links to neighbours need the folder.
    text = re.sub(r"\]\((?=[\w-]+\.md)", "](docs/", text)
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{notebook_table(root)}{rest}"


def notebook_table(root=ROOT):
    """A markdown table of the notebooks: title, minutes of its exercises, Colab badge."""
    repository = students_repository(Path(root))
    rows = []
    for path in sorted(Path(root, "lectures").glob("*/*.ipynb")):
        name = path.stem
        try:
            exercises = load_exercises(name, Path(root, "course_lib", "exercises"))
        except LookupError:
            continue
        title = tomllib.loads(Path(root, f"course_lib/exercises/{name}.toml").read_text("utf-8"))[
            "title"
        ]
        hours = sum(e.minutes for e in exercises.values()) / 60
        badge = colab_badge(name, repository) if repository else ""
        rows.append(f"| [{title}](lectures/{name}/{name}.ipynb) | {hours:.1f} h | {badge} |")
    if not rows:
        return ""
    return "\n".join(["| notebook | exercises | |", "|---|---|---|", *rows, "", ""])


def project(root):
    """The project file without the autograder: its packages, its command, its requirements."""
    text = Path(root, "pyproject.toml").read_text()
    facts = tomllib.loads(text)
    parts = re.split(r"(?m)^(?=\[)", text)
    kept = []
    for part in parts:
        title = part.partition("]")[0].strip("[")
        if title.startswith(("tool.ruff", "tool.pytest", "tool.codespell")):
            continue
        lines = [
            line
            for line in part.splitlines(keepends=True)
            if not re.match(r"(autograder|grade|test|scale|docs)\s*=", line)
        ]
        kept.append("".join(lines).replace(', "autograder*"', ""))
    made = "".join(kept)
    if "autograder" in made or tomllib.loads(made)["project"]["name"] != facts["project"]["name"]:
        raise PublishError(
            "pyproject.toml names the autograder where publishing does not expect it"
        )
    return made


@dataclass(frozen=True, order=True)
class Secret:
    """A text students may not see; `home`: the notebook in whose files alone it tells something."""

    text: str
    home: str = ""

    @cached_property
    def bare(self):
        return _bare(self.text)

    def is_in(self, name, bare):
        """Whether a file's bare text gives it away."""
        return self.bare in bare and (not self.home or _belongs(name, self.home))


def secrets(root=ROOT):
    """What students may not see: lines of solutions, strings of hidden tests.

    In a notebook's own files (lecture, hints, checks) every telling line of its solutions counts.
    Elsewhere one line may be chance (`for name, parameter in model.named_parameters():`), so there
    it takes two neighbouring lines, or an answer that is a single line.
    """
    told = set()
    for path in sorted(Path(root, "solutions").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        regions = [
            [p for line in region.splitlines() if (p := _plain(line)) and not p.startswith("#")]
            for region in re.findall(r"(?s)### BEGIN SOLUTION(.*?)### END SOLUTION", text)
        ]
        # A line that the notebook itself shows elsewhere is no secret.
        outside = re.sub(r"(?s)### BEGIN SOLUTION.*?### END SOLUTION", "", text)
        shown = {_plain(line) for line in outside.splitlines()}
        for region in regions:
            lines = [line for line in region if line not in shown]
            telling = [line for line in lines if len(line) >= TELLING]
            told |= {Secret(line, path.stem) for line in telling}
            if len(region) == 1:
                told |= {Secret(line) for line in telling}
            pairs = [f"{a} {b}" for a, b in pairwise(region) if a in lines and b in lines]
            told |= {Secret(pair) for pair in pairs if len(pair) >= 2 * TELLING}
    for path in sorted(Path(root, "autograder", "hidden").glob("*.py")):
        told |= {Secret(text) for text in _strings(ast.parse(path.read_text(encoding="utf-8")))}
    return told


def _belongs(name, notebook_id):
    """Whether a file of the bundle is a notebook's own: lecture, facts and hints, checks."""
    path = Path(name)
    module = notebook_id.partition("_")[2]
    return path.stem == notebook_id or (path.parent.name, path.stem) == ("checks", module)


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
    """Where the bundle (archives in it, too) holds a secret: list of (path, secret).

    PublishError for a file that cannot be looked into. What somebody encodes on purpose (base64,
    encryption) is not found: this looks for accidents.
    """
    found = []
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            for name, text in _texts(path.relative_to(folder).as_posix(), path.read_bytes()):
                bare = _bare(f"{name} {text}")
                found += [(name, s.text) for s in sorted(told) if s.is_in(name, bare)]
    return found


def _texts(name, data):
    """(name, text) of a file, of each notebook's cells, of each member of a wheel or zip file."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.namelist():
                yield from _texts(f"{name}/{member}", archive.read(member))
        return
    try:
        text = data.decode("utf-8", "replace" if name.endswith(BINARY) else "strict")
    except UnicodeDecodeError:
        raise PublishError(
            f"{name} is no text and cannot be looked into; nothing written"
        ) from None
    if name.endswith(".ipynb"):
        text = "\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"]) + text
    yield name, text


def _plain(text):
    """Without differences of indentation and line breaks."""
    return " ".join(text.split())


def _bare(text):
    """Letters, digits and _ alone: the same for a line that was wrapped, quoted, commented out,
    escaped in JSON or formatted anew."""
    return re.sub(r"\\[nrt]|\W", "", text)
