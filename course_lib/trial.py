"""Run answers as the grader does, in a process of their own, and ask the visible checks.

`run` starts this module as a program and kills it when a cell takes too long; then it starts
again without that cell, so one bad cell costs its own exercise alone.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETUP_SECONDS = 300  # the first import of torch from a slow disk takes its time


def run(steps, seconds: float, files=()):
    """Run the cells `steps`, each (kind, exercise, source, names that its check is called with).

    Yields (exercise, state, text) for each solution cell as soon as it is known; state is "ok",
    "not yet" or "blank". seconds: the limit of one cell with its check. files: copied to the
    folder in which the cells run.
    """
    told, left_out = set(), set()
    while True:
        todo = [step for step in steps if step[1] is None or step[1] not in left_out]
        reason, at = None, 0
        for message in _process(todo, told, seconds, files):
            at, reason = message.get("at", at), message.get("ended")
            if "exercise" in message:
                told.add(message["exercise"])
                yield message["exercise"], message["state"], message["text"]
        if reason is None:
            return
        kind, exercise, *_ = todo[at]
        lost = [exercise] if kind == "solution" else [step[1] for step in todo if step[1]]
        where = "" if kind == "solution" else "not run, a set-up cell: "
        for name in lost:
            if name not in told:
                told.add(name)
                yield name, "not yet", where + reason
        if kind != "solution":
            return
        left_out.add(exercise)


def _process(todo, told, seconds, files):
    """The messages of one process, then {"ended": why} unless it came to the end by itself."""
    with tempfile.TemporaryDirectory(prefix="course-submit-") as folder:
        for file in files:
            shutil.copy(file, folder)
        said = Path(folder, ".said")
        said.touch()
        Path(folder, ".steps").write_text(json.dumps([todo, sorted(told)]), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "course_lib.trial", folder],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"MPLBACKEND": "Agg", "TQDM_DISABLE": "1"},
            start_new_session=True,
        )
        try:
            yield from _listen(process, said, todo, seconds)
        finally:
            _kill(process)


def _listen(process, said, todo, seconds):
    since, limit = time.monotonic(), SETUP_SECONDS
    with open(said, encoding="utf-8") as lines:
        part = ""
        while True:
            ended = process.poll() is not None  # asked first: what it said before is read below
            while line := lines.readline():
                part += line
                if not part.endswith("\n"):
                    break
                message, part = json.loads(part), ""
                if message == {}:
                    return
                yield message
                if "at" in message:
                    since = time.monotonic()
                    limit = seconds if todo[message["at"]][0] == "solution" else SETUP_SECONDS
                if "ended" in message:
                    return
            if ended:
                yield {"ended": f"it ended Python ({_exit(process.returncode)})"}
                return
            if time.monotonic() - since > limit:
                yield {"ended": f"not finished after {limit:g} seconds"}
                return
            time.sleep(0.05)


def _exit(code):
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _kill(process):
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


# ------------------------------------------------------------------------------ in the process


def main(folder: str) -> None:
    """Run the steps in `folder`/.steps; say what came of them in `folder`/.said, a line each."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    from course_lib.checking import run_check

    todo, told = json.loads(Path(folder, ".steps").read_text(encoding="utf-8"))
    config = Config()
    config.HistoryManager.enabled = False  # the student's own history is no place for these cells
    shell = InteractiveShell.instance(config=config)
    with open(Path(folder, ".said"), "a", encoding="utf-8", buffering=1) as said:

        def say(**message):
            said.write(json.dumps(message) + "\n")

        for at, (kind, name, source, functions) in enumerate(todo):
            say(at=at)
            result = shell.run_cell(source, store_history=False, silent=True)
            error = result.error_before_exec or result.error_in_exec
            if kind == "setup":
                if error:
                    return say(ended=_words(error))
                continue
            if name in told:
                continue
            absent = [f for f in functions if f not in shell.user_ns]
            if error:
                state, text = "not yet", f"the cell stops: {_words(error)}"
            elif absent:
                state, text = "not yet", f"the cell does not define {', '.join(absent)}"
            else:
                state, text = _verdict(run_check(name, *(shell.user_ns[f] for f in functions)))
            say(exercise=name, state=state, text=text)
        say()


def _verdict(report):
    """(state, one line) for what a visible check found."""
    text = report.title.removeprefix(f"{report.name}: ").removesuffix(" - well done")
    if report.passed:
        return "ok", text
    if report.not_started:
        return "blank", text
    bad = next((o for o in report.outcomes if o.status in ("fail", "error")), None)
    if bad:
        why = bad.mistake or (bad.detail if bad.kind == "wrong" else bad.kind)
        text = f"{text.removesuffix(' - not yet')}; {bad.title}: {why}"
    return "not yet", " ".join(text.split())


def _words(error):
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


if __name__ == "__main__":
    # As in a notebook, the answers live in __main__: this module's own names must not be there.
    from course_lib import trial

    trial.main(sys.argv[1])
