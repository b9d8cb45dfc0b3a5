"""What the cells of a judged notebook show: they are run once more, beside the student process.

    student process   beside()     forks a process that runs the cells and sends what they show,
                                   and waits for its end before it takes the judge's first question
    worker            Show.take()  reads it, checks it, and hangs up before the judge asks anything

So the process that knows a hidden input has no way to show it, and the one that shows knows none.
What it sends is data in bounded frames, and no more trusted than an answer to the judge.

This is for notebooks without surprises, nearly all. A cell that hangs, crashes, floods, or takes
back what it has shown ends the attempt: the worker takes nothing of it, the student process and
all below it are killed, and kernel.py runs the notebook after the judge, in a Jupyter kernel.
"""

import builtins
import json
import os
import platform
import shutil
import signal
import socket
import struct
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass

from nbformat import from_dict

SECONDS = 10  # for all cells together; who needs more goes through the kernel
LAST_SECONDS = 2  # from the last cell to the end of the process
MAX_DEPTH = 60  # of the lists and dicts in an output: converters and JSON writers recurse
DONE = b"."
_FRAME = struct.Struct("<Q")


# -------------------------------------------------------------------------------- in the worker


@dataclass
class Show:
    """The cells to run, (id, source) each; then what each showed: id -> (count, outputs).

    `outputs` stays None if the attempt was given up."""

    cells: list[tuple[str, str]]
    outputs: dict[str, tuple[int, list]] | None = None

    def order(self, limits) -> bytes:
        """The payload of the student process."""
        sources = [source for _, source in self.cells]
        return json.dumps({"cells": sources, "output_bytes": limits.output_bytes}).encode()

    def take(self, line: socket.socket, limits) -> bool:
        """Fill `outputs` from the socket and close it; False if the attempt was given up."""
        end = time.monotonic() + min(SECONDS, limits.cell_seconds)
        left, found = limits.output_bytes, {}
        with line, suppress(OSError, ValueError, RecursionError):
            for name, _ in self.cells:
                [size] = _FRAME.unpack(_read(line, _FRAME.size, end))
                left -= size
                if left < 0:
                    return False
                found[name] = _checked(json.loads(_read(line, size, end)))
            # The student process says that it is alive and ready for the judge.
            if _read(line, 1, time.monotonic() + LAST_SECONDS) == DONE:
                self.outputs = found
        return self.outputs is not None


def _read(line, size, end) -> bytes:
    data = bytearray()
    while len(data) < size:
        line.settimeout(max(0.001, end - time.monotonic()))
        chunk = line.recv(min(size - len(data), 1 << 20))
        if not chunk:
            raise ValueError("it ended early")
        data += chunk
    return bytes(data)


def _checked(frame) -> tuple[int, list]:
    match frame:
        case [int(count), list(outputs)] if 0 < count < 1 << 31:
            return count, [_output(kind, content) for kind, content in outputs]
    raise ValueError("not what a cell shows")


def _output(kind, content):
    if kind not in ("stream", "error", "display_data", "execute_result"):
        raise ValueError("no output")
    if not isinstance(content, dict) or not well_formed(kind, content):
        raise ValueError("malformed output")
    return from_dict({"output_type": kind, **{name: content[name] for name in FIELDS[kind]}})


FIELDS = {
    "stream": {"name": str, "text": str},
    "display_data": {"data": dict, "metadata": dict},
    "update_display_data": {"data": dict, "metadata": dict},
    "execute_result": {"data": dict, "metadata": dict, "execution_count": int},
    "error": {"ename": str, "evalue": str, "traceback": list},
    "status": {"execution_state": str},
    "execute_reply": {"status": str},
}


def well_formed(kind, content: dict) -> bool:
    """Whether the content of a message has what nbformat and nbclient take for granted."""
    if not isinstance(kind, str) or not _shallow(content, MAX_DEPTH):
        return False
    fields = FIELDS.get(kind, {})
    if not all(isinstance(content.get(name), of) for name, of in fields.items()):
        return False
    if kind == "stream":
        return content["name"] in ("stdout", "stderr")
    if kind == "error":
        return all(isinstance(line, str) for line in content["traceback"])
    if "data" in fields:
        texts = {k: v for k, v in content["data"].items() if not k.endswith("json")}
        return all(isinstance(v, str) for v in texts.values())
    return True


