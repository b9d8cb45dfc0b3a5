"""The display run: a real Jupyter kernel, forked from the warm process, driven by nbclient.

It gives the outputs that the autograded notebook and the feedback show, and never sees a hidden
input. For notebooks of other nbgrader courses, with their tests in their cells, its outputs are
what nbgrader grades; they are those of stock nbclient but for the limits.

The kernel is student code from the first cell on, so nothing it sends is trusted. Its sockets are
made here, in a folder of the worker's, and handed over already listening (ZMQ_USE_FD): there is no
path the student could replace. Messages are bounded in size and number, and malformed ones dropped.
"""

import asyncio
import json
import os
import secrets
import shutil
import socket
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty

import zmq
from ipykernel.iostream import OutStream
from ipykernel.kernelapp import IPKernelApp
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.channels import AsyncZMQSocketChannel
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import KernelProvisionerBase
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete
from nbformat.v4 import new_output
from traitlets import Any, Type
from traitlets.config import Config

from autograder.display import language_info, well_formed
from autograder.sandbox import Limits

CHANNELS = ("shell", "iopub", "stdin", "control")
MAX_RESTARTS = 5  # of cells that end their kernel for good
GRACE_SECONDS = 2  # from the interrupt of a cell to the end of its kernel
RESERVE = 64 * 1024  # bytes that each cell may show after the notebook's output was cut
FLOOD = 32  # times output_bytes: who sends more than this is stopped, not only cut


@dataclass(frozen=True)
class Problem:
    """What went wrong in a cell. status: "timeout", "crash", "memory" or "output" (was cut)."""

    index: int
    cell: str | None
    status: str
    message: str

    def __str__(self) -> str:
        return f"cell {self.index + 1}: {self.message}"


# ---------------------------------------------------------------------------------- in the fork


class BoundedStream(OutStream):
    """Drops what a program prints beyond the limit, before it becomes one huge message."""

    left = 0  # characters, for stdout and stderr together

    def write(self, string: str) -> int | None:
        if not isinstance(string, str):
            return super().write(string)
        kept = string[: BoundedStream.left]
        BoundedStream.left -= len(kept)
        if kept:
            super().write(kept)
        return len(string)


class ForkedKernel(IPKernelApp):
    """Listens where it is told to; needs no connection file and no heartbeat."""

    def _try_bind_socket(self, s, port):
        s.use_fd = self.listening[port - 1]
        s.bind(f"ipc://{self.ip}-{port}")
        return port

    def init_connection_file(self):
        pass

    def write_connection_file(self, **_):
        pass

    def init_heartbeat(self):
        pass

    def parse_command_line(self, argv=None):
        pass


def serve_kernel(payload: bytes, fds: list[int]) -> None:
    """The fork's side: an IPython kernel on the listening sockets `fds`, in order of CHANNELS.

    The last of `fds` is written to once it listens. payload: JSON with key and output_bytes.
    """
    settings = json.loads(payload)
    BoundedStream.left = settings["output_bytes"] + 1  # one more, so that the worker sees the cut
    config = Config()
    config.HistoryManager.hist_file = ":memory:"
    config.IPKernelApp.outstream_class = f"{__name__}.BoundedStream"
    if InteractiveShell.initialized():  # that of the judged runs, see student.py
        type(InteractiveShell.instance()).clear_instance()
    app = ForkedKernel.instance(config=config, transport="ipc", ip="kernel")
    app.listening = fds
    app.shell_port, app.iopub_port, app.stdin_port, app.control_port = 1, 2, 3, 4
    app.session.key = settings["key"].encode()
    app.initialize([])
    os.write(fds[-1], b"ready")
    os.close(fds[-1])
    app.start()


# -------------------------------------------------------------------------------- in the worker


class _Channel(AsyncZMQSocketChannel):
    """A channel that skips what is not a message."""

    async def get_msg(self, timeout=None):
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0, deadline - time.monotonic()) * 1000
            if not await self.socket.poll(left):
                raise Empty
            frames = await self.socket.recv_multipart()
            # Whatever the student's process sends, the worker goes on.
            with suppress(Exception):
                _, parts = self.session.feed_identities(frames)
                message = self.session.deserialize(parts)
                if _well_formed(message):
                    message["size"] = sum(map(len, frames))
                    return message


