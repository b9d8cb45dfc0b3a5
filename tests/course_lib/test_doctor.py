import importlib.util

import pytest

from course_lib import cli, doctor
from course_lib.doctor import Line, examine


def by_name():
    return {line.what: line for line in examine()}


def test_finds_everything_here(monkeypatch):
    monkeypatch.delenv("COURSE_PROFILE", raising=False)
    monkeypatch.delenv("COURSE_GSM8K", raising=False)
    lines = by_name()
    expected = {"python", "torch", "device", "memory", "disk", "profile", "GSM8K", "widgets"}
    assert expected <= set(lines)
    assert lines["torch"].status == "ok" and lines["widgets"].status == "ok", lines["widgets"]
    assert "decided from the device" in lines["profile"].found


@pytest.mark.parametrize(
    ("here", "status", "words"),
    [
        ("5.3.0", "ok", "needs 5.0 or newer, tested with 5.23"),
        ("5.23.9+cpu", "ok", ""),
        ("4.57.1", "fail", "pip install --upgrade"),
        ("5.24.0", "warn", "newer than what was tested"),
        ("5.9rc1", "ok", ""),
        ("5", "ok", ""),
    ],
)
def test_versions(monkeypatch, here, status, words):
    monkeypatch.setattr(doctor, "version", lambda name: here)
    if here == "5":
        monkeypatch.setitem(doctor.TESTED, "transformers", ("5", "5.23", "everything", True))
    line = doctor._package("transformers")
    assert line.status == status and words in str(line)


def test_missing_packages(monkeypatch):
    def missing(name):
        raise doctor.PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", missing)
    assert doctor._package("torch").status == "fail"
    assert doctor._package("trl").status == "warn"
    assert "notebooks 03 to 05" in str(doctor._package("trl"))


def test_without_torch(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else found(name)
    )
    assert examine()[-1].status == "fail" and "pip install torch" in str(examine()[-1])


def test_profile_and_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_PROFILE", "gpu")
    monkeypatch.setenv("COURSE_GSM8K", str(tmp_path))
    lines = by_name()
    assert "from COURSE_PROFILE" in lines["profile"].found
    assert lines["GSM8K"].status == "fail" and "train.jsonl and test.jsonl" in str(lines["GSM8K"])
    (tmp_path / "train.jsonl").write_text("")
    (tmp_path / "test.jsonl").write_text("")
    assert doctor._gsm8k().status == "ok"
    monkeypatch.setenv("COURSE_PROFILE", "tpu")
    assert by_name()["profile"].status == "fail"


def test_too_little_memory_or_disk_is_a_warning():
    assert doctor._memory(0).status == doctor._disk(0).status == "ok"
    assert doctor._memory(10**6).status == doctor._disk(10**9).status == "warn"


def test_every_profile_is_known():
    from course_lib import models

    assert set(doctor.PROFILES) == set(models.PROFILES)


def test_broken_widgets_are_a_warning(monkeypatch):
    import course_lib.widgets

    monkeypatch.setattr(course_lib.widgets, "kv_cache_explorer", lambda: 1 / 0)
    assert doctor._widgets().status == "warn" and "ZeroDivisionError" in str(doctor._widgets())


def test_exit_code_and_words(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: [Line("ok", "a", "1"), Line("warn", "b", "2")])
    assert cli.main(["doctor"]) == 0
    assert "Ready. Worth a look: b." in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", lambda: [Line("fail", "a", "1", "do it")])
    assert cli.main(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "fail   a" in out and "-> do it" in out and "Not ready: a." in out


def test_the_command_is_needed(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([])
    assert caught.value.code == 2
