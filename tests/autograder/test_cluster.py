"""Grading on a Dask cluster: real schedulers and workers, each a process of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import jobs
import psutil
import pytest
import tiny
from test_grade import table

from autograder import cluster, collect, sandbox

distributed = pytest.importorskip("distributed", reason="pip install 'finetuning-course[cluster]'")

HERE = Path(__file__).parent
CODE = Path(cluster.__file__).parents[1]
SECONDS = 300  # to start a process, on a busy machine
LONG = 1800  # a class, on a busy machine


@pytest.fixture(autouse=True, scope="module")
def no_dask_left_behind():
    yield
    left = [p for p in psutil.Process().children(recursive=True) if "dask" in " ".join(command(p))]
    assert left == []


def command(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@contextmanager
def running(*arguments, inside=(), log, **variables):
    """`dask ...` as a process with a session of its own; it is ended, and whatever it started."""
    line = [*inside, sys.executable, "-m", "dask", *map(str, arguments), "--no-dashboard"]
    variables = {"PYTHONPATH": str(HERE), **variables}
    with (
        open(log, "w") as file,
        subprocess.Popen(
            line,
            env={**os.environ, **variables},
            stdout=file,
            stderr=file,
            start_new_session=True,
            cwd=Path(log).parent,
        ) as process,
    ):
        try:
            yield process
        finally:
            below = psutil.Process(process.pid).children(True) if process.poll() is None else []
            process.terminate()
            _, stayed = psutil.wait_procs(below, timeout=30)
            process.kill()
            for child in stayed:
                child.kill()
    assert stayed == [], f"stayed after the end of {line}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def scheduler(folder, protocol="tcp", **variables):
    """The address of a scheduler on this machine."""
    port, log = free_port(), folder / "scheduler.log"
    options = ("--host", "127.0.0.1", "--port", port, "--protocol", protocol)
    with running("scheduler", *options, log=log, **variables):
        told(log, "Scheduler at:")
        yield f"{protocol}://127.0.0.1:{port}"


@contextmanager
def worker(folder, name, address, *options, preload=True, inside=(), **variables):
    """A worker with one thread, once the scheduler knows of it."""
    log = folder / f"{name}.log"
    options = ["--nthreads", 1, "--name", name, "--local-directory", folder / name, *options]
    if preload:
        options += ["--preload", "autograder.cluster"]
    with running("worker", address, *options, inside=inside, log=log, **variables) as process:
        told(log, "Registered to:")
        yield process


def told(log, words, seconds=SECONDS):
    """Wait until a log says something."""
    until = time.monotonic() + seconds
    while words not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)


def refused(address, mode="auto"):
    with pytest.raises(collect.GradeError) as caught:
        cluster.Cluster(address, SECONDS, mode)
    message = str(caught.value)
    assert "\n" not in message
    return message


def other_code(folder):
    """A copy of the course whose grader is another."""
    for package in ("autograder", "course_lib"):
        ignored = shutil.ignore_patterns("__pycache__", "hidden", "mutants")
        shutil.copytree(CODE / package, folder / package, ignore=ignored)
    with (folder / "autograder" / "late.py").open("a") as file:
        file.write("# one more line\n")
    return f"{folder}{os.pathsep}{HERE}"


# ------------------------------------------------------------------------------------- refusals


def test_no_scheduler_is_one_line(monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    message = refused(f"tcp://127.0.0.1:{free_port()}")
    assert message.startswith("no Dask scheduler at tcp://127.0.0.1:")


def test_without_dask_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "pip install 'finetuning-course[cluster]'" in refused("tcp://127.0.0.1:1")


def test_workers_that_are_not_fit_are_refused_before_anything_is_graded(tmp_path):
    with scheduler(tmp_path) as address:
        assert "has no workers: start `dask worker" in refused(address)
        with worker(tmp_path, "plain", address, preload=False):
            assert "was not started with `--preload autograder.cluster`" in refused(address)
        code = other_code(tmp_path / "code")
        with worker(tmp_path, "other", address, PYTHONPATH=code):
            assert "has another version of the course's code: " in refused(address)
        bare = str(Path(sys.executable).parent)
        with worker(tmp_path, "bare", address, PATH=bare):
            message = refused(address)
            assert "cannot confine students' code: bubblewrap is not installed" in message
            cluster.Cluster(address, SECONDS, "none").shutdown()  # trusted code needs no wall


def test_what_differs_is_named():
    told = {"ingredients": {**cluster.ingredients(), "torch": "1.0"}, "problem": None}
    assert "another version of torch: 1.0 there" in cluster.unfit({"autograder": told}, True)


# ------------------------------------------------------------------------------------ executor


def test_jobs_that_fail_hang_or_kill_their_worker(tmp_path):
    with (
        scheduler(tmp_path, DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1") as address,
        worker(tmp_path, "one", address),
    ):
        pool = cluster.Cluster(address, 4, "none")
        assert pool.workers == 1
        assert pool.submit(jobs.shout, b"one").result(SECONDS) == b"ONE"
        with pytest.raises(RuntimeError, match="ValueError: two lines"):
            pool.submit(jobs.shout, b"raise").result(SECONDS)
        for job in (b"die", b"hang"):
            with pytest.raises(cluster.WorkerLost, match="2 workers died with it"):
                pool.submit(jobs.shout, job).result(SECONDS)
            assert pool.submit(jobs.shout, b"two").result(SECONDS) == b"TWO"
        pool.shutdown()


@pytest.mark.slow
def test_a_worker_of_another_version_that_joins_later_gets_no_work(tmp_path):
    lines = []
    with scheduler(tmp_path) as address, worker(tmp_path, "one", address):
        pool = cluster.Cluster(address, SECONDS, "none", lines.append)
        (first,) = {pool.submit(jobs.where, b"").result(SECONDS) for _ in range(3)}
        with worker(tmp_path, "other", address, PYTHONPATH=other_code(tmp_path / "code")):
            until = time.monotonic() + SECONDS
            while not lines and time.monotonic() < until:
                time.sleep(0.1)
            assert len(lines) == 1 and "gets no work: it has another version of" in lines[0]
            futures = [pool.submit(jobs.where, b"") for _ in range(20)]
            assert {f.result(SECONDS) for f in futures} == {first}
            with worker(tmp_path, "two", address):
                while pool.workers < 2:
                    time.sleep(0.1)
                futures = [pool.submit(jobs.where, b"") for _ in range(40)]
                assert len({f.result(SECONDS) for f in futures}) == 2
        pool.shutdown()


@pytest.mark.slow
def test_a_scheduler_that_ends_is_one_line(tmp_path, monkeypatch):
    import dask

    monkeypatch.setitem(dask.config.config["distributed"]["comm"]["timeouts"], "connect", "2s")
    lines = []
    with scheduler(tmp_path) as address, worker(tmp_path, "one", address):
        pool = cluster.Cluster(address, SECONDS, "none", lines.append)
        waits = pool.submit(jobs.shout, b"hang")
    with pytest.raises(cluster.WorkerLost, match="connection to the scheduler was lost"):
        waits.result(SECONDS)
    with pytest.raises(collect.GradeError, match="is gone; what is graded is kept"):
        for _ in range(120):  # a while it hopes to find it again
            pool.submit(jobs.shout, b"one")
            time.sleep(1)
    pool.shutdown(wait=False, cancel_futures=True)


# ----------------------------------------------------------------------------------------- TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """name -> the variables that make Dask use that authority's certificate."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificates")
    found = {}
    for name in ("course", "stranger"):
        folder = tmp_path_factory.mktemp(name)
        for line in (
            "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ours -keyout ca.key -out ca.pem",
            "req -newkey rsa:2048 -nodes -subj /CN=node -keyout key.pem -out request.pem",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-out cert.pem",
        ):
            subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)
        start = "DASK_DISTRIBUTED__COMM__"
        found[name] = {
            f"{start}REQUIRE_ENCRYPTION": "True",
            f"{start}TLS__CA_FILE": str(folder / "ca.pem"),
            **{
                f"{start}TLS__{role}__{kind.upper()}": str(folder / f"{kind}.pem")
                for role in ("SCHEDULER", "WORKER", "CLIENT")
                for kind in ("key", "cert")
            },
        }
    return found