def _shallow(value, depth: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return True
    return depth > 0 and all(_shallow(part, depth - 1) for part in value)


def language_info() -> dict:
    """What a stock kernel reports of itself; the worker's Python is the kernel's."""
    return {
        "name": "python",
        "version": platform.python_version(),
        "mimetype": "text/x-python",
        "codemirror_mode": {"name": "ipython", "version": 3},
        "pygments_lexer": "ipython3",
        "nbconvert_exporter": "python",
        "file_extension": ".py",
    }


# ------------------------------------------------------------------------ in the student process


def beside(shell, payload: bytes, line: int, others: list[int]) -> None:
    """Run the cells of `payload` in a fork, which sends what they show on `line`.

    Returns when it has ended, with its process group and the files it left. `others`: file
    descriptors that it does not get.
    """
    home, scratch, temporary = os.environ["HOME"], os.getcwd(), tempfile.gettempdir()
    before = {folder: set(os.listdir(folder)) for folder in (home, scratch, temporary)}
    child = os.fork()
    if child == 0:
        try:
            os.setpgid(0, 0)
            for fd in others:
                os.close(fd)
            os.chdir(tempfile.mkdtemp())  # the working folder is the judged run's
            _run(shell, json.loads(payload), socket.socket(fileno=line))
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    with suppress(OSError):
        os.killpg(child, signal.SIGKILL)
    for folder, names in before.items():
        for name in set(os.listdir(folder)) - names:
            path = os.path.join(folder, name)
            shutil.rmtree(path, ignore_errors=True)
            with suppress(OSError):
                os.unlink(path)
    with socket.socket(fileno=line) as ready, suppress(OSError):
        ready.sendall(DONE)


def _run(shell, order, line) -> None:
    import sys

    from jupyter_client.jsonutil import json_default

    builtins.input = _no_input
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    files = [tempfile.TemporaryFile(buffering=0) for _ in range(2)]  # noqa: SIM115 (to the end)
    for fd, file in enumerate(files, start=1):  # what other processes and C code print
        os.set_blocking(file.fileno(), True)
        os.dup2(file.fileno(), fd)
    shown = shell.shown = Shown(order["output_bytes"])
    sys.stdout, sys.stderr = shown.stream("stdout", 1), shown.stream("stderr", 2)
    for source in order["cells"]:
        count = shell.execution_count
        shell.run_cell(source, store_history=True)
        for name, file in zip(("stdout", "stderr"), files, strict=True):
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(0)
                shown.print(name, file.read(shown.left + 1).decode(errors="replace"))
                file.truncate(0)
                file.seek(0)
        data = json.dumps([count, shown.take()], default=json_default).encode()
        if shown.odd:
            return
        line.sendall(_FRAME.pack(len(data)) + data)


def _no_input(prompt="", **_):
    from IPython.core.error import StdinNotImplementedError

    raise StdinNotImplementedError(
        "raw_input was called, but this frontend does not support input requests."
    )


class Shown:
    """What a cell has shown so far, as [kind, content] of Jupyter's messages."""

    def __init__(self, output_bytes: int):
        self.outputs, self.left, self.odd = [], output_bytes, False

    def take(self) -> list:
        outputs, self.outputs = self.outputs, []
        return outputs

    def add(self, kind: str, **content) -> None:
        self.outputs.append([kind, content])

    def print(self, name: str, text: str) -> None:
        self.left -= len(text)
        if self.left < 0:
            self.odd = True
        elif self.outputs and self.outputs[-1][1].get("name") == name:
            self.outputs[-1][1]["text"] += text
        elif text:
            self.add("stream", name=name, text=text)

    def stream(self, name: str, number: int):
        import io

        shown = self

        class Stream(io.TextIOBase):
            encoding = "UTF-8"

            def write(self, text):
                if not isinstance(text, str):
                    raise TypeError(f"write() argument must be str, not {type(text)}")
                shown.print(name, text)
                return len(text)

            def writable(self):
                return True

            def fileno(self):
                return number

        return Stream()
