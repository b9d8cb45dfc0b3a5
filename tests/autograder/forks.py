"""Running a few lines in a fork of a warm process, and an ordinary user for tests run by root."""

import os
import shutil
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ORDINARY = 60001  # a user id that owns nothing here


def run(warm, source, limits=None, timeout=30):
    """(what `source` passed to say(), Exit). `say` is print to us; `repository` is defined."""
    ours, theirs = socket.socketpair()
    head = f"""
        import os, sys, socket, time
        channel = socket.socket(fileno=fds[0])
        def say(*values):
            channel.sendall((" ".join(map(str, values)) + "\\n").encode())
        def attempt(function, *arguments):
            try:
                return function(*arguments)
            except Exception as error:
                return type(error).__name__
        repository = {str(REPOSITORY)!r}
    """
    source = textwrap.dedent(head) + textwrap.dedent(source)
    with ours, theirs:
        fds = [theirs.fileno()]
        with warm.fork("autograder.warm:run_source", source.encode(), fds, limits) as child:
            theirs.close()
            ended = child.wait(timeout)
            child.kill()
        said = b""
        while data := ours.recv(65536):
            said += data
    return said.decode().strip(), ended


def as_ordinary_user(command: list[str]) -> subprocess.CompletedProcess:
    """Run `command` as a user without rights, who can read Python wherever root keeps it.

    Python may lie below a folder closed to others (/root/.pyenv): in a mount namespace of its own
    the command sees that folder open, with nothing but Python in it.
    """
    base = Path(sys.base_prefix).resolve()
    closed = [p for p in base.parents if p != Path("/") and not p.stat().st_mode & 0o001]
    script = ["set -e"]
    if closed:
        script += [
            "here=$(mktemp -d)",
            f'mount --bind "{base}" "$here"',
            f'mount -t tmpfs -o mode=755 tmpfs "{closed[-1]}"',
            f'mkdir -p "{base}"',
            f'mount --bind "$here" "{base}"',
            'umount "$here"',
            'rmdir "$here"',
        ]
    drop = f"setpriv --reuid {ORDINARY} --regid {ORDINARY} --clear-groups --inh-caps=-all"
    script += [
        "home=$(mktemp -d)",
        "trap 'rm -rf \"$home\"' EXIT",
        f'chown {ORDINARY}:{ORDINARY} "$home"',
        f'{drop} env HOME="$home" "$@"',
    ]
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", "\n".join(script), "x", *command],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=300,
    )


def no_ordinary_user() -> str | None:
    """Why as_ordinary_user cannot work here; None if it can."""
    if os.geteuid() != 0:
        return "the tests already run as an ordinary user"
    if not (shutil.which("setpriv") and shutil.which("unshare")):
        return "setpriv and unshare (util-linux) are missing"
    closed = [p for p in REPOSITORY.parents if not p.stat().st_mode & 0o001]
    if closed:
        return f"{closed[0]} is closed to other users"
    done = as_ordinary_user([sys.executable, "-c", "import autograder.warm"])
    return None if done.returncode == 0 else f"Python does not start: {done.stderr.strip()[-200:]}"
