"""Warm processes: everything heavy is imported once, then every submission gets a fork.

    worker (trusted)                       this module's Warm and Child
      └ bwrap                              the outer wall, sandbox.py
         └ warm process                    serve(): imports, then forks on request; one thread
            └ supervisor, one per fork     _supervise(): watches memory, reports how it ended
               └ process 1 of the fork     _first_process(): the inner wall, confine.py; reaps
                  └ the fork itself        calls `module:function`; a judge is process 1 itself

Whatever dies, everything below it dies: a fork's process tree ends with its process 1, the
supervisor kills that one when the worker's end of the fork's control socket closes, and the kernel
kills all of them when bwrap goes, which goes with the worker. Without a sandbox ("none") the fork
hangs directly below the supervisor, which kills what it can find.
"""

import json
import os
import random
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from autograder import confine
from autograder.sandbox import (
    PACKAGE,
    Limits,
    SandboxError,
    as_root,
    bwrap_command,
    course_paths,
    environment,
    fresh_uid,
    python_paths,
    resolve_mode,
)

LIBRARIES = [
    "torch",
    "torch.nn.functional",
    "torch.utils.data",
    "numpy",
    "transformers",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mixtral.modeling_mixtral",
    "transformers.cache_utils",
    "transformers.generation.utils",
    "peft",
]
NOTEBOOK = [
    "matplotlib.pyplot",
    "datasets",
    "trl.trainer.sft_trainer",  # half a second in every submission of notebooks 03 and 04
    "IPython",
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "ipykernel.debugger",  # what a kernel imports only when it starts
    "IPython.core.debugger",
    "IPython.core.completerlib",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "jupyter_client.jsonutil",
    "tornado.platform.asyncio",
    "sqlite3",
    "ipywidgets",
    "course_lib.*",
    "course_lib.checks.*",
]
EXTRAS = ("datasets", "trl")  # a course whose notebooks do not use them need not have them
# Only cells that are not run in grading import these.
NOT_LOADED = "course_lib.experiments."
REHEARSE = "autograder.rehearsal:rehearse"
PRELOAD = {
    "student": [*LIBRARIES, *NOTEBOOK, REHEARSE, "autograder.kernel", "autograder.student:prepare"],
    # The hidden tests import what they need; a smaller process is cheaper to fork.
    "judge": [*LIBRARIES, REHEARSE, "autograder.judge:preload"],
}
WATCH_SECONDS = 0.1
HELLO_SECONDS = 60


@dataclass(frozen=True)
class Exit:
    """How a fork ended. reason "exit": code is the exit status; "signal": the signal number;
    "memory", "cpu": it was killed for using more than its limits allow."""

    reason: str
    code: int


# ----------------------------------------------------------------------------- in the worker


# Warm processes that somebody else started for us to use: (role, mode) -> our socket to each.
# Several workers of a machine share one pair: what takes longest is imported once.
OFFERED: dict[tuple[str, str], socket.socket] = {}