ASK = """
import sys
sys.path.insert(0, {here!r})
import jobs
from autograder.cluster import Cluster
from autograder.collect import GradeError
if __name__ == "__main__":
    try:
        pool = Cluster({address!r}, 60, "none")
        print(pool.submit(jobs.shout, b"one").result(60))
        pool.shutdown()
    except GradeError as error:
        print(error)
"""


@pytest.mark.slow
def test_tls_lets_in_who_has_a_certificate(tmp_path, certificates):
    course = certificates["course"]

    def ask(address, variables):
        code = ASK.format(here=str(HERE), address=address)
        done = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, **variables}, timeout=SECONDS,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout.count("\n") == 1 and not done.stderr, done.stderr
        return done.stdout.strip()

    with (
        scheduler(tmp_path, "tls", **course) as address,
        worker(tmp_path, "one", address, **course),
    ):
        assert ask(address, course) == "b'ONE'"
        assert "tls needs certificates" in ask(address, {})
        told_off = ask(address, certificates["stranger"])
        assert told_off.startswith(f"no Dask scheduler at {address}: ") and "ertificate" in told_off
        plain = address.replace("tls", "tcp")
        assert ask(plain, {}).startswith(f"no Dask scheduler at {plain}: ")


# ---------------------------------------------------------------------------- the whole of it


