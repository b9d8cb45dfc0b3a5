"""GSM8K in one schema wherever it comes from: a folder, the hub, or the embedded generator.

    data = load_gsm8k()
    data.train[0]     # {"question": str, "answer": str}

GSM8K (Cobbe et al. 2021, arXiv:2110.14168) has 7,473 training and 1,319 test problems and no
validation split: ours is cut from the training problems, never from the test.
"""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import NamedTuple

from course_lib.models import hub_answers
from course_lib.problems import make_problems

SIZES = {"train": 7473, "test": 1319}
VALIDATION = 473
GENERATED = {"train": 7000, "validation": 500, "test": 1000}
_FINAL = re.compile(r"#### -?\d[\d,]*")


class Gsm8k(NamedTuple):
    """Three lists of {"question", "answer"}; where they come from; a hash of all that was read."""

    train: list[dict]
    validation: list[dict]
    test: list[dict]
    source: str
    sha256: str


def load_gsm8k(profile: str | None = None, verbose: bool = True) -> Gsm8k:
    """The problems of this run, and one printed line saying which they are and why.

    1. the folder named by COURSE_GSM8K (train.jsonl and test.jsonl), if that is set;
    2. ``datasets.load_dataset("openai/gsm8k", "main")``, unless `profile` is "cpu", whose embedded
       model reads generated problems only;
    3. the generator of course_lib.problems.

    Raises ValueError (one line, with the line number) for a wrong or truncated file and
    FileNotFoundError for a missing one; a folder that was named is never silently replaced.
    """
    folder = os.environ.get("COURSE_GSM8K")
    if folder:
        data = read_folder(Path(folder))
        why = "COURSE_GSM8K names this folder"
    elif profile == "cpu":
        data, why = generate(), "the embedded model of profile cpu was made for these"
    else:
        try:
            data, why = read_hub(), "COURSE_GSM8K is not set"
        except OfflineError as error:
            data, why = generate(), f"{error}; set COURSE_GSM8K to a folder for the real ones"
    if verbose:
        sizes = f"{len(data.train)} train, {len(data.validation)} validation, {len(data.test)} test"
        print(f"Problems: {data.source} ({sizes}), because {why}.")
    return data


class OfflineError(Exception):
    """The hub cannot be used here; the text says why."""


# ---------------------------------------------------------------------------------- sources


def read_folder(folder: Path, sizes: dict[str, int] = SIZES) -> Gsm8k:
    """train.jsonl and test.jsonl of a folder, every line checked, the number of lines too."""
    folder = folder.expanduser()
    rows = {split: _read_jsonl(folder / f"{split}.jsonl", n) for split, n in sizes.items()}
    return _cut(rows["train"], rows["test"], f"GSM8K from {folder}")


def read_hub() -> Gsm8k:
    """openai/gsm8k through `datasets`, from its cache if it is there. OfflineError if not."""
    try:
        import datasets
    except ImportError as error:
        raise OfflineError("the package datasets is missing (pip install datasets)") from error
    # Without a network `datasets` retries for 25 s before it looks into its cache.
    online = hub_answers()
    was_offline = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = was_offline or not online
    try:
        loaded = datasets.load_dataset("openai/gsm8k", "main")
    except Exception as error:
        what = "cannot be reached" if not online else f"gave no data ({type(error).__name__})"
        raise OfflineError(f"huggingface.co {what}") from error
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline
    rows = {
        split: [{"question": r["question"], "answer": r["answer"]} for r in loaded[split]]
        for split in SIZES
    }
    for split, n in SIZES.items():
        if len(rows[split]) != n:
            raise ValueError(f"openai/gsm8k {split} has {len(rows[split])} problems instead of {n}")
    return _cut(rows["train"], rows["test"], "GSM8K from huggingface.co")


def generate(sizes: dict[str, int] = GENERATED, seed: int = 0) -> Gsm8k:
    """Generated problems; the three splits share no chain of equations (course_lib.problems)."""
    splits = {split: make_problems(n, split, seed) for split, n in sizes.items()}
    return Gsm8k(**splits, source="generated word problems", sha256=_digest(splits.values()))


# ---------------------------------------------------------------------------------- reading


def _read_jsonl(path: Path, expected: int) -> list[dict]:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: COURSE_GSM8K needs train.jsonl and test.jsonl")
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        problem = _row_problem(line)
        if problem:
            raise ValueError(f"{path}, line {number}: {problem}; fetch the file again")
        row = json.loads(line)
        rows.append({"question": row["question"], "answer": row["answer"]})
    if len(rows) != expected:
        what = "truncated" if len(rows) < expected else "not GSM8K's"
        raise ValueError(
            f"{path} ends at line {len(rows)} instead of {expected}: it is {what}; "
            "fetch the file again"
        )
    return rows


def _row_problem(line: bytes) -> str | None:
    """Why a line is not a GSM8K row, or None."""
    try:
        row = json.loads(line)
    except ValueError:
        return "not a complete JSON object"
    if not isinstance(row, dict) or not all(
        isinstance(row.get(key), str) and row[key].strip() for key in ("question", "answer")
    ):
        return 'needs the texts "question" and "answer"'
    if row["answer"].count("####") != 1 or not _FINAL.fullmatch(row["answer"].split("\n")[-1]):
        return 'the answer does not end in one "#### number"'
    return None


def _cut(train: list[dict], test: list[dict], source: str) -> Gsm8k:
    """Validation: the training problems whose questions hash lowest, so the same in any order."""
    digest = _digest([train, test])
    hashes = [hashlib.sha256(row["question"].encode()).digest() for row in train]
    size = min(VALIDATION, len(train) // 10)
    chosen = set(sorted(hashes)[:size])
    validation = [row for row, h in zip(train, hashes, strict=True) if h in chosen]
    rest = [row for row, h in zip(train, hashes, strict=True) if h not in chosen]
    return Gsm8k(rest, validation, test, source, digest)


def _digest(splits) -> str:
    digest = hashlib.sha256()
    for rows in splits:
        for row in rows:
            digest.update(json.dumps([row["question"], row["answer"]]).encode())
    return digest.hexdigest()
