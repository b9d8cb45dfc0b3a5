"""The outer wall: which protections this machine offers, and the bubblewrap command for them.

Student code runs behind two walls. This module builds the outer one: a `bwrap` container, started
once per warm process, that holds Python, the course library and nothing else - no network, no
repository, no gradebook, no submissions. `confine.py` builds the inner one around every single
fork: own process tree, own files, own user, limits.

As root, bwrap makes its mounts as root, because Python often lives below a directory only root may
enter (pyenv below /root, mode 0700), and every fork then takes a user id nobody else has. As an
ordinary user, bwrap makes a user namespace and every fork another one inside.
"""

import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from pathlib import Path

MiB = 1024**2
GiB = 1024**3

PACKAGE = Path(__file__).resolve().parent
# Inside autograder/, what not even the warm process of the students may read.
SECRETS = ("hidden", "mutants")


class SandboxError(RuntimeError):
    """The sandbox cannot do what was asked; the message is one line that says what to do."""


@dataclass(frozen=True)
class Limits:
    """What one fork of a warm process may use. Sizes in bytes, times in seconds."""

    memory_bytes: int = 4 * GiB  # of the whole process tree, beyond what the warm process holds
    processes: int = 64  # processes and threads together
    open_files: int = 256
    cpu_seconds: int = 600  # per process
    file_bytes: int = 64 * MiB  # per file
    scratch_bytes: int = 256 * MiB  # of /tmp, and again of /dev/shm
    output_bytes: int = 2 * MiB  # of all outputs of a notebook
    call_seconds: float = 20  # one call of a student's function by the judge
    cell_seconds: float = 30
    notebook_seconds: float = 120

    def as_dict(self) -> dict:
        return asdict(self)


# ------------------------------------------------------------------------------- which sandbox


def as_root() -> bool:
    """True if this process may take any user id (root, and not the root of a small container)."""
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        return False
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(start) <= 1 << 30 and int(length) > 1 << 31 for start, _, length in ranges)


@cache
def bwrap_problem() -> str | None:
    """None if bubblewrap works here with all that the forks need, else why not, in one line."""
    if not sys.platform.startswith("linux"):
        return "bubblewrap needs Linux"
    bwrap, unshare = shutil.which("bwrap"), shutil.which("unshare")
    if bwrap is None:
        return "bubblewrap is not installed"
    if unshare is None:
        return "`unshare` (util-linux) is not installed"
    # The forks make namespaces inside bwrap's; some systems allow the one and not the other.
    probe = [unshare, "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--mount-proc"]
    probe += ["true"] if as_root() else ["--user", "true"]
    command = [bwrap, *_namespaces(), "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
    try:
        done = subprocess.run([*command, *probe], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "bubblewrap did not answer within 10 s"
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        return f"bubblewrap does not work here ({lines[-1]})"
    return None


def resolve_mode(mode: str = "auto") -> str:
    """ "bwrap" or "none" for `mode` "auto", "bwrap" or "none".

    Raises SandboxError when protection was asked for (auto asks for it) and there is none.
    """
    if mode not in ("auto", "bwrap", "none"):
        raise SandboxError(f"unknown sandbox {mode!r}: use auto, bwrap or none")
    if mode == "none":
        return "none"
    problem = bwrap_problem()
    if problem:
        raise SandboxError(
            f"students' code cannot be confined: {problem}. Install it (`apt-get install "
            "bubblewrap`), or grade code you trust with `--sandbox none`"
        )
    return "bwrap"


def protections(mode: str = "auto") -> list[tuple[str, bool, str]]:
    """What guards the machine from a submission under `mode`: (protection, on, how) each."""
    from autograder.confine import seccomp_supported

    limits, linux = Limits(), sys.platform.startswith("linux")
    size = f"{limits.scratch_bytes // MiB} MiB"
    always = [
        ("memory", True, f"{limits.memory_bytes / GiB:g} GiB: RLIMIT_DATA, process tree watched"),
        ("cpu time", True, f"RLIMIT_CPU {limits.cpu_seconds} s, wall time per cell and notebook"),
        ("file size", True, f"RLIMIT_FSIZE {limits.file_bytes // MiB} MiB"),
    ]
    if resolve_mode(mode) == "none":
        watched = "process tree watched and killed" if linux else "process group killed"
        return [
            ("own user", False, "runs as you"),
            ("no network", False, "your network"),
            ("private files", False, "reads and writes what you can"),
            ("own process tree", False, watched),
            ("system calls", False, "all"),
            *always,
            ("processes", linux, f"about {2 * limits.processes}, killed beyond"),
            ("scratch", False, "a temporary folder, no size limit"),
        ]
    user = "a user id of its own for each fork" if as_root() else "user namespace, no rights in it"
    return [
        ("own user", True, user),
        ("no network", True, "empty network namespace"),
        ("private files", True, "mount namespace: Python and course_lib, read-only"),
        ("own process tree", True, "pid namespace: sees and signals only itself"),
        ("system calls", seccomp_supported(), "seccomp: no namespaces, mounts, ptrace, io_uring"),
        *always,
        ("processes", True, f"RLIMIT_NPROC {limits.processes}"),
        ("scratch", True, f"tmpfs of {size} for /tmp, {size} for /dev/shm"),
    ]


def describe(mode: str = "auto") -> str:
    """The protections as a block to print."""
    rows = protections(mode)
    title = "Sandbox: bubblewrap" if resolve_mode(mode) == "bwrap" else "Sandbox: NONE"
    return "\n".join(
        [title, *(f"  {'on ' if on else 'OFF'}  {name:<17} {how}" for name, on, how in rows)]
    )


# ------------------------------------------------------------------------------ bwrap command


def environment(home: str = "/tmp/home") -> dict[str, str]:
    """The whole environment of a sandboxed process: no tokens, no settings of the instructor."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": home,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "TZ": os.environ.get("TZ", "UTC"),
        # One thread: the machine's cores grade different students, and a fork of a process that
        # has OpenMP threads hangs at its first parallel region.
        "OMP_NUM_THREADS": os.environ.get("GRADING_THREADS", "1"),
        "PYTHONHASHSEED": "0",  # sets print in the same order at every regrade
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        # pyarrow's allocator would start a thread at import, and a fork keeps one thread.
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "COURSE_PROFILE": "cpu",
        "NBGRADER_EXECUTION": "autograde",
    }


def _namespaces() -> list[str]:
    options = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    options += ["--unshare-cgroup-try", "--die-with-parent", "--new-session"]
    if not as_root():
        return ["--unshare-user", *options]
    # What the warm process needs to build the inner wall: namespaces and mounts, the fork's user
    # id, dropping the rest for good, reading the fork's memory use, killing it, its loopback.
    needed = ["SYS_ADMIN", "SETUID", "SETGID", "SETPCAP", "SYS_PTRACE", "KILL", "NET_ADMIN"]
    needed += ["SYS_RESOURCE", "DAC_OVERRIDE"]
    options += ["--cap-drop", "ALL"]
    for name in needed:
        options += ["--cap-add", f"CAP_{name}"]
    return options


@cache
def python_paths() -> list[Path]:
    """The folders Python itself needs: the prefixes, and where the interpreter's links lead."""
    found = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix)}
    found |= {path.resolve() for path in found}
    executable = Path(sys.executable)
    while executable.is_symlink():
        executable = Path(os.path.normpath(executable.parent / os.readlink(executable)))
        found.add(executable.parent.parent)  # <prefix>/bin/python
    return sorted(path for path in found if path != Path("/"))