class _Client(AsyncKernelClient):
    """Connects with bounds on what it takes in; is ready as soon as the kernel is."""

    shell_channel_class = Type(_Channel)
    iopub_channel_class = Type(_Channel)
    stdin_channel_class = Type(_Channel)
    control_channel_class = Type(_Channel)

    def _create_connected_socket(self, channel, identity=None):
        # Options of a context are those of the sockets made from it. A larger message ends
        # its connection; the queue holds few, for each may be large.
        self.context.setsockopt(zmq.MAXMSGSIZE, self.parent.provisioner.max_message)
        self.context.setsockopt(zmq.RCVHWM, 64)
        return super()._create_connected_socket(channel, identity)

    async def wait_for_ready(self, timeout=None):
        """Until the kernel answers and its iopub channel reaches us.

        jupyter_client's own then waits until iopub is silent for 0.2 s; nbclient tells
        messages apart by their parent and needs no silence.
        """
        deadline = time.monotonic() + (timeout or 60)
        while time.monotonic() < deadline:
            self.kernel_info()
            with suppress(Empty):
                await self.shell_channel.get_msg(timeout=1)
                await self.iopub_channel.get_msg(timeout=0.2)
                return
            if not await self.parent.is_alive():
                raise RuntimeError("the kernel died while starting")
        raise RuntimeError("the kernel did not get ready in time")


class _Provisioner(KernelProvisionerBase):
    """A kernel that is a fork of a warm process."""

    warm, limits = Any(), Any()
    child = folder = None

    @property
    def max_message(self):
        return 8 * self.limits.output_bytes  # JSON may write one byte as six

    @property
    def has_process(self):
        return self.child is not None

    async def poll(self):
        ended = self.child.wait(0) if self.child else None
        return None if self.child and ended is None else 1

    async def wait(self):
        ended = await asyncio.to_thread(self.child.wait)
        return ended.code

    async def send_signal(self, signum):
        self.child.signal(signum)

    async def kill(self, restart=False):
        self.child.kill()

    async def terminate(self, restart=False):
        self.child.kill()

    async def cleanup(self, restart=False):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def pre_launch(self, **kwargs):
        return {"cmd": []}

    async def launch_kernel(self, cmd, **kwargs):
        self.folder = tempfile.mkdtemp(prefix="kernel-")
        key, path = secrets.token_hex(16), os.path.join(self.folder, "k")
        settings = {"key": key, "output_bytes": self.limits.output_bytes}
        listening = []
        ready, theirs = socket.socketpair()
        try:
            for number, _ in enumerate(CHANNELS, start=1):
                listener = socket.socket(socket.AF_UNIX)
                listening.append(listener)
                listener.bind(f"{path}-{number}")
                listener.listen(16)
                listener.setblocking(False)  # libzmq expects it so
            self.child = self.warm.fork(
                f"{__name__}:serve_kernel",
                json.dumps(settings).encode(),
                [*(listener.fileno() for listener in listening), theirs.fileno()],
                self.limits,
            )
            theirs.close()
            ready.settimeout(60)
            if ready.recv(16) != b"ready":
                raise RuntimeError(f"the kernel did not start: {self.child.wait(5)}")
        finally:
            theirs.close()
            ready.close()
            for listener in listening:
                listener.close()
        # jupyter_client writes it down, and nobody reads it.
        self.parent.connection_file = os.path.join(self.folder, "connection.json")
        ports = {f"{name}_port": n for n, name in enumerate(CHANNELS, start=1)}
        self.connection_info = {
            "transport": "ipc",
            "ip": path,
            "key": key.encode(),
            "signature_scheme": "hmac-sha256",
            "hb_port": 5,  # nobody listens there
            **ports,
        }
        return self.connection_info


class _Manager(AsyncKernelManager):
    """Starts its kernel through _Provisioner, whatever kernels are installed."""

    client_factory = Type(_Client)
    kernel_spec = KernelSpec(argv=[], display_name="Python 3", language="python")

    def __init__(self, warm, limits):
        super().__init__(transport="ipc", autorestart=False)
        self.provisioner = _Provisioner(warm=warm, limits=limits, parent=self)

    def cleanup_ipc_files(self):
        pass  # they go with the folder, which the provisioner removes


