"""The run as a script: what it reads, what it keeps when it is interrupted, what it says."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from course_lib import gsm8k_run as script

ROOT = Path(__file__).resolve().parents[2]
SOLVED = ROOT / "solutions" / "04_gsm8k_lora.py"
BLANK = ROOT / "lectures" / "04_gsm8k_lora" / "04_gsm8k_lora.ipynb"

# ---------------------------------------------------------------- the notebook


def test_it_takes_the_functions_of_the_notebook():
    space = script.load_notebook(SOLVED)
    assert set(script.NEEDED) <= set(space)
    assert space["to_prompt_completion"]({"question": "?", "answer": "!"})["prompt"] == "?\n"


def test_it_executes_nothing_but_setup_and_answers(tmp_path):
    notebook = json.loads(BLANK.read_text())
    for cell in notebook["cells"]:
        nbgrader = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and nbgrader.get("solution"):
            name = nbgrader["grade_id"]
            cell["source"] = f"def {name}(*args, **kwargs):\n    return {name!r}"
        elif cell["cell_type"] == "code" and "setup" not in cell["metadata"].get("tags", []):
            cell["source"] = "raise RuntimeError('a demonstration ran')"
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(notebook))
    assert script.load_notebook(path)["evaluate"]() == "evaluate"


def test_an_import_of_a_demonstration_comes_with_the_answer(tmp_path):
    notebook = json.loads(BLANK.read_text())
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = f"def {name}():\n    return trl.__name__"
    path = tmp_path / "mine.ipynb"
    path.write_text(json.dumps(notebook))
    assert "import trl" in "".join("".join(c["source"]) for c in notebook["cells"])
    assert script.load_notebook(path)["make_trainer"]() == "trl"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (None, "cannot read the notebook"),
        ("{", "not a notebook"),
        ('{"cells": [{}]}', "not a notebook"),
        ('{"cells": [], "nbformat": 4}', "to_prompt_completion is not written yet"),
    ],
)
def test_what_is_no_notebook_is_one_clear_line(tmp_path, content, error):
    path = tmp_path / "x.ipynb"
    if content is not None:
        path.write_text(content)
    with pytest.raises(script.RunError, match=error) as caught:
        script.load_notebook(path)
    assert "\n" not in str(caught.value)


def test_a_blank_notebook_says_which_exercise_comes_first(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert script.main(["--notebook", str(BLANK), "--out", out, "--profile", "cpu"]) == 1
    said = capsys.readouterr().err
    assert "to_prompt_completion is not written yet" in said and said.count("\n") == 1


# ---------------------------------------------------------------- interruptions


def checkpoint(folder, step, whole=True):
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    (path / "adapter_model.safetensors").write_bytes(b"x" if whole else b"")
    (path / "trainer_state.json").write_text(json.dumps({"global_step": step}) if whole else "{")
    return path


def test_the_last_whole_checkpoint_counts(tmp_path):
    assert script.last_checkpoint(tmp_path) is None
    checkpoint(tmp_path, 20)
    want = checkpoint(tmp_path, 100)
    checkpoint(tmp_path, 120, whole=False)
    assert script.last_checkpoint(tmp_path) == want


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "stopped by you"),
        (MemoryError(), "out of memory: halve the examples per device"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "out of memory"),
        (OSError(28, "No space left on device"), "the disk of"),
        (RuntimeError("[enforce fail at inline_container.cc] unexpected pos 64 vs 0"), "is full"),
    ],
)
def test_what_stops_a_run_is_one_line_and_loses_nothing(tmp_path, error, said):
    kept = checkpoint(tmp_path, 40)
    with pytest.raises(script.RunError) as caught, script.explained(tmp_path):
        raise error
    text = str(caught.value)
    assert said in text and f"{kept} is kept" in text and "\n" not in text


def test_other_errors_stay_what_they_are(tmp_path):
    with pytest.raises(RuntimeError, match="shapes") as caught, script.explained(tmp_path):
        raise RuntimeError("shapes do not match")
    assert not isinstance(caught.value, script.RunError)


def test_texts_are_kept_and_not_written_twice(tmp_path):
    path, asked = tmp_path / "before.jsonl", []

    def generate(prompts):
        asked.extend(prompts)
        return [(p.upper(), True) for p in prompts]

    first = script.remembering(generate, path)
    assert first(["a", "b"]) == [("A", True), ("B", True)]
    with path.open("a") as file:
        file.write('{"prompt": "cut sho')  # the runtime was lost here
    second = script.remembering(generate, path)
    assert second(["b", "c", "a"]) == [("B", True), ("C", True), ("A", True)]
    assert asked == ["a", "b", "c"]


# ---------------------------------------------------------------- whole runs


def run(folder, *options, launch=()):
    command = [*launch, "-m", "course_lib.gsm8k_run", "--notebook", str(SOLVED)]
    command += ["--out", str(folder), "--profile", "cpu", "--test", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-3000:]
    log = json.loads((Path(folder) / "training.json").read_text())["log"]
    return [row["loss"] for row in log if "loss" in row]


@pytest.mark.slow
def test_two_processes_train_as_one_with_the_same_batch(tmp_path):
    options = ("--steps", "4", "--batch", "8", "--log-every", "1", "--learning-rate", "1e-3")
    one = run(tmp_path / "one", *options, "--micro-batch", "4")
    launch = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")
    launch += ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    two = run(tmp_path / "two", *options, "--micro-batch", "4", launch=launch)
    assert len(one) == len(two) == 4
    assert two == pytest.approx(one, rel=0.02)


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(tmp_path):
    options = ("--batch", "4", "--log-every", "1", "--save-every", "2")
    whole = run(tmp_path / "whole", *options, "--steps", "4")
    run(tmp_path / "parts", *options, "--steps", "4")
    for name in ("adapter", "checkpoints/checkpoint-4"):
        subprocess.run(["rm", "-r", str(tmp_path / "parts" / name)], check=True)
    resumed = run(tmp_path / "parts", *options, "--steps", "4")
    assert resumed[-2:] == pytest.approx(whole[-2:], rel=1e-4)


# ---------------------------------------------------------------- what really happens


def stopped(tmp_path, *, options=(), environment=(), after=None):
    """Run the script and let it meet a trouble; the one line that it ends with."""
    command = [sys.executable, "-m", "course_lib.gsm8k_run", "--notebook", str(SOLVED)]
    command += ["--out", str(tmp_path / "out"), "--profile", "cpu", "--batch", "4", *options]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", **dict(environment)},
        # A shell that runs the tests in the background ignores Ctrl-C, and so would the script.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    if after:
        after(process)
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 1 and "Traceback" not in said, said[-3000:]
    lines = [line for line in said.splitlines() if line.startswith("gsm8k_run: ")]
    assert len(lines) == 1, said[-3000:]
    return lines[0]


@pytest.mark.slow
def test_ctrl_c_keeps_the_last_checkpoint_and_the_same_command_goes_on(tmp_path):
    saved = tmp_path / "out" / "checkpoints" / "checkpoint-2" / "trainer_state.json"

    def interrupt(process):
        while not saved.is_file():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)

    options = ("--steps", "400", "--save-every", "2", "--log-every", "1", "--test", "0")
    said = stopped(tmp_path, options=options, after=interrupt)
    assert "stopped by you" in said and "checkpoint-" in said
    done = script.last_checkpoint(tmp_path / "out" / "checkpoints")
    step = json.loads((done / "trainer_state.json").read_text())["global_step"]
    losses = run(tmp_path / "out", "--batch", "4", "--steps", str(step + 2), "--log-every", "1")
    assert len(losses) == step + 2


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full(tmp_path):
    (tmp_path / "out").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1500k", "none", str(tmp_path / "out")]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        options = ("--steps", "30", "--save-every", "2", "--test", "0")
        assert "is full: make room" in stopped(tmp_path, options=options)
    finally:
        subprocess.run(["umount", str(tmp_path / "out")], check=True)


@pytest.mark.slow
def test_a_device_with_really_too_little_memory(tmp_path):
    def limit(process):
        # When everything is imported, so that the training meets the limit, not the import.
        while not (tmp_path / "out").is_dir():
            assert process.poll() is None
            time.sleep(0.02)
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        data = next(int(line.split()[1]) for line in lines if line.startswith("VmData"))
        room = (data << 10) + (600 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_DATA, (room, room))

    options = ("--batch", "512", "--micro-batch", "512", "--steps", "2", "--test", "0")
    said = stopped(tmp_path, options=options, after=limit)
    assert "out of memory: halve the examples per device" in said


@pytest.mark.slow
def test_a_wrong_folder_of_data_and_a_missing_package(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train.jsonl").write_text("not json\n")
    said = stopped(tmp_path, environment={"COURSE_GSM8K": str(folder)}.items())
    assert str(folder) in said
    said = stopped(tmp_path, environment={"COURSE_GSM8K": str(tmp_path / "none")}.items())
    assert str(tmp_path / "none") in said
    (tmp_path / "trl").mkdir()
    (tmp_path / "trl" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'trl'\", name='trl')"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    said = stopped(tmp_path, environment={"PYTHONPATH": path}.items())
    assert said == "gsm8k_run: a package is missing: pip install trl"
