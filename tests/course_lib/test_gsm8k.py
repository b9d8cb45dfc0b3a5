import json
import os
import re
import sys
import types
from pathlib import Path

import pytest

from course_lib import gsm8k
from course_lib.gsm8k import GENERATED, SIZES, VALIDATION, load_gsm8k, read_folder
from course_lib.problems import equation_holds, equations, make_problems

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"train": 60, "test": 20}


def real_folder():
    """The real files, which are not in the repository: COURSE_GSM8K, or beside the repository."""
    for folder in (os.environ.get("COURSE_GSM8K"), ROOT.parent / "shared" / "data" / "gsm8k"):
        if folder and (Path(folder) / "train.jsonl").is_file():
            return Path(folder)
    pytest.skip("the real GSM8K is not here: set COURSE_GSM8K to a folder with train and test")


@pytest.fixture
def folder(tmp_path):
    for split, n in SMALL.items():
        lines = [json.dumps(p) for p in make_problems(n, split)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def no_hub(monkeypatch):
    monkeypatch.delenv("COURSE_GSM8K", raising=False)

    def refuse(*args):
        raise gsm8k.OfflineError("huggingface.co cannot be reached")

    monkeypatch.setattr(gsm8k, "read_hub", refuse)


def spoil(folder, number, line, split="train"):
    path = folder / f"{split}.jsonl"
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


def test_the_real_files(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_GSM8K", str(real_folder()))
    data = load_gsm8k()
    assert SIZES == {"train": 7473, "test": 1319}
    assert (len(data.train) + len(data.validation), len(data.test)) == (7473, 1319)
    assert len(data.validation) == VALIDATION
    questions = [{row["question"] for row in split} for split in data[:3]]
    assert not questions[0] & questions[1] and not questions[2] & (questions[0] | questions[1])
    assert all(set(row) == {"question", "answer"} for split in data[:3] for row in split)
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and "COURSE_GSM8K" in line and "7000 train" in line
    # Every annotation of the real data can be read and is true.
    annotations = [e for split in data[:3] for row in split for e in equations(row["answer"])]
    assert len(annotations) == 23716 + 4282
    assert all(map(equation_holds, annotations))


def test_the_real_files_truncated(tmp_path, monkeypatch):
    for name in ("train.jsonl", "test.jsonl"):
        (tmp_path / name).write_bytes((real_folder() / name).read_bytes())
    monkeypatch.setenv("COURSE_GSM8K", str(tmp_path))
    whole = (tmp_path / "train.jsonl").read_bytes()
    (tmp_path / "train.jsonl").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"train\.jsonl, line 3\d\d\d: not a complete JSON"):
        load_gsm8k()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_bytes(b"".join(lines[:7000]))
    with pytest.raises(ValueError, match="ends at line 7000 instead of 7473: it is truncated"):
        load_gsm8k()


def test_validation_is_cut_from_train_whatever_its_order(folder):
    data = read_folder(folder, SMALL)
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 20)
    assert data.test == make_problems(20, "test")
    path = folder / "train.jsonl"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    again = read_folder(folder, SMALL)
    key = str
    assert sorted(again.validation, key=key) == sorted(data.validation, key=key)
    assert again.train == data.train[::-1]
    assert again.sha256 != data.sha256


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "How many?", "answ', "not a complete JSON object"),
        ("", "not a complete JSON object"),
        ('["How many?", "#### 5"]', "needs the texts"),
        ('{"question": "How many?"}', "needs the texts"),
        ('{"question": "How many?", "answer": 5}', "needs the texts"),
        ('{"question": " ", "answer": "#### 5"}', "needs the texts"),
        ('{"question": "How many?", "answer": "It is 5"}', "#### number"),
        ('{"question": "How many?", "answer": "#### five"}', "#### number"),
        ('{"question": "How many?", "answer": "#### 5\\n#### 6"}', "#### number"),
        ('{"question": "How many?", "answer": "#### 5\\nand so on"}', "#### number"),
        ('{"question": "How many?", "answer": "\\ud800 #### 5', "not a complete JSON object"),
    ],
)
def test_a_wrong_line_is_named(folder, line, message):
    spoil(folder, 17, line)
    with pytest.raises(ValueError, match=f"train.jsonl, line 17: .*{message}") as error:
        read_folder(folder, SMALL)
    assert "\n" not in str(error.value)


