"""Every protection has a test that fails without it. The walls are bubblewrap's; see test_warm
for the limits that hold without it as well."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import textwrap

import psutil
import pytest
from forks import REPOSITORY, as_ordinary_user, no_ordinary_user, run

from autograder import sandbox
from autograder.sandbox import Limits, MiB, SandboxError, bwrap_problem, describe, protections
from autograder.warm import start_warm

needs_bwrap = pytest.mark.skipif(bwrap_problem() is not None, reason=str(bwrap_problem()))


@pytest.fixture(scope="module")
def student():
    with start_warm("student", "bwrap", preload=["course_lib"]) as warm:
        yield warm


@pytest.fixture(scope="module")
def judge():
    with start_warm("judge", "bwrap", preload=[]) as warm:
        yield warm


# ------------------------------------------------------------------------------------- choosing


def test_auto_without_bwrap_refuses_in_one_line(monkeypatch):
    monkeypatch.setattr(sandbox, "bwrap_problem", lambda: "bubblewrap is not installed")
    with pytest.raises(SandboxError) as error:
        sandbox.resolve_mode("auto")
    text = str(error.value)
    assert "apt-get install bubblewrap" in text and "--sandbox none" in text and "\n" not in text
    assert sandbox.resolve_mode("none") == "none"


def test_bwrap_problem_names_what_is_missing(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    assert sandbox.bwrap_problem.__wrapped__() == "bubblewrap is not installed"


def test_unknown_mode_is_refused():
    with pytest.raises(SandboxError, match="unknown sandbox 'docker'"):
        sandbox.resolve_mode("docker")


def test_none_says_what_is_off():
    off = {name for name, on, _ in protections("none") if not on}
    assert {"own user", "no network", "private files", "own process tree", "scratch"} <= off
    assert "NONE" in describe("none") and "OFF" in describe("none")


@needs_bwrap
def test_bwrap_has_everything_on():
    assert all(on for _, on, _ in protections("bwrap"))
    assert len(describe("bwrap").splitlines()) == 1 + len(protections("bwrap"))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's forks are that user")
def test_a_course_that_only_root_can_read_is_refused_in_one_line(monkeypatch, tmp_path):
    (tmp_path / "course_lib").mkdir(mode=0o755)
    (tmp_path / "course_lib" / "weights").touch(mode=0o600)
    monkeypatch.setattr(sandbox, "course_paths", lambda: [tmp_path / "course_lib"])
    with pytest.raises(SandboxError, match=r"only root can read .*weights: run `chmod -R a\+rX"):
        sandbox.check_readable()
    (tmp_path / "course_lib" / "weights").chmod(0o644)
    sandbox.check_readable()


# -------------------------------------------------------------------------------------- files


@needs_bwrap
def test_only_the_course_is_visible(student):
    said, _ = run(
        student,
        """
        say(sorted(os.listdir(repository)))
        say(os.listdir(repository + "/autograder"))
        import course_lib
        say(course_lib.__name__)
        """,
    )
    visible, autograder, course = said.splitlines()
    assert set(eval(visible)) <= {"course_lib", "autograder", ".venv"}
    assert autograder == "[]" and course == "course_lib"


@needs_bwrap
@pytest.mark.parametrize("place", ["solutions", "autograder/hidden", "autograder/mutants", "tests"])
def test_secret_folders_are_absent(student, place):
    assert (REPOSITORY / place).is_dir()
    said, _ = run(student, f"say(os.path.exists(os.path.join(repository, {place!r})))")
    assert said == "False"


@needs_bwrap
def test_the_warm_process_itself_has_no_hidden_tests():
    """Before the fork's own mask: what a program that broke the inner wall would find."""
    real = os.stat(REPOSITORY / "autograder" / "hidden").st_dev
    with start_warm("student", "bwrap", preload=[]) as warm:
        pid = psutil.Process(warm.pid).children(recursive=True)[-1].pid
        place = f"/proc/{pid}/root{REPOSITORY}/autograder/hidden"
        assert os.listdir(place) == [] and os.stat(place).st_dev != real


INSTALLED = """
import sys
sys.path.append({tests!r})
from forks import run
from autograder.warm import start_warm
with start_warm("student", "bwrap", preload=["course_lib"]) as warm:
    print(run(warm, {student!r})[0])
with start_warm("judge", "bwrap", preload=[]) as warm:
    print(run(warm, {judge!r})[0])
"""