class _Notebook(NotebookClient):
    """nbclient, counting what arrives."""

    budget = flood = reserve = 0
    cut = finished = stop = False
    reply = None

    async def _async_poll_kernel_alive(self):
        """Not needed: _Run sees the kernel's end at once, not once a second."""

    def process_message(self, msg, cell, cell_index):
        size = msg.get("size", 0)
        self.flood -= size
        if self.flood < 0:
            self.stop = True
            return None
        shown = msg["msg_type"] in ("stream", "display_data", "execute_result", "error")
        if shown and not self._keep(msg, size):
            self.cut = True
            return None
        try:
            return super().process_message(msg, cell, cell_index)
        except CellExecutionComplete:
            self.finished = True
            raise
        except Exception as error:  # a message that only looked well formed
            self.log.debug("message dropped: %s", error)
            return None

    def _keep(self, msg, size) -> bool:
        """Whether there is room for an output; what does not fit is shortened where it can be.

        Every cell may show a little even when the notebook's budget is used up: its error above
        all, for a test cell without outputs has passed in nbgrader's eyes.
        """
        if size <= self.budget:
            self.budget -= size
            return True
        content, kind = msg["content"], msg["msg_type"]
        if kind == "error":
            content["traceback"] = [line[-1000:] for line in content["traceback"][-5:]]
            content["ename"], content["evalue"] = content["ename"][:200], content["evalue"][:2000]
            return True
        if kind == "stream" and self.budget > 0:
            content["text"] = content["text"][: self.budget]
            self.budget, self.cut = 0, True
            return True
        self.budget = 0
        self.reserve -= size
        return self.reserve >= 0


def _well_formed(message) -> bool:
    """Whether a message has the parts that nbclient reads, of the types it takes for granted."""
    content = message["content"]
    parts = (message["header"], message["parent_header"], content, message["metadata"])
    return all(isinstance(part, dict) for part in parts) and well_formed(
        message["msg_type"], content
    )


# ------------------------------------------------------------------------------------- the run


def display_run(notebook, student_warm, limits: Limits | None = None, skip=frozenset()):
    """Run a notebook's code cells and put their outputs into it: (notebook, list of Problem).

    notebook: NotebookNode, changed in place. student_warm: warm.Warm. skip: ids of cells that are
    not run; they end without outputs. A cell that runs too long is interrupted and gets an error
    output; one that kills its kernel gets one too, a new kernel replays the set-up and solution
    cells before it, and the rest is run there. A cell that could not be run any more gets an error
    output as well: without outputs, nbgrader would give a test cell full marks.
    """
    limits = limits or student_warm.limits

    def run():
        return asyncio.run(_Run(notebook, student_warm, limits, skip).all())

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    # Inside a running loop (a Jupyter server): in a thread of its own.
    result = []
    thread = threading.Thread(target=lambda: result.append(run()))
    thread.start()
    thread.join()
    return result[0]


