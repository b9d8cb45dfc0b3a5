"""Forks of warm processes: what they do, what stops them, and that nothing is left of them."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest
from forks import REPOSITORY, run

from autograder import sandbox
from autograder.sandbox import Limits, MiB, SandboxError, bwrap_problem
from autograder.warm import Exit, start_warm

needs_bwrap = pytest.mark.skipif(bwrap_problem() is not None, reason=str(bwrap_problem()))
MODES = [pytest.param("bwrap", marks=needs_bwrap), "none"]


@pytest.fixture(scope="module", params=MODES)
def warm(request):
    with start_warm("student", request.param, preload=[]) as process:
        yield process


def limits(**changes):
    return dataclasses.replace(Limits(), **changes)


def processes_with(word):
    """Ids of all processes on this machine that have `word` in their command line."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if word in " ".join(process.info["cmdline"] or ()) and process.info["status"] != "zombie":
            found.append(process.pid)
    return found


def gone(check, seconds=2.0):
    """Wait until check() is empty; what it still holds after `seconds`."""
    end = time.monotonic() + seconds
    while (left := check()) and time.monotonic() < end:
        time.sleep(0.05)
    return left


# ----------------------------------------------------------------------------------- what works


def test_calls_the_function_with_payload_and_descriptors(warm):
    said, ended = run(warm, "say(len(fds), os.getcwd() != '/')")
    assert said == "1 True" and ended == Exit("exit", 0)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("sys.exit(3)", Exit("exit", 3)),
        ("1/0", Exit("exit", 1)),
        ("os._exit(7)", Exit("exit", 7)),
        ("os.kill(os.getpid(), 9)", Exit("signal", 9)),
        ("os.abort()", Exit("signal", signal.SIGABRT)),
        ("import ctypes; ctypes.string_at(0)", Exit("signal", signal.SIGSEGV)),
    ],
)
def test_reports_how_it_ended(warm, source, expected):
    assert run(warm, source)[1] == expected


def test_large_payload(warm):
    data = b"x = '" + b"a" * 5_000_000 + b"'\nimport sys; sys.exit(len(x) == 5_000_000 and 42)"
    with warm.fork("autograder.warm:run_source", data) as child:
        assert child.wait(20) == Exit("exit", 42)


def test_wait_returns_none_while_it_runs_and_kill_ends_it(warm):
    with warm.fork("autograder.warm:run_source", b"import time; time.sleep(60)") as child:
        assert child.wait(0.2) is None
        assert psutil.pid_exists(child.pid)
        assert child.kill() == Exit("signal", 9)
        assert not psutil.pid_exists(child.pid)
        assert child.kill() == Exit("signal", 9)  # again: no error


def test_interrupt_is_a_keyboard_interrupt(warm):
    source = b"""
import sys, time
try:
    time.sleep(60)
except KeyboardInterrupt:
    sys.exit(5)
"""
    with warm.fork("autograder.warm:run_source", source) as child:
        time.sleep(0.5)
        child.interrupt()
        assert child.wait(10) == Exit("exit", 5)
        child.interrupt()  # after its end: no error


def test_forks_do_not_share_random_numbers_or_variables(warm):
    source = """
        import builtins, random
        say(random.random(), hasattr(builtins, "left_behind"))
        builtins.left_behind = True
    """
    first, second = (run(warm, source)[0].split() for _ in range(2))
    assert first[0] != second[0] and first[1] == second[1] == "False"


def test_subprocesses_and_multiprocessing_work(warm):
    said, _ = run(
        warm,
        """
        import multiprocessing, subprocess
        say(subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True).stdout)
        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool:
            say(pool.map(abs, [-1, -2]))
        """,
    )
    assert said.splitlines() == ["b'42\\n'", "[1, 2]"]


def test_an_unknown_target_is_an_error_in_one_line(warm):
    with pytest.raises(SandboxError, match="no_such_module"):
        warm.fork("no_such_module:function")
    assert run(warm, "say('still here')")[0] == "still here"