DRIVER = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
sys.path.insert(0, {here!r})
if __name__ == "__main__":
    import jobs, tiny
    from pathlib import Path
    from autograder import grade
    from autograder.sandbox import Limits
    grade.grade_submission = jobs.grade_or_die
    root, address, out = Path(sys.argv[1]), sys.argv[2] or None, sys.argv[3]
    _, interrupted = grade.grade(
        root / "submitted", root / out, scheduler=address, workers=1,
        limits=Limits(cell_seconds=float(sys.argv[4]), notebook_seconds=300),
        sources={{tiny.ID: tiny.source()}}, hidden={{tiny.ID: tiny.HIDDEN}},
        say=lambda line: print(line, flush=True))
    print("interrupted", interrupted)
"""


@contextmanager
def driver(folder, address, out, cell_seconds=20, inside=(), **variables):
    """A run of its own of the grading of folder/submitted into folder/out; here for address ''."""
    script = folder / "driver.py"
    script.write_text(DRIVER.format(here=str(HERE)))
    arguments = [str(folder), address, out, str(cell_seconds)]
    with subprocess.Popen(
        [*inside, sys.executable, str(script), *arguments],
        env={**os.environ, "COURSE_SEED": "of the test", **variables},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def results_in(folder, number, process, seconds=LONG):
    """Wait for so many results of a run."""
    until = time.monotonic() + seconds
    while len(list(folder.rglob(f"feedback/*/*/{tiny.ID}.html"))) < number:
        assert process.poll() is None and time.monotonic() < until, process.stdout.read()
        time.sleep(0.1)


def everything_below(process):
    return [process, *psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.slow
def test_ctrl_c_ends_in_seconds_and_keeps_what_is_done(tmp_path):
    loop = tiny.answer(double="# exercise: double\nwhile True: pass")
    tiny.submit(tmp_path / "submitted", ada=tiny.answer(), ben=loop, cy=loop)
    with (
        scheduler(tmp_path) as address,
        worker(tmp_path, "one", address),
        driver(tmp_path, address, "out", cell_seconds=100) as process,
    ):
        results_in(tmp_path, 1, process)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=15)
        assert "interrupted True" in out and "1 of 3 submissions graded" in out
        assert table(tmp_path)["ada", "shift"] == ("4", "graded")
        # What ran goes on by itself; the worker is there for the next.
        pool = cluster.Cluster(address, SECONDS, "auto")
        assert pool.workers == 1
        pool.shutdown()


@contextmanager
def machines(*names):
    """Network namespaces on a bridge of their own: name -> (command prefix, address)."""
    mark = f"cg{os.getpid()}"
    hub, made = f"{mark}-hub", []

    def ip(line):
        subprocess.run(["ip", *line.split()], check=True, capture_output=True)

    try:
        for name in ("hub", *names):
            ip(f"netns add {mark}-{name}")
            made.append(f"{mark}-{name}")
            ip(f"-n {mark}-{name} link set lo up")
        ip(f"-n {hub} link add bridge type bridge")
        ip(f"-n {hub} link set bridge up")
        found = {}
        for number, name in enumerate(names, 1):
            ip(f"-n {hub} link add port{number} type veth peer name net netns {mark}-{name}")
            ip(f"-n {hub} link set port{number} master bridge up")
            ip(f"-n {mark}-{name} addr add 10.77.0.{number}/24 dev net")
            ip(f"-n {mark}-{name} link set net up")
            found[name] = ["ip", "netns", "exec", f"{mark}-{name}"], f"10.77.0.{number}"
        yield found
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def why_no_machines():
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "network namespaces need root on Linux"
    if shutil.which("ip") is None:
        return "`ip` is not installed (Debian: iproute2)"
    try:
        with machines("probe"):
            pass
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    if problem := sandbox.bwrap_problem():
        return problem
    return None


@pytest.mark.slow
def test_a_class_graded_on_machines_of_which_one_dies(tmp_path, certificates):
    """Three machines that share no file with the driver's, one submission that kills its worker,
    one machine that dies: every other score is that of a run on one machine."""
    if reason := why_no_machines():
        pytest.skip(reason)
    folder = tmp_path / "class"
    students = {f"s{i}": tiny.answer() for i in range(4)}
    students["abs"] = tiny.answer(
        shift="# exercise: shift\ndef shift(x, by):\n    return x + abs(by)"
    )
    students["blank"] = json.dumps(tiny.blank()).encode()
    students["endless"] = tiny.answer(double="# exercise: double\nwhile True: pass")
    students["broken"] = b'{"cells": ['
    students["killer"] = tiny.answer(essay="KILL THE WORKER")
    tiny.submit(folder / "submitted", **students)
    course = certificates["course"]
    # In a worker's own mounts the class is not there.
    blind = ["sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh"]
    with machines("scheduler", "one", "two", "driver") as there:
        inside, host = there["scheduler"]
        address, log = f"tls://{host}:8786", tmp_path / "scheduler.log"
        few = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        options = ("scheduler", "--host", host, "--port", 8786, "--protocol", "tls")
        with (
            running(*options, inside=inside, log=log, **few, **course),
            worker(tmp_path, "two", address, inside=[*there["two"][0], *blind], **course),
        ):
            told(log, "Scheduler at:")
            with (
                worker(
                    tmp_path, "one", address, inside=[*there["one"][0], *blind], **course
                ) as dying,
                driver(folder, address, "out", inside=there["driver"][0], **course) as process,
            ):
                results_in(folder, 3, process)
                for victim in everything_below(dying):
                    with suppress(psutil.NoSuchProcess):
                        victim.kill()  # the machine is gone, with all that ran on it
                out, _ = process.communicate(timeout=LONG)
    assert process.returncode == 0 and "interrupted False" in out, out
    scores = table(folder)
    assert {s for s, _ in scores} == set(students)
    assert scores["killer", "double"] == scores["killer", "shift"] == ("0", "crash")
    assert "killer 90_tiny: crash: could not be graded: 2 workers died with it" in out
    assert "1 submissions could not be graded" in out

    shutil.rmtree(folder / "submitted" / "killer")
    (folder / "out").rename(folder / "cluster")
    with driver(folder, "", "out") as alone:
        out, _ = alone.communicate(timeout=LONG)
    assert alone.returncode == 0, out
    assert table(folder) == {place: s for place, s in scores.items() if place[0] != "killer"}
    assert scores["s0", "shift"] == ("4", "graded") and scores["abs", "shift"] == ("3", "graded")
    assert scores["endless", "double"] == ("0", "timeout")