@cache
def course_paths() -> list[Path]:
    """The folders of the packages course_lib (if it can be found) and autograder."""
    from importlib.util import find_spec

    spec = find_spec("course_lib")
    found = [Path(p).resolve() for p in (spec.submodule_search_locations or [])] if spec else []
    return [*found, PACKAGE]


def check_readable() -> None:
    """As root, forks have other user ids: SandboxError if they could not read the course."""
    for root in course_paths() if as_root() else []:
        for folder, _, names in os.walk(root):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                needed = 0o005 if path == folder else 0o004
                if "__pycache__" not in path and os.stat(path).st_mode & needed != needed:
                    raise SandboxError(f"only root can read {path}: run `chmod -R a+rX {root}`")


def _folders(path: Path) -> list[str]:
    """Options that make the folders above a mount, which bwrap alone would close to other users."""
    above = [str(folder) for folder in reversed(path.parents) if str(folder) not in ("/", "/usr")]
    return [option for folder in above for option in ("--dir", folder)]


def bwrap_command(role: str, inside: list[str], passwd_fd: int) -> list[str]:
    """The command that runs `inside` (a Python command line) behind the outer wall.

    `role` "student" sees of autograder/ only the code that runs there, "judge" all of it.
    `passwd_fd` is an open file with the text of /etc/passwd. Everything is read-only but /tmp.
    """
    check_readable()
    command = [shutil.which("bwrap") or "bwrap", *_namespaces()]
    for name in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(name):
            command += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            command += ["--ro-bind", name, name]
    command += ["--dir", "/etc"]
    for name in ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime"):
        command += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    command += ["--ro-bind-data", str(passwd_fd), "/etc/passwd"]
    # torch reads the processor's features and warns when it cannot.
    name = "/sys/devices/system/cpu"
    command += [*_folders(Path(name)), "--ro-bind-try", name, name]
    command += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    pythons = [path for path in python_paths() if not path.is_relative_to("/usr")]
    checkout = PACKAGE.parent
    if (checkout / "solutions").is_dir() and any(checkout.is_relative_to(p) for p in pythons):
        raise SandboxError(f"move the course out of Python's own folder: {checkout} is inside it")
    for path in [*pythons, *course_paths()]:
        command += [*_folders(path), "--ro-bind", str(path), str(path)]
    if role == "student":
        for name in SECRETS:
            if (PACKAGE / name).is_dir():
                command += ["--tmpfs", str(PACKAGE / name), "--remount-ro", str(PACKAGE / name)]
    command += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp", "--clearenv"]
    for name, value in environment().items():
        command += ["--setenv", name, value]
    return [*command, "--", *inside]


# As root every fork takes a user id of its own, so that no two can signal each other and
# RLIMIT_NPROC counts each alone. The range is far above real users; its start is drawn at random
# because several workers, which do not know of each other, share it.
_uid_base = (1 << 30) + secrets.randbelow(1 << 22) * 256
_uid_slots = count()


def fresh_uid() -> int:
    """The user id of the next fork: its own as root, ours otherwise."""
    return _uid_base + next(_uid_slots) % 256 if as_root() else os.geteuid()
