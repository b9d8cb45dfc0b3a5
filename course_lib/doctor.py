"""`course doctor`: what is installed, what it will run on, and what to do about the rest."""

import contextlib
import importlib.util
import io
import os
import platform
import re
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# package: (oldest version asked for, newest that was tested, needed for, must have)
TESTED = {
    "torch": ("2.5", "2.13", "everything", True),
    "transformers": ("5.0", "5.23", "everything", True),
    "peft": ("0.18", "0.21", "notebooks 02 to 05", True),
    "safetensors": ("0.5", "0.8", "reading models", True),
    "matplotlib": ("3.8", "3.11", "plots", True),
    "ipywidgets": ("7.7.1", "8.1", "the explorers", True),
    "anywidget": ("0.9.13", "0.11", "the explorers", True),
    "trl": ("1.0", "1.16", "notebooks 03 to 05", False),
    "datasets": ("4.0", "5", "the real GSM8K", False),
    "jupyterlab": ("4.4", "4.6", "running on your own machine", False),
}
# profile: (what runs, GiB of RAM, GiB of disk); the gpu profile downloads a model of 3.1 GB
PROFILES = {
    "cpu": ("the embedded model, minutes on a laptop", 2, 1),
    "smollm2": ("SmolLM2-135M, slow without a GPU", 3, 2),
    "gpu": ("Qwen2.5-Math-1.5B", 8, 8),
}


@dataclass(frozen=True)
class Line:
    status: str  # "ok", "warn" or "fail"
    what: str
    found: str
    todo: str = ""  # what to do about it, unless ok

    def __str__(self):
        todo = f"\n       {'':<14} -> {self.todo}" if self.todo else ""
        return f"{self.status:<6} {self.what:<14} {self.found}{todo}"


def examine() -> list[Line]:
    """Every finding, in the order to read them."""
    lines = [_python(), *(_package(name) for name in TESTED)]
    if importlib.util.find_spec("torch") is None:
        return [*lines, Line("fail", "device", "unknown without torch", "pip install torch")]
    profile = _profile()
    _, memory, disk = PROFILES.get(profile.found.split()[0], PROFILES["cpu"])
    return [*lines, _device(), _memory(memory), _disk(disk), profile, _gsm8k(), _widgets()]


def main() -> int:
    """Print the findings; 0 if nothing failed, else 1."""
    lines = examine()
    print(*lines, sep="\n")
    failed = [line.what for line in lines if line.status == "fail"]
    warned = [line.what for line in lines if line.status == "warn"]
    if failed:
        print(f"\nNot ready: {', '.join(failed)}. Do what the arrows say, then run this again.")
        return 1
    print("\nReady." + (f" Worth a look: {', '.join(warned)}." if warned else ""))
    return 0


def _python():
    found = f"{platform.python_version()} on {platform.system()}"
    if tuple(map(int, platform.python_version_tuple()[:2])) < (3, 11):
        return Line("fail", "python", found, "the course needs Python 3.11 or newer")
    return Line("ok", "python", found)


def _package(name):
    low, high, purpose, required = TESTED[name]
    try:
        here = version(name)
    except PackageNotFoundError:
        status = "fail" if required else "warn"
        todo = f'pip install "{name}>={low}"   (needed for {purpose})'
        return Line(status, name, "not installed", todo)
    tested = f"needs {low} or newer, tested with {high}"
    if _number(here) < _number(low):
        status = "fail" if required else "warn"
        return Line(status, name, f"{here}, {tested}", f'pip install --upgrade "{name}>={low}"')
    if _number(here)[: len(_number(high))] > _number(high):
        todo = f"newer than what was tested; if something breaks: pip install {name}=={high}.*"
        return Line("warn", name, f"{here}, {tested}", todo)
    return Line("ok", name, f"{here}, {tested}")


def _number(text):
    """'2.13.0+cpu' -> (2, 13, 0): enough to compare releases."""
    return tuple(int(part) for part in re.match(r"\d+(?:\.\d+)*", text).group().split("."))


def _device():
    from course_lib.device import pick_device, report

    if pick_device().type == "cpu":
        return Line("ok", "device", report() + "; no GPU")
    return Line("ok", "device", report())


def _memory(need):
    from course_lib.device import available_memory

    free = available_memory()
    if free is None:
        return Line("warn", "memory", "unknown", "install psutil to see it: pip install psutil")
    found = f"{free / 2**30:.1f} GiB free"
    if free < need * 2**30:
        todo = f"{need} GiB should be free: close other notebooks and shut their kernels down"
        return Line("warn", "memory", found, todo)
    return Line("ok", "memory", found)


def _disk(need):
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 2**30:.1f} GiB free here"
    if free < need * 2**30:
        return Line("warn", "disk", found, f"{need} GiB should be free for models and results")
    return Line("ok", "disk", found)


def _profile():
    from course_lib.device import pick_device
    from course_lib.models import choose_profile

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # this line says the same
            profile = choose_profile()
    except ValueError as error:
        return Line("fail", "profile", "unknown", str(error))
    how = "from COURSE_PROFILE" if os.environ.get("COURSE_PROFILE") else "decided from the device"
    found = f"{profile} ({how}): {PROFILES[profile][0]}"
    if profile == "gpu" and pick_device().type != "cuda":
        return Line("warn", "profile", found, "there is no CUDA device: this will take many hours")
    return Line("ok", "profile", found)


def _gsm8k():
    folder = os.environ.get("COURSE_GSM8K")
    if folder:
        missing = [n for n in ("train.jsonl", "test.jsonl") if not (Path(folder) / n).is_file()]
        if missing:
            todo = f"put {' and '.join(missing)} there, or unset COURSE_GSM8K"
            return Line("fail", "GSM8K", f"COURSE_GSM8K={folder}", todo)
        return Line("ok", "GSM8K", f"the files in COURSE_GSM8K={folder}")
    if importlib.util.find_spec("datasets") is None:
        return Line("ok", "GSM8K", "COURSE_GSM8K not set, no datasets: generated problems are used")
    return Line("ok", "GSM8K", "COURSE_GSM8K not set: downloaded when a notebook needs it")


def _widgets():
    try:
        from course_lib.widgets import kv_cache_explorer

        kv_cache_explorer()
    except Exception as error:  # whatever it is, it is what a notebook would meet
        todo = "pip install --upgrade ipywidgets anywidget, then restart Jupyter"
        return Line("warn", "widgets", f"{type(error).__name__}: {error}", todo)
    return Line("ok", "widgets", "an explorer can be made; pictures stand in where it cannot show")