def test_a_failing_import_is_an_error_in_one_line():
    with pytest.raises(SandboxError, match=r"warm student: ModuleNotFoundError: .*no_such_module"):
        start_warm("student", "none", preload=["no_such_module"])


def test_a_second_thread_in_the_warm_process_is_refused(monkeypatch, tmp_path):
    source = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    (tmp_path / "starts_a_thread.py").write_text(source)
    folders = [tmp_path / "any", *sandbox.course_paths()]
    monkeypatch.setattr("autograder.warm.course_paths", lambda: folders)
    with pytest.raises(SandboxError, match="2 threads after the imports"):
        start_warm("student", "none", preload=["starts_a_thread"])


def test_fork_after_the_warm_process_died_is_an_error():
    with start_warm("student", "none", preload=[]) as process:
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(SandboxError):
            for _ in range(3):  # the first may still find the socket open
                process.fork("autograder.warm:run_source", b"")


# --------------------------------------------------------------------------------------- limits


def test_a_huge_allocation_is_a_memory_error(warm):
    said, ended = run(warm, "say(attempt(bytearray, 20 * 2**30))")
    assert said == "MemoryError" and ended == Exit("exit", 0)


def test_many_processes_that_take_too_much_together_are_killed(warm):
    """Each stays below its own limit; their sum does not. A neighbour does not notice."""
    source = """
        blocks = []
        for _ in range(8):
            if os.fork() == 0:
                blocks.append(bytearray(b"x") * (60 * 2**20))
                time.sleep(60)
        time.sleep(60)
    """
    with warm.fork("autograder.warm:run_source", b"import time; time.sleep(60)") as neighbour:
        _, ended = run(warm, source, limits(memory_bytes=200 * MiB))
        assert ended == Exit("memory", 9)
        assert neighbour.wait(0) is None


def test_file_size_is_limited(warm):
    said, _ = run(
        warm,
        """
        def write():
            with open("big", "wb") as file:
                file.write(bytes(3 * 2**20))
        say(attempt(write), os.path.getsize("big") <= 2**20)
        """,
        limits(file_bytes=MiB),
    )
    assert said == "OSError True"


def test_cpu_time_is_limited(warm):
    _, ended = run(warm, "while True: pass", limits(cpu_seconds=1), timeout=60)
    assert ended == Exit("cpu", signal.SIGXCPU)


def test_cpu_time_is_limited_for_who_ignores_the_signal(warm):
    source = "import signal; signal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    _, ended = run(warm, source, limits(cpu_seconds=1), timeout=60)
    assert ended == Exit("signal", 9)


def test_open_files_are_limited(warm):
    said, _ = run(
        warm,
        """
        files = []
        def many():
            while len(files) < 1000:
                files.append(os.open("/dev/null", os.O_RDONLY))
        say(attempt(many), len(files) < 50)
        """,
        limits(open_files=50),
    )
    assert said == "OSError True"


def test_fork_bomb_costs_only_its_fork(warm):
    source = """
        try:
            while True:
                os.fork()
        except OSError:
            time.sleep(60)
    """
    _, ended = run(warm, source, limits(processes=30), timeout=3)
    assert ended in (None, Exit("signal", 9))  # held at 30 by the sandbox, killed without
    assert run(warm, "say(1)")[0] == "1"


def test_runaway_recursion_ends_its_fork_only(warm):
    source = "sys.setrecursionlimit(10**9)\ndef f(): return f() + 1\nf()"
    _, ended = run(warm, source, limits(memory_bytes=300 * MiB))
    assert ended is not None and run(warm, "say(1)")[0] == "1"


# ------------------------------------------------------------------------------- nothing is left

DAEMON = """
    # A daemon as in the book: its own session, an orphan, deaf to polite signals.
    import signal, subprocess
    word = {word!r}
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            os.execvp("sleep", ["sleep", word])
        os._exit(0)
    os.wait()
    time.sleep(0.3)
    say("started")
"""