class Warm:
    """A warm process; use start_warm. A context manager: all forks end with it."""

    def __init__(self, role: str, mode: str, limits: Limits, preload: list[str] | None):
        """`preload` None: use the process that is OFFERED."""
        self.role, self.mode, self.limits = role, mode, limits
        self._lock = threading.Lock()
        self.ready = False
        self._process = self._log = self._home = None
        if preload is None:
            self._socket = OFFERED.pop((role, mode))
        else:
            self._start(preload)

    def _start(self, preload: list[str]) -> None:
        role, mode = self.role, self.mode
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._home = tempfile.mkdtemp(prefix="warm-") if mode == "none" else None
        ours, theirs = socket.socketpair()
        self._socket = ours
        # The instructor's packages may be importable only from the current folder.
        roots = [str(path.parent) for path in course_paths()]
        code = f"import sys; sys.path.extend({roots!r}); "
        code += f"from autograder.warm import serve; serve({theirs.fileno()})"
        python = [sys.executable, "-c", code]
        with theirs, tempfile.TemporaryFile() as passwd:
            passes = [theirs.fileno()]
            variables = environment(self._home or "/tmp/home")
            if mode == "bwrap":
                ids = {os.geteuid(), 0, 65534}
                lines = [f"user{i}:x:{i}:{i}::/tmp/home:/bin/sh\n" for i in ids]
                passwd.write("".join(lines).encode())
                passwd.seek(0)
                python = bwrap_command(role, python, passwd.fileno())
                passes.append(passwd.fileno())
            self._process = subprocess.Popen(
                python,
                pass_fds=passes,
                env=variables,
                cwd=self._home or "/",
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,  # Ctrl-C is for the worker, which then ends us
            )
        _send(ours, {"role": role, "mode": mode, "as_root": as_root(), "preload": preload})

    @property
    def pid(self) -> int:
        """The process that holds the whole warm process tree (bwrap, or the warm process)."""
        return self._process.pid

    def share(self) -> socket.socket:
        """A socket with which another process of this machine may use it too, see OFFERED."""
        ours, theirs = socket.socketpair()
        with theirs, self._lock:
            _send(self._socket, {"serve": True}, [theirs.fileno()])
        return ours

    def wait_ready(self, timeout: float = 300) -> "Warm":
        """Wait until everything is imported; SandboxError with the reason if that failed."""
        with self._lock:
            if not self.ready:
                self._socket.settimeout(timeout)
                try:
                    self._receive()
                finally:
                    self._socket.settimeout(None)
                self.ready = True
        return self

    def fork(
        self, target: str, payload: bytes = b"", fds: list[int] | None = None, limits=None
    ) -> "Child":
        """A new process that calls `target` ("module:function") as function(payload, fds).

        `fds` are duplicated into the process, which owns them and has no others. `limits`: Limits,
        by default those of start_warm. Raises SandboxError if the process cannot be made.
        """
        self.wait_ready()
        ours, theirs = socket.socketpair()
        if hasattr(socket, "SO_PASSCRED"):  # the kernel vouches for the fork's process id
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        request = {
            "target": target,
            "uid": fresh_uid(),
            "limits": (limits or self.limits).as_dict(),
        }
        with theirs, tempfile.TemporaryFile() as body:
            body.write(payload)
            body.flush()
            try:
                with self._lock:
                    handed = [theirs.fileno(), body.fileno(), *(fds or [])]
                    _send(self._socket, request, handed)
            except OSError:
                ours.close()
                raise SandboxError(
                    f"the {self.role} process has died{self._last_words()}"
                ) from None
        return Child(ours, self)

    def close(self) -> None:
        """End the warm process and all its forks; one that was shared with us goes on."""
        self._socket.close()
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            if self.mode == "bwrap":  # all below die with it
                self._process.kill()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        if self._home:
            shutil.rmtree(self._home, ignore_errors=True)

    def __enter__(self) -> "Warm":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _receive(self) -> dict:
        try:
            message, _ = _receive(self._socket)
        except TimeoutError:
            raise SandboxError(f"the {self.role} process did not get ready in time") from None
        if message is None:
            if self._process is None:
                raise SandboxError(f"the {self.role} process that was shared has ended")
            self._process.wait()
            raise SandboxError(f"the {self.role} process did not start{self._last_words()}")
        if "error" in message:
            raise SandboxError(message["error"])
        return message

    def _last_words(self) -> str:
        if self._log is None:
            return ""
        with suppress(OSError, ValueError):
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            if lines:
                return f": {lines[-1]}"
        return ""