def test_bytes_that_are_not_text(folder):
    path = folder / "test.jsonl"
    path.write_bytes(b"\x1f\x8b\xff\xfe" + path.read_bytes())
    with pytest.raises(ValueError, match=r"test\.jsonl, line 1: "):
        read_folder(folder, SMALL)


def test_too_few_and_too_many_lines(folder):
    with pytest.raises(ValueError, match="ends at line 60 instead of 61: it is truncated"):
        read_folder(folder, {"train": 61, "test": 20})
    with pytest.raises(ValueError, match="ends at line 60 instead of 59: it is not GSM8K's"):
        read_folder(folder, {"train": 59, "test": 20})


def test_a_named_folder_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_GSM8K", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="COURSE_GSM8K needs train"):
        load_gsm8k("cpu")


def test_numbers_with_commas_and_signs(folder):
    spoil(folder, 3, '{"question": "How many?", "answer": "so\\n#### -1,080"}')
    read_folder(folder, SMALL)


def test_the_generator_stands_in_and_says_why(no_hub, capsys):
    data = load_gsm8k()
    line = capsys.readouterr().out
    assert re.fullmatch(r"Problems: generated .* huggingface.co cannot be reached; set .*\n", line)
    assert {n: len(getattr(data, n)) for n in GENERATED} == GENERATED
    questions = [{row["question"] for row in split} for split in data[:3]]
    assert sum(map(len, questions)) == len(set.union(*questions)) == sum(GENERATED.values())
    assert load_gsm8k(verbose=False) == data
    assert capsys.readouterr().out == ""


def test_the_cpu_profile_does_not_ask_the_hub(monkeypatch, capsys):
    monkeypatch.delenv("COURSE_GSM8K", raising=False)
    monkeypatch.setattr(gsm8k, "read_hub", lambda: pytest.fail("the hub was asked"))
    assert load_gsm8k("cpu").source == "generated word problems"
    assert "profile cpu" in capsys.readouterr().out


@pytest.fixture
def fake_datasets(monkeypatch):
    """A `datasets` whose openai/gsm8k is made here: the hub is never asked."""
    fake = types.SimpleNamespace(config=types.SimpleNamespace(HF_HUB_OFFLINE=False), asked=[])

    def load_dataset(*args):
        fake.asked.append((args, fake.config.HF_HUB_OFFLINE))
        return fake.data

    fake.load_dataset = load_dataset
    fake.data = {
        split: [{**p, "extra": 1} for p in make_problems(n, split)] for split, n in SMALL.items()
    }
    monkeypatch.setitem(sys.modules, "datasets", fake)
    monkeypatch.delenv("COURSE_GSM8K", raising=False)
    monkeypatch.setattr(gsm8k, "SIZES", SMALL)
    monkeypatch.setattr(gsm8k, "hub_answers", lambda: True)
    return fake


def test_the_hub(fake_datasets, capsys):
    data = load_gsm8k("gpu")
    assert fake_datasets.asked == [(("openai/gsm8k", "main"), False)]
    assert len(data.train) == 54 and set(data.train[0]) == {"question", "answer"}
    assert "GSM8K from huggingface.co" in capsys.readouterr().out


def test_without_a_network_only_the_cache_is_asked(fake_datasets, monkeypatch):
    monkeypatch.setattr(gsm8k, "hub_answers", lambda: False)
    load_gsm8k("gpu")
    assert fake_datasets.asked == [(("openai/gsm8k", "main"), True)]
    assert fake_datasets.config.HF_HUB_OFFLINE is False


def test_a_short_hub_copy_is_refused(fake_datasets):
    del fake_datasets.data["test"][0]
    with pytest.raises(ValueError, match="test has 19 problems instead of 20"):
        load_gsm8k("gpu")


def test_without_the_package(monkeypatch, capsys):
    monkeypatch.delenv("COURSE_GSM8K", raising=False)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert load_gsm8k("gpu").source == "generated word problems"
    assert "pip install datasets" in capsys.readouterr().out