class _Run:
    """One notebook, and the kernels it uses up."""

    def __init__(self, notebook, warm, limits, skip):
        self.notebook, self.warm, self.limits, self.skip = notebook, warm, limits, skip
        self.problems: list[Problem] = []
        self.killers: set[int] = set()
        self.repeated: set[int] = set()  # cells that are run again, for the kernel was killed
        self.client = _Notebook(
            notebook,
            allow_errors=True,
            force_raise_errors=False,
            record_timing=False,
            skip_cells_with_tag="",
            on_cell_executed=self._executed,
        )
        self.client.budget = limits.output_bytes
        self.client.flood = FLOOD * limits.output_bytes
        self.deadline = time.monotonic() + limits.notebook_seconds
        self.restarts = 0

    def _executed(self, cell, cell_index, execute_reply):
        self.client.reply = execute_reply

    async def all(self):
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        try:
            await self._start()
            for index, cell in enumerate(self.notebook.cells):
                if self._runs(index):
                    await self._cell(index, cell)
        finally:
            await self._stop()
        self.notebook.metadata.pop("widgets", None)
        self.notebook.metadata.setdefault("language_info", language_info())
        return self.notebook, self.problems

    def _runs(self, index: int) -> bool:
        cell = self.notebook.cells[index]
        return (
            cell.cell_type == "code"
            and bool(cell.source.strip())
            and cell.get("id") not in self.skip
        )

    async def _start(self):
        self.client.km = _Manager(self.warm, self.limits)
        await self.client.km.start_kernel()
        await self._connect()

    async def _connect(self):
        if self.client.kc is not None:
            self.client.kc.stop_channels()
        self.client.kc = self.client.km.client()
        self.client.kc.start_channels(hb=False, stdin=False)
        await self.client.kc.wait_for_ready(timeout=10)

    async def _stop(self):
        """End the kernel: nothing in it is worth a polite shutdown."""
        kc, km = self.client.kc, self.client.km
        self.client.kc = self.client.km = None
        if kc is not None:
            kc.stop_channels()
        if km is not None and km.provisioner.child is not None:
            km.provisioner.child.kill(wait=False)
        if km is not None:
            await km.cleanup_resources()

    async def _cell(self, index, cell):
        left = self.deadline - time.monotonic()
        seconds = f"{self.limits.notebook_seconds:g} s"
        if left <= 0:
            text = f"not run: the notebook took longer than {seconds}"
            return self._failed(index, cell, "timeout", "TimeoutError", text)
        if self.client.kc is None:
            text = "not run: the kernel died too often in this notebook"
            return self._failed(index, cell, "crash", "DeadKernelError", text)
        limit = min(left, self.limits.cell_seconds)
        client, child = self.client, self.client.km.provisioner.child
        client.cut = client.finished = client.stop = False
        client.reply, client.reserve = None, RESERVE
        task = asyncio.ensure_future(
            client.async_execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
        )
        dead, timed_out = await self._watch(task, child, limit)
        self.notebook.cells[index] = cell
        cell.execution_count = client.code_cells_executed
        if client.cut or not (dead or client.finished):
            self._cut(index, cell)
        if timed_out:
            text = f"this cell ran longer than {limit:.3g} s and was stopped"
            if left < self.limits.cell_seconds:
                text = f"the notebook took longer than {seconds}; this cell was stopped"
            self._failed(index, cell, "timeout", "TimeoutError", text)
        elif dead and self._killed(child) and index not in self.repeated:
            # Perhaps by the machine or its administrator: what the cell did itself it does again.
            self.repeated.add(index)
            cell.outputs, client.code_cells_executed = [], client.code_cells_executed - 1
            await self._restart(index)
            self.restarts -= 1
            return await self._cell(index, cell)
        elif dead:
            self._failed(index, cell, *self._cause_of_death(child))
        elif client.reply["content"]["status"] != "ok" and not _has_error(cell):
            self._failed(index, cell, "crash", "Error", "this cell failed; its error was lost")
        if not (dead or client.finished):
            try:  # libzmq ends the connection that a message too large came through
                await self._connect()
            except RuntimeError:
                dead = True
        if dead:
            self.killers.add(index)
            await self._restart(index)

    async def _watch(self, task, child, limit) -> tuple[bool, bool]:
        """Wait for the execution of a cell: (the kernel is unusable, the cell took too long)."""
        timed_out, end = False, time.monotonic() + limit
        async with _ended(child) as died:
            while not (task.done() or died.is_set() or self.client.stop):
                left = end - time.monotonic()
                if left <= 0 and timed_out:
                    break
                if left <= 0:
                    timed_out, end = True, end + GRACE_SECONDS
                    child.interrupt()
                await _first(task, died, timeout=min(max(left, 0.05), 0.5))
            if task.done() and task.exception() is None:
                return False, timed_out
            # What a dead kernel has sent may still be on its way. Else nbclient could not make
            # sense of what came, or the kernel does not let itself be interrupted.
            await asyncio.wait({task}, timeout=0.1)
            task.cancel()
            with suppress(Exception, asyncio.CancelledError):
                await task
            return True, timed_out

    def _killed(self, child) -> bool:
        """Whether the kernel ended by a signal that we did not send."""
        ended = None if self.client.stop else child.wait(1)
        return ended is not None and ended.reason == "signal"

    def _cause_of_death(self, child) -> tuple[str, str, str]:
        if self.client.stop:
            text = "this cell printed without end; the kernel was stopped"
            return "output", "DeadKernelError", text
        ended = child.wait(1)
        if ended and ended.reason == "memory":
            size = f"{self.limits.memory_bytes / 1024**3:.3g} GiB"
            return "memory", "MemoryError", f"the kernel took more than {size} in this cell"
        if ended and ended.reason == "cpu":
            text = f"the kernel used more than {self.limits.cpu_seconds} s of processor time"
            return "timeout", "TimeoutError", text
        return "crash", "DeadKernelError", "the kernel died in this cell"

    def _failed(self, index, cell, status, name, text):
        """Add an error output, and the problem to the list."""
        old = cell.outputs[-1] if cell.outputs else None
        if name == "TimeoutError" and old and old.get("ename") == "KeyboardInterrupt":
            cell.outputs.pop()  # ours, not the student's; its traceback says where it hung
            lines = [*old.traceback, f"{name}: {text}"]
        else:
            lines = [f"{name}: {text}"]
        cell.outputs.append(new_output("error", ename=name, evalue=text, traceback=lines))
        self.problems.append(Problem(index, cell.get("id"), status, text))

    def _cut(self, index, cell):
        text = f"output cut: a notebook may print {self.limits.output_bytes / 1024**2:.3g} MiB"
        facts = cell.metadata.get("nbgrader", {})
        if facts.get("grade") and not facts.get("solution") and not _has_error(cell):
            # What was cut may have been the failure of a test.
            return self._failed(index, cell, "output", "OutputError", text)
        # stdout: on stderr, nbgrader would take the points of a test cell.
        cell.outputs.append(new_output("stream", name="stdout", text=f"\n[{text}]\n"))
        self.problems.append(Problem(index, cell.get("id"), "output", text))

    async def _restart(self, index: int):
        """A new kernel, in the state that the cells up to `index` left, without the killers."""
        while True:
            await self._stop()
            self.restarts += 1
            if self.restarts > MAX_RESTARTS or time.monotonic() > self.deadline:
                return
            self.client.flood = FLOOD * self.limits.output_bytes
            await self._start()
            for earlier in self._replayed(index):
                if not await self._replay(self.notebook.cells[earlier].source):
                    self.killers.add(earlier)
                    break
            else:
                return

    def _replayed(self, index: int) -> list[int]:
        """Set-up and solution cells; all but the tests, if no cell is marked as set-up."""
        cells = self.notebook.cells
        marked = any("setup" in cell.metadata.get("tags", ()) for cell in cells)

        def needed(cell):
            facts = cell.metadata.get("nbgrader", {})
            if marked:
                return facts.get("solution") or "setup" in cell.metadata.get("tags", ())
            return facts.get("solution") or not facts.get("grade")

        before = range(index)
        return [i for i in before if self._runs(i) and i not in self.killers and needed(cells[i])]

    async def _replay(self, source: str) -> bool:
        """Run a cell for its effects; False if the kernel did not survive it in time."""
        kc, child = self.client.kc, self.client.km.provisioner.child
        message = kc.execute(source, silent=True, store_history=False, stop_on_error=False)
        end = min(time.monotonic() + self.limits.cell_seconds, self.deadline)
        while time.monotonic() < end and child.wait(0) is None:
            with suppress(Empty):
                reply = await kc.shell_channel.get_msg(timeout=0.2)
                if reply["parent_header"].get("msg_id") == message:
                    return True
        return False


def _has_error(cell) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


class _ended:
    """Async context: an asyncio.Event that is set when the child ends."""

    def __init__(self, child):
        self.child, self.event = child, asyncio.Event()

    async def __aenter__(self):
        if self.child.wait(0) is None:
            self.number = self.child.fileno()
            asyncio.get_running_loop().add_reader(self.number, self._set)
        else:
            self.number = None
            self.event.set()
        return self.event

    def _set(self):
        asyncio.get_running_loop().remove_reader(self.number)
        self.number = None
        self.event.set()

    async def __aexit__(self, *_):
        if self.number is not None:
            asyncio.get_running_loop().remove_reader(self.number)


async def _first(task, event, timeout):
    """Wait until `task` is done, `event` is set, or `timeout` seconds have passed."""
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait({task, waiting}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