def start_warm(
    role: str,
    sandbox: str = "auto",
    limits: Limits | None = None,
    preload: list[str] | None = None,
    wait: bool = True,
) -> Warm:
    """Start a warm process for `role` "student" or "judge".

    sandbox: "auto", "bwrap" or "none" (see sandbox.resolve_mode). preload: modules to import, or
    "module:function" to call, before the first fork; by default PRELOAD[role]. With wait=False
    the imports go on in the background and the first fork waits for them: start two, then wait.
    bwrap ends with the thread that started it: call this from a thread that stays.
    """
    mode = resolve_mode(sandbox)
    modules = PRELOAD[role] if preload is None else preload
    if preload is None and (role, mode) in OFFERED:
        modules = None
    warm = Warm(role, mode, limits or Limits(), modules)
    if wait:
        try:
            warm.wait_ready()
        except BaseException:
            warm.close()
            raise
    return warm


class Child:
    """A fork of a warm process. `pid` is its process id as the worker sees it."""

    def __init__(self, control: socket.socket, warm: Warm):
        self._control, self._warm = control, warm
        self._exit: Exit | None = None
        self._lines = b""
        self._pidfd = None
        control.settimeout(HELLO_SECONDS)
        try:
            self.pid = self._hello()
            with suppress(ProcessLookupError, AttributeError):
                self._pidfd = os.pidfd_open(self.pid)
        except BaseException:
            control.close()
            raise

    def _hello(self) -> int:
        """The process id from the first message, which the fork sends before anything else."""
        credentials = struct.Struct("3i")
        try:
            data, ancillary, _, _ = self._control.recvmsg(4096, socket.CMSG_SPACE(credentials.size))
        except TimeoutError:
            raise SandboxError("a fork did not start in time") from None
        except ConnectionError:
            data = b""
        if not data:
            raise SandboxError(f"a fork died while starting{self._warm._last_words()}")
        message = json.loads(data)
        if "error" in message:
            raise SandboxError(f"a fork could not be confined: {message['error']}")
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == getattr(socket, "SCM_CREDENTIALS", None):
                return credentials.unpack(value)[0]
        return message["pid"]

    def interrupt(self) -> None:
        """Send SIGINT, as Ctrl-C would."""
        self.signal(signal.SIGINT)

    def signal(self, number: int) -> None:
        """Send a signal to the fork itself; no error if it has ended."""
        with suppress(ProcessLookupError):
            if self._pidfd is not None:  # cannot hit a stranger who got the same number
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._exit is None:
                os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> Exit | None:
        """How the fork ended, with all its descendants gone; None if it runs on after `timeout`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._exit is None:
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not _readable([self._control], left):
                return None
            try:
                data = self._control.recv(4096)
            except ConnectionError:
                data = b""
            self._lines += data
            if not data:  # the supervisor is gone: so is the fork
                report = json.loads(self._lines) if self._lines else {}
                self._exit = Exit(report.get("reason", "signal"), report.get("code", 9))
                self._forget()
        return self._exit

    def fileno(self) -> int:
        """Readable when the fork has ended: for select."""
        return self._control.fileno()

    def kill(self, wait: bool = True) -> Exit:
        """Kill it and all below it; returns when they are gone, or at once if not `wait`."""
        if self._exit is None:
            with suppress(OSError):
                self._control.shutdown(socket.SHUT_WR)
            if self.wait(10 if wait else 0) is None:
                self._exit = Exit("signal", 9)
                self._forget()  # which closes the control socket: the supervisor goes on without us
        return self._exit

    def _forget(self) -> None:
        self._control.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_) -> None:
        self.kill()


# ------------------------------------------------------------------------------ the messages


def _send(to: socket.socket, message: dict, fds: list[int] | None = None) -> None:
    data = json.dumps(message).encode()
    data = struct.pack("I", len(data)) + data
    sent = socket.send_fds(to, [data], fds) if fds else 0
    to.sendall(data[sent:])


def _receive(source: socket.socket) -> tuple[dict | None, list[int]]:
    """The next message and the file descriptors that came with it; None at the end."""
    try:
        data, fds, _, _ = socket.recv_fds(source, 4, 64)
        while len(data) < 4 or len(data) < 4 + struct.unpack("I", data[:4])[0]:
            missing = 4 + struct.unpack("I", data[:4])[0] - len(data) if len(data) >= 4 else 4
            more = source.recv(missing)
            if not more:
                return None, fds
            data += more
    except ConnectionError:
        return None, []
    return json.loads(data[4:]), fds


def _readable(things: list, timeout: float | None) -> list:
    """Which of the sockets or file descriptors can be read (or are at their end)."""
    poll = select.poll()
    by_number = {t if isinstance(t, int) else t.fileno(): t for t in things}
    for number in by_number:
        poll.register(number, select.POLLIN)
    events = poll.poll(None if timeout is None else timeout * 1000)
    return [by_number[number] for number, _ in events]


# --------------------------------------------------------------------------- the warm process


def serve(number: int) -> None:
    """The warm process: import, say so, fork on every request, end with who started it."""
    control = socket.socket(fileno=number)
    control.set_inheritable(False)
    linux = sys.platform.startswith("linux")
    if linux:
        confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
    setup, _ = _receive(control)
    if setup is None:
        return
    os.makedirs(os.environ["HOME"], exist_ok=True)
    try:
        _preload(setup["preload"])
        threads = len(os.listdir("/proc/self/task")) if linux else threading.active_count()
        if threads != 1:
            raise SandboxError(f"{threads} threads after the imports: a fork would lose them")
    except Exception as error:
        _send(control, {"error": f"warm {setup['role']}: {type(error).__name__}: {error}"})
        return
    python_paths(), course_paths()  # kept: every fork asks for them
    import gc

    gc.collect()
    gc.freeze()  # a collection in a fork would otherwise copy every page it looks at
    if linux:
        confine.huge_pages()
    _send(control, {"ready": True})
    lines = [control]  # of who started it, and of those it is shared with
    while True:
        line = _readable(lines, None)[0]
        request, fds = _receive(line)
        if request is None and line is control:
            os._exit(0)  # nothing here is worth an orderly end
        if request is None:
            lines.remove(line)
            line.close()
            continue
        if "serve" in request:
            lines.append(socket.socket(fileno=fds[0]))
            _send(lines[-1], {"ready": True})
            continue
        if os.fork() == 0:
            for line in lines:
                line.close()
            try:
                _supervise(setup | request, socket.socket(fileno=fds[0]), fds[1], fds[2:])
            finally:
                os._exit(1)
        for fd in fds:
            os.close(fd)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _preload(names: list[str]) -> None:
    """Import each module, with `.*` the modules of a package too; call what follows a colon."""
    from importlib import import_module
    from importlib.util import find_spec
    from pkgutil import walk_packages

    for name in names:
        module, _, function = name.partition(":")
        if module.startswith("autograder.") and find_spec(module) is None:
            continue
        package = module.partition(".")[0]
        if package in EXTRAS and find_spec(package) is None:
            continue
        loaded = import_module(module.removesuffix(".*"))
        if module.endswith(".*"):
            for found in walk_packages(loaded.__path__, f"{loaded.__name__}."):
                if not found.name.startswith(NOT_LOADED):
                    import_module(found.name)
        if function:
            getattr(loaded, function)()


# -------------------------------------------------------------------------------- supervisor


def _supervise(task: dict, control: socket.socket, body: int, fds: list[int]) -> None:
    """Make the fork, watch it, end it when the worker lets go, and report how it ended."""
    isolated, linux = task["mode"] == "bwrap", sys.platform.startswith("linux")
    warm_pid = os.getppid()
    scratch = None
    try:
        function = _resolve(task["target"])
        if isolated:
            confine.own_process_tree(task["as_root"])
        else:
            if linux:  # orphans come to us instead of escaping
                confine.prctl(confine.PR_SET_CHILD_SUBREAPER, 1)
            scratch = tempfile.mkdtemp(prefix="scratch-")
        status_in, status_out = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(status_in)
            _become_fork(task, function, control, body, fds, status_out, scratch)
    except Exception as error:
        with suppress(OSError):
            control.sendall(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    for fd in (status_out, body, *fds):
        os.close(fd)
    reason = _watch(task["limits"], control, child, warm_pid)
    _end(child, isolated)
    if isolated and task["role"] == "student":
        status = int(os.read(status_in, 64) or 9)
    else:
        status = _fork_status.get(child, 9)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)
    code = os.waitstatus_to_exitcode(status)
    if reason is None:
        reason = "exit" if code >= 0 else "cpu" if -code == signal.SIGXCPU else "signal"
    with suppress(OSError):
        control.sendall(json.dumps({"reason": reason, "code": abs(code)}).encode())
    os._exit(0)


_fork_status: dict[int, int] = {}


def _watch(limits: dict, control: socket.socket, child: int, warm_pid: int) -> str | None:
    """Wait until the fork or the worker's interest in it ends; "memory" if it took too much."""
    ended = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    watched = [control] if ended is None else [control, ended]
    pause = WATCH_SECONDS if ended is not None else 0.02
    while True:
        # The worker never writes: a readable control socket means that it let go, or died.
        if _readable(watched, pause) or not _alive(child) or os.getppid() != warm_pid:
            return None
        below = _descendants(os.getpid())
        if _memory(below, limits["memory_bytes"]) > limits["memory_bytes"]:
            return "memory"
        if len(below) > 2 * limits["processes"]:  # only where no RLIMIT_NPROC stops them before
            return "signal"