@needs_bwrap
def test_installed_in_site_packages_below_tmp(tmp_path):
    """As a wheel instead of a checkout, in an environment that lies where the scratch folder is."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    packages = next(environment.glob("lib/python*/site-packages"))
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("autograder", "course_lib"):
        shutil.copytree(REPOSITORY / name, packages / name, ignore=ignore)
    (packages / "autograder" / "hidden" / "secret.py").touch()
    subprocess.run(["chmod", "-R", "a+rX", packages], check=True)
    student = f"""
        import course_lib
        binaries = os.listdir(sys.prefix + "/bin")
        say(os.listdir({str(packages / "autograder")!r}), "python" in binaries)
        say(attempt(open, course_lib.__file__, "a"), attempt(open, sys.prefix + "/x", "w"))
    """
    judge = f"say(os.listdir({str(packages / 'autograder' / 'hidden')!r}))"
    program = INSTALLED.format(tests=os.path.dirname(__file__), student=student, judge=judge)
    python = environment / "bin" / "python"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    seen, written, hidden = done.stdout.splitlines()
    assert seen == "[] True" and "secret.py" in hidden
    assert set(written.split()) <= {"OSError", "PermissionError"}


@needs_bwrap
def test_an_output_folder_is_invisible_to_both(student, judge, tmp_path):
    (tmp_path / "gradebook.db").write_text("grades")
    assert os.path.exists(tmp_path / "gradebook.db")
    for warm in (student, judge):
        said, _ = run(warm, f"say(os.path.exists({str(tmp_path / 'gradebook.db')!r}))")
        assert said == "False"


@needs_bwrap
def test_the_judge_sees_the_hidden_tests_and_cannot_change_them(judge):
    said, _ = run(
        judge,
        """
        say(os.path.isdir(repository + "/autograder/hidden"))
        say(attempt(open, repository + "/autograder/hidden/x", "w"))
        say(os.path.exists(repository + "/solutions"))
        """,
    )
    assert said.split() == ["True", "OSError", "False"]


@needs_bwrap
def test_nothing_outside_scratch_is_writable(student):
    said, _ = run(
        student,
        """
        places = ["/", "/usr", "/etc", "/dev", "/root", "/proc", repository, sys.prefix]
        places += [repository + "/course_lib", "/dev/pts", "/sys", "/run", "/home", "/var"]
        if repository.startswith("/tmp/"):  # an empty folder of the fork's own /tmp
            places.remove(repository)
        written = []
        for place in places:
            try:
                open(place + "/written-by-a-test", "w").close()
                written.append(place)
            except OSError:
                pass
        say(written)
        for place in ["/tmp", "/dev/shm", os.getcwd(), os.environ["HOME"]]:
            with open(place + "/mine", "w") as file:
                file.write("x")
        say("scratch")
        """,
    )
    assert said.splitlines() == ["[]", "scratch"]
    assert not (REPOSITORY / "written-by-a-test").exists()


@needs_bwrap
def test_scratch_is_fresh_and_limited(student):
    small = dataclasses.replace(Limits(), scratch_bytes=8 * MiB)
    said, _ = run(
        student,
        """
        say(os.listdir("."), os.listdir("/dev/shm"))
        def fill(path):
            with open(path, "wb") as file:
                for _ in range(9):
                    file.write(bytes(2**20))
        say(attempt(fill, "big"), attempt(fill, "/dev/shm/big"))
        """,
        small,
    )
    assert said.splitlines() == ["[] []", "OSError OSError"]


@needs_bwrap
def test_environment_holds_no_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("COURSE_SEED", "secret")
    with start_warm("student", "bwrap", preload=[]) as warm:
        said, _ = run(warm, "say(dict(os.environ)); say(os.environ['HF_HUB_OFFLINE'])")
    assert "secret" not in said and "COURSE_SEED" not in said and said.endswith("1")


# ------------------------------------------------------------------------------------- network


@needs_bwrap
def test_no_network_and_no_loopback_of_the_host(student, judge):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # it does answer
        source = f"""
        say(attempt(socket.create_connection, ("127.0.0.1", {port}), 2))
        say(attempt(socket.create_connection, ("192.0.2.1", 80), 2))
        say([name for _, name in socket.if_nameindex()])
        """
        for warm in (student, judge):
            refused, unreachable, interfaces = run(warm, source)[0].splitlines()
            assert refused == "ConnectionRefusedError" and unreachable == "OSError"
            assert interfaces == "['lo']"


@needs_bwrap
def test_abstract_sockets_of_the_host_are_out_of_reach(student):
    name = f"\0course-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        said, _ = run(student, f"say(attempt(socket.socket(socket.AF_UNIX).connect, {name!r}))")
    assert said == "ConnectionRefusedError"


# ----------------------------------------------------------------------------------- processes


@needs_bwrap
def test_sees_only_its_own_processes(student):
    said, _ = run(
        student,
        """
        say(os.getpid(), os.getppid())
        say(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()))
        """,
    )
    assert said.splitlines() == ["2 1", "[1, 2]"]


@needs_bwrap
def test_cannot_signal_or_trace_anyone(student):
    outside = [str(os.getpid()), str(student.pid)]
    with student.fork("autograder.warm:run_source", b"import time; time.sleep(60)") as sibling:
        said, _ = run(
            student,
            f"""
            import ctypes, signal
            libc = ctypes.CDLL(None)
            for pid in {[*outside, str(sibling.pid)]}:
                say(attempt(os.kill, int(pid), 9), libc.ptrace(16, int(pid), 0, 0))
            os.kill(1, signal.SIGKILL)  # its own process 1 does not die of it
            say(libc.ptrace(16, 1, 0, 0), attempt(open, "/proc/1/mem", "rb"))
            try:
                os.kill(-1, 9)
            except ProcessLookupError:
                say("nobody")
            """,
        )
        assert said.splitlines() == ["ProcessLookupError -1"] * 3 + ["-1 PermissionError", "nobody"]
        assert sibling.wait(0) is None


@needs_bwrap
def test_has_no_rights_and_cannot_get_any(student):
    said, _ = run(
        student,
        """
        import ctypes
        libc = ctypes.CDLL(None)
        lines = open("/proc/self/status").read().splitlines()
        facts = dict(line.split(":", 1) for line in lines)
        say([int(facts[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")])
        say(facts["NoNewPrivs"].strip(), facts["Seccomp"].strip())
        say([libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000)])
        say(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), libc.syscall(56, 0x10000011, 0))
        say(attempt(os.setuid, 0), attempt(os.chroot, "/tmp"))
        say(attempt(os.memfd_create, "hidden memory"))
        """,
    )
    rights, flags, unshared, mounted, raised, memory = said.splitlines()
    assert rights == "[0, 0, 0, 0, 0]" and flags == "1 2"
    assert unshared == "[-1, -1, -1, -1]" and mounted == "-1 -1"
    assert raised in ("PermissionError PermissionError", "OSError PermissionError")
    assert memory == "OSError"


@needs_bwrap
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give each fork a user id")
def test_every_fork_has_a_user_of_its_own(student, judge):
    users = [
        run(warm, "say(os.getuid(), os.getgid(), os.getgroups())")[0]
        for warm in (student, student, judge)
    ]
    numbers = {int(user.split()[0]) for user in users}
    assert len(numbers) == 3 and min(numbers) > 60000 and all("[]" in user for user in users)


@needs_bwrap
def test_inherits_no_file_descriptor(student):
    with open(os.devnull) as file:
        os.set_inheritable(file.fileno(), True)
        said, _ = run(
            student,
            """
            numbers = sorted(int(name) for name in os.listdir("/proc/self/fd"))
            paths = [f"/proc/self/fd/{number}" for number in numbers]
            say([os.readlink(path) for path in paths if os.path.lexists(path)])
            """,
        )
    links = eval(said)
    assert links[:3] == ["/dev/null"] * 3 and len(links) == 4 and links[3].startswith("socket:")


@needs_bwrap
def test_fork_bomb_is_stopped_and_neighbours_still_fork(student):
    limits = dataclasses.replace(Limits(), processes=30)
    bomb = """
        import signal
        made = 0
        try:
            while made < 1000:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
                made += 1
        except BlockingIOError:
            say("stopped at", made)
            time.sleep(5)
        """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        source = "import os, time, socket\nsay = lambda *v: os.write(fds[0], repr(v).encode())\n"
        body = (source + textwrap.dedent(bomb)).encode()
        with student.fork("autograder.warm:run_source", body, [theirs.fileno()], limits):
            theirs.close()
            ours.settimeout(20)
            words = eval(ours.recv(100))
            assert words[0] == "stopped at" and 20 <= words[1] <= 30
            said, _ = run(student, "import subprocess; say(subprocess.call(['true']))", limits)
            assert said == "0"


# -------------------------------------------------------------------------------- ordinary user


@needs_bwrap
@pytest.mark.parametrize(
    "names",
    [
        ["test_sandbox.py"],
        pytest.param(["test_warm.py", "test_kernel.py"], marks=pytest.mark.slow),
    ],
)
def test_all_of_this_as_an_ordinary_user(names):
    """The other way bubblewrap works: with a user namespace instead of root's rights."""
    reason = no_ordinary_user()
    if reason:
        pytest.skip(reason)
    tests = [os.path.join(os.path.dirname(__file__), name) for name in names]
    scratch = f"/tmp/ordinary-{os.getpid()}"
    options = ["-p", "no:cacheprovider", "--basetemp", scratch, "-m", "not slow", "-k"]
    command = [sys.executable, "-m", "pytest", *options, "not torch and not ordinary", *tests]
    done = as_ordinary_user(command)
    shutil.rmtree(scratch, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