def test_daemons_end_with_their_fork(warm):
    word = f"{600 + os.getpid()}.0125"
    said, ended = run(warm, DAEMON.format(word=word) + "    assert True\n")
    assert said == "started" and ended == Exit("exit", 0)
    assert processes_with(word) == []


def test_daemons_are_really_started(warm):
    """The test above can fail: while its fork lives, the daemon is there."""
    word = f"{700 + os.getpid()}.0125"
    source = textwrap.dedent(DAEMON.format(word=word)).replace("say(", "str(") + "time.sleep(60)"
    source = "import os, time\n" + source
    with warm.fork("autograder.warm:run_source", source.encode()) as child:
        assert not gone(lambda: not processes_with(word), 5)
        child.kill()
    assert processes_with(word) == []


def running(processes):
    """Those that have not ended; one may end while it is asked."""
    alive = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                alive.append(process)
    return alive


@pytest.mark.parametrize("mode", MODES)
def test_close_ends_all_forks(mode):
    with start_warm("student", mode, preload=[]) as process:
        child = process.fork("autograder.warm:run_source", b"import time; time.sleep(60)")
        below = psutil.Process(process.pid).children(recursive=True)
        assert len(below) >= 2
    assert gone(lambda: running(below)) == []
    assert child.wait(5) == Exit("signal", 9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("victim", ["worker", "warm"])
def test_nothing_is_left_when_the_worker_or_the_warm_process_is_killed(mode, victim):
    word = f"{800 + os.getpid()}.0125"
    worker = f"""
import json, os, psutil, sys, time
sys.path.insert(0, {str(REPOSITORY)!r})
from autograder.warm import start_warm
warm = start_warm("student", {mode!r}, preload=[])
source = b"import os, time\\nif os.fork() == 0:\\n os.setsid()\\n if os.fork() == 0:\\n"
source += b"  os.execvp('sleep', ['sleep', '{word}'])\\n os._exit(0)\\ntime.sleep(600)"
children = [warm.fork("autograder.warm:run_source", source) for _ in range(2)]
word, until = {word!r}, time.monotonic() + 30
while time.monotonic() < until:  # both daemons are there; then whatever else they need
    below = psutil.Process().children(recursive=True)
    try:
        if sum(p.name() == "sleep" for p in below) >= 2:
            break
    except psutil.NoSuchProcess:
        pass  # the process between a daemon and its fork has just ended
    time.sleep(0.1)
print(json.dumps([warm.pid, [p.pid for p in below]]), flush=True)
time.sleep(600)
"""
    command = [sys.executable, "-c", worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        warm_pid, pids = json.loads(process.stdout.readline())
        below = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        try:
            assert len(processes_with(word)) >= 2 and len(below) >= 5
            os.kill(process.pid if victim == "worker" else warm_pid, signal.SIGKILL)
            left = gone(lambda: running(below))
            daemons = [pid for pid in processes_with(word) if pid != process.pid]
        finally:
            process.kill()  # else the end of the block waits for its sleep
    assert left == [] and daemons == []


# ---------------------------------------------------------------------------------------- torch


def test_torch_works_in_a_fork(warm_pair):
    said, ended = run(
        warm_pair[0],
        """
        import torch
        from torch.utils.data import DataLoader
        weight = torch.randn(64, 64, requires_grad=True)
        (torch.randn(64, 64) @ weight).square().mean().backward()
        say(weight.grad.shape)
        say(sum(len(batch) for batch in DataLoader(range(20), batch_size=4, num_workers=2)))
        torch.set_num_threads(2)
        say(torch.get_num_threads(), torch.ones(2000, 2000).sum().item())
        import subprocess
        say(subprocess.run([sys.executable, "-c", "import torch; print(torch.ones(2).sum())"],
                           capture_output=True, text=True).stdout)
        """,
        timeout=60,
    )
    assert said.splitlines()[:4] == ["torch.Size([64, 64])", "20", "2 4000000.0", "tensor(2.)"]
    assert ended == Exit("exit", 0)


def test_torch_models_and_peft_work_in_a_fork(warm_pair):
    said, _ = run(
        warm_pair[0],
        """
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import LlamaConfig, LlamaForCausalLM
        shape = dict(hidden_size=32, intermediate_size=64, num_attention_heads=4)
        shape |= dict(num_hidden_layers=2, vocab_size=50, num_key_value_heads=2)
        model = LlamaForCausalLM(LlamaConfig(**shape))
        tokens = torch.randint(0, 50, (2, 5))
        say(model.generate(tokens, max_new_tokens=3, do_sample=False, pad_token_id=0).shape)
        model = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"]))
        model(tokens, labels=tokens).loss.backward()
        say(sum(p.grad is not None for p in model.parameters()))
        """,
        timeout=60,
    )
    assert said.splitlines() == ["torch.Size([2, 8])", "4"]


def test_torch_forks_do_not_share_random_numbers(warm_pair):
    source = "import torch, numpy; say(torch.rand(1).item(), numpy.random.rand())"
    first, second = (run(warm_pair[0], source)[0].split() for _ in range(2))
    assert first[0] != second[0] and first[1] != second[1]


def test_torch_allocation_beyond_the_limit_is_an_error(warm_pair):
    said, _ = run(warm_pair[0], "import torch; say(attempt(torch.empty, 6 * 2**30))")
    assert said == "RuntimeError"


# ------------------------------------------------------------------- one pair for many workers


def test_a_shared_process_forks_for_others_and_outlives_them(monkeypatch):
    with start_warm("student", "none", preload=[]) as owner:
        monkeypatch.setattr("autograder.warm.OFFERED", {("student", "none"): owner.share()})
        with start_warm("student", "none") as guest:
            guest.wait_ready()
            said, ended = run(guest, "say(os.getppid() > 1)")
            assert (said, ended) == ("True", Exit("exit", 0))
            assert run(owner, "say('both')")[0] == "both"
        assert run(owner, "say('after it')")[0] == "after it"


def test_a_fork_ends_with_the_guest_that_asked_for_it(monkeypatch):
    with start_warm("student", "none", preload=[]) as owner:
        monkeypatch.setattr("autograder.warm.OFFERED", {("student", "none"): owner.share()})
        with start_warm("student", "none") as guest:
            child = guest.fork("autograder.warm:run_source", b"import time; time.sleep(60)")
            pid = child.pid
            child._control.close()  # as when the guest's process dies
        assert not gone(lambda: [pid] if psutil.pid_exists(pid) else [])


def test_a_guest_is_told_that_the_shared_process_died(monkeypatch):
    with start_warm("student", "none", preload=[]) as owner:
        monkeypatch.setattr("autograder.warm.OFFERED", {("student", "none"): owner.share()})
        guest = start_warm("student", "none", wait=False)
    with pytest.raises(SandboxError, match=r"has died|has ended"):
        guest.fork("autograder.warm:run_source", b"")
    guest.close()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has them")
def test_what_a_warm_process_holds_lies_in_huge_pages(tmp_path):
    source = """
        import re
        from autograder import confine
        kept = [bytes(1000) for _ in range(40_000)]
        def huge():
            text = open("/proc/self/smaps_rollup").read()
            return int(re.search(r"AnonHugePages: +([0-9]+)", text)[1])
        before = huge()
        confine.huge_pages()
        assert len(kept) == 40_000 and not any(map(any, kept[::1000]))
        print(before, huge())
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True
    )
    before, after = map(int, told.stdout.split())
    if after == before:
        pytest.skip("this kernel cannot collapse memory into huge pages")
    assert after >= before + 20 * 1024