def _alive(pid: int) -> bool:
    """False once a child of ours has ended; keeps its status for _supervise."""
    if pid in _fork_status:
        return False
    with suppress(ChildProcessError):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            _fork_status[pid] = status
            return False
    return True


def _children_of() -> dict[int, list[int]]:
    """Process id -> ids of its children, of all visible processes; empty if there is no /proc."""
    found: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        if name.isdigit():
            with suppress(OSError, ValueError, IndexError):
                fields = Path(f"/proc/{name}/stat").read_bytes().rpartition(b") ")[2].split()
                found.setdefault(int(fields[1]), []).append(int(name))
    return found


def _descendants(pid: int) -> list[int]:
    tree, found, todo = _children_of(), [], [pid]
    while todo:
        for child in tree.get(todo.pop(), []):
            found.append(child)
            todo.append(child)
    return found


def _memory(pids: list[int], limit: int) -> int:
    """Memory of these processes together, bytes.

    First the resident sizes, which count the pages shared with the warm process again for each;
    only if these exceed `limit` the proportional sizes, which are right and slow to get.
    """
    page, resident = resource.getpagesize(), 0
    for p in pids:
        with suppress(OSError, ValueError, IndexError):
            resident += int(Path(f"/proc/{p}/statm").read_text().split()[1]) * page
    if resident <= limit:
        return resident
    proportional = 0
    for p in pids:
        with suppress(OSError, ValueError, IndexError):
            for line in Path(f"/proc/{p}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    proportional += int(line.split()[1]) * 1024
    return proportional


def _end(child: int, isolated: bool) -> None:
    """Kill the fork and everything below it, and wait for them."""
    if not isolated:
        # No wall: find them. Stop first, so that none forks away between the look and the kill.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, number)
            for _ in range(20):
                before = _descendants(os.getpid())
                for pid in before:
                    with suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                if set(_descendants(os.getpid())) <= set(before):
                    break
    elif child not in _fork_status:
        os.kill(child, signal.SIGKILL)
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except ChildProcessError:
            return
        _fork_status.setdefault(pid, status)


# ----------------------------------------------------------------------------------- the fork


def _resolve(target: str):
    from importlib import import_module

    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _become_fork(task, function, control, body, fds, status_out, scratch) -> None:
    """In the new process: build the inner wall, then call the function. Never returns."""
    try:
        if task["mode"] == "bwrap":
            keep = [str(path) for path in (*python_paths(), *course_paths())]
            hide = [str(PACKAGE)] if task["role"] == "student" else []
            confine.own_files_and_network(task["uid"], task["limits"]["scratch_bytes"], keep, hide)
            if task["role"] == "student":
                _first_process(task["uid"], status_out, (control.fileno(), body, *fds))
            else:  # it starts no others, so it needs no process 1 beside it
                confine.drop_rights(task["uid"])
                confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
            scratch = confine.SCRATCH
        os.close(status_out)
        _prepare(task, scratch)
        fds = _only_these(fds, body, control)
    except BaseException as error:
        with suppress(OSError):
            control.sendall(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    with os.fdopen(fds.pop(0), "rb") as file:
        file.seek(0)
        payload = file.read()
    code = 0
    try:
        function(payload, fds)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        os._exit(code & 0xFF)


def run_source(payload: bytes, fds: list[int]) -> None:
    """A target for fork: run `payload` as Python source, with `fds` among its globals."""
    exec(compile(payload, "<fork>", "exec"), {"__name__": "__main__", "fds": fds})


def _first_process(uid: int, status_out: int, others: tuple) -> None:
    """Process 1 of the new tree stays here, as its reaper; process 2 returns.

    Its own signals cannot kill it, and it writes how process 2 ended where only the supervisor
    reads: the student's exit status is the one thing the student may decide.
    """
    # First the rights go, then the student's process comes: it never meets a parent to trace.
    confine.drop_rights(uid)
    confine.prctl(confine.PR_SET_DUMPABLE, 0)
    second = os.fork()
    if second == 0:
        return
    for fd in others:
        os.close(fd)
    confine.prctl(confine.PR_SET_PDEATHSIG, signal.SIGKILL)
    while True:
        try:
            pid, status = os.waitpid(-1, 0)
        except InterruptedError:
            continue
        if pid == second:
            os.write(status_out, str(status).encode())
            os._exit(0)  # the kernel now kills whatever is left in this tree


def _prepare(task: dict, scratch: str) -> None:
    """Limits, working folder, fresh random numbers."""
    isolated = task["mode"] == "bwrap"
    os.setsid()
    if isolated:  # its rights are gone already; its own files in /proc are to be its own again
        confine.prctl(confine.PR_SET_DUMPABLE, 1)
        with suppress(OSError):  # what is new here gets small pages: huge ones are slow to clear
            confine.prctl(confine.PR_SET_THP_DISABLE, 1)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")  # the first to go when memory is short
    confine.set_limits(task["limits"], isolated)
    os.umask(0o077)
    os.makedirs(scratch, exist_ok=True)
    os.chdir(scratch)
    home = os.environ["HOME"] if isolated else scratch
    os.makedirs(home, exist_ok=True)
    os.environ.update(HOME=home, TMPDIR="/tmp" if isolated else scratch)
    tempfile.tempdir = None
    _fresh_random()


def _fresh_random() -> None:
    """Forks would otherwise all draw the same numbers."""
    random.seed()
    seed = int.from_bytes(os.urandom(4), "little")
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(seed)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(seed)


def _only_these(fds: list[int], body: int, control: socket.socket) -> list[int]:
    """Say hello, then close every file descriptor but [body, *fds]; returns their new numbers."""
    control.sendall(json.dumps({"pid": os.getpid()}).encode())
    keep = [os.dup(fd) if fd < 3 else fd for fd in (body, *fds)]
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    control.detach()
    wall = [2, *sorted(keep), resource.getrlimit(resource.RLIMIT_NOFILE)[1] + 4096]
    for low, high in pairwise(wall):
        os.closerange(low + 1, high)
    return keep
