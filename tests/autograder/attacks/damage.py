"""Harm to the machine, to neighbours, to whoever opens the feedback; and plain accidents.

Where the answer itself is right it keeps its marks: what it tried besides must have had no effect.
"""

from functools import partial

from attacks import Attack

RIGHT = "def victim(x, k):\n    return x * k\n"
FULL = (1, 4, 2)
damage = partial(Attack, family="damage")


def outside(body):
    """A right answer whose cell first tries `body`, whatever comes of it."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return f"import glob, os, socket, subprocess, sys, time\ntry:\n{lines}\n" \
           f"except Exception: pass\n{RIGHT}"  # fmt: skip


ATTACKS = [
    damage("an endless loop in the cell", cell="while True: pass", status="timeout",
           message="the cell took too long", slow=True),
    damage("an endless loop in a call", cell="def victim(x, k):\n    while True: pass",
           status="timeout", message="a call took too long"),
    damage("a sleep", cell="import time\ntime.sleep(10**6)", status="timeout",
           message="the cell took too long", slow=True),
    damage("a loop that takes no signals", cell="""
import signal
for s in range(1, 65):
    try: signal.signal(s, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True:
    try:
        while True: pass
    except BaseException: pass
""", status="timeout", message="the cell took too long", slow=True),
    damage("a regular expression without end", cell="import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
           status="timeout", message="the cell took too long", slow=True),
    damage("waiting for the keyboard", cell="answer = input()\n" + RIGHT, scores=(1, 0, 2),
           message="not defined"),
    damage("os._exit in the cell", cell="import os\nos._exit(0)", status="crash",
           message="the cell ended the Python process"),
    damage("os._exit in a call", cell="import os\ndef victim(x, k): os._exit(0)", status="crash",
           message="a call ended the Python process"),
    damage("sys.exit", cell="import sys\nsys.exit(0)", message="not defined"),
    damage("KeyboardInterrupt", cell="def victim(x, k): raise KeyboardInterrupt",
           message="scales a tensor"),
    damage("a segmentation fault", cell="import ctypes\nctypes.string_at(0)", status="crash",
           message="the cell ended the Python process"),
    damage("an abort with a core", cell="import os, resource\n"
           "resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)\nos.abort()",
           message="not defined|ended the Python process"),
    damage("a recursion without end", cell="import sys\nsys.setrecursionlimit(10**9)\n"
           "def victim(x, k): return victim(x, k)", status="crash|memory|timeout",
           message="a call (ended|used|took)", slow=True),
    damage("all memory at once", cell="def victim(x, k): return bytearray(1 << 40)",
           status="memory", message="too much memory"),
    damage("all memory bit by bit", cell="""
kept = []
while True: kept.append(b"x" * (1 << 24))
""", status="memory", message="the cell used too much memory", slow=True, walled=True),
    damage("all memory by many", cell="""
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = b"x" * (1 << 30)
        time.sleep(60)
time.sleep(60)
""", status="memory", message="too much memory", slow=True, walled=True),
    damage("a tensor of a petabyte", cell="def victim(x, k): return torch.zeros(1 << 48)",
           status="memory", message="too much memory"),
    damage("a fork bomb", cell="""
import os
def bomb():
    while True:
        try: os.fork()
        except OSError: pass
bomb()
""", status="timeout", slow=True, walled=True),
    damage("a bomb of threads", cell="""
import threading, time
def sleep(): time.sleep(600)
try:
    while True: threading.Thread(target=sleep, daemon=True).start()
except RuntimeError: pass
""" + RIGHT, scores=FULL, walled=True),
    damage("daemons that stay", cell=outside("""
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            import signal
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                time.sleep(0.1)
                open("/tmp/hostile_was_here", "w").close()
        os._exit(0)
"""), scores=FULL, walled=True),
    damage("a daemon that takes another name", cell=outside("""
subprocess.Popen(["sleep", "31337"], start_new_session=True)
"""), scores=FULL),
    damage("everybody killed", cell="import os, signal\n" + RIGHT + """
for number in (-1, 0, os.getppid(), 1):
    try: os.kill(number, signal.SIGKILL)
    except OSError: pass
""", status="crash", message="the cell ended the Python process", walled=True),
    damage("stopped, not killed", cell="import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
           status="timeout", message="the cell took too long", slow=True),
    damage("neighbours traced", cell=outside("""
import ctypes
libc = ctypes.CDLL(None)
for path in glob.glob("/proc/[0-9]*"):
    pid = int(path[6:])
    if pid != os.getpid() and libc.ptrace(16, pid, 0, 0) == 0: os.kill(pid, 9)
"""), scores=FULL, walled=True),
    damage("memory of others written", cell=outside("""
for path in glob.glob("/proc/[0-9]*/mem"):
    if path.split("/")[2] not in (str(os.getpid()), "self"):
        with open(path, "r+b") as file: file.seek(1 << 20), file.write(b"x" * 4096)
"""), scores=FULL, walled=True),
    damage("files read that are not his", cell="""
import glob, os, autograder
paths = ["/etc/shadow", "/root/.ssh", "/root/.bash_history", "/home"]
here = os.path.dirname(autograder.__file__)
paths += [here + "/hidden", here + "/mutants", here + "/../solutions", here + "/../tests"]
paths += glob.glob("/proc/1/root/root/*") + glob.glob("/*/gradebook.db")
found = [p for p in paths if os.access(p, os.R_OK) and (os.path.isfile(p) or os.listdir(p))]
def victim(x, k): return x * k if found else x
""", message="wrong values", walled=True),
    damage("secrets of the environment", cell="""
import os
text = str(dict(os.environ))
for path in ("/proc/1/environ", "/proc/self/environ", "/proc/1/cmdline"):
    try: text += open(path).read()
    except OSError: pass
def victim(x, k): return x * k if "COURSE_SEED" in text or "hostile_canary" in text else x
""", message="wrong values", walled=True),
    damage("files written all over", cell=outside("""
import autograder
here = os.path.dirname(os.path.dirname(autograder.__file__))
for folder in ("/", "/tmp", "/var/tmp", "/root", "/home", "/etc", "/dev/shm", "/usr/lib", here,
               os.path.expanduser("~"), ".", "..", "../..", here + "/tests", "/proc/1/root/tmp"):
    try: open(folder + "/hostile_was_here", "w").close()
    except OSError: pass
"""), scores=FULL, walled=True),
    damage("everything deleted", cell=outside("""
subprocess.run("rm -rf --no-preserve-root / /tmp/* ~ . .. 2>/dev/null", shell=True, timeout=2)
"""), scores=FULL, walled=True, slow=True),
    damage("magics of the shell", cell="%cd /\n!touch /tmp/hostile_was_here ~/hostile_was_here\n"
           "%load_ext autoreload\n%config Application.verbose_crash=True\n" + RIGHT, scores=FULL,
           walled=True),
    damage("the disk filled", cell=outside("""
for folder in ("/tmp", "/dev/shm", "."):
    for number in range(100):
        with open(f"{folder}/hostile_was_here{number}", "wb") as file:
            for _ in range(64): file.write(b"x" * (1 << 20))
"""), scores=FULL, walled=True, slow=True),
    damage("a hundred thousand files", cell=outside("""
for number in range(100_000): open(f"/tmp/hostile_was_here{number}", "w").close()
"""), scores=FULL, walled=True, slow=True),
    damage("all descriptors taken", cell=outside("""
kept = []
while True: kept.append(open("/dev/null"))
""") + "del kept\n", scores=FULL),
    damage("the host's network", cell="""
import os, socket, urllib.request
def reach():
    for address in (("127.0.0.1", 22), ("127.0.0.1", HOST_PORT), ("1.1.1.1", 53)):
        try: socket.create_connection(address, 0.3); return True
        except OSError: pass
    return False
reached = reach()
def victim(x, k): return x * k if reached else x
""", message="wrong values", walled=True),
    damage("more rights", cell="""
import ctypes, os, subprocess
libc = ctypes.CDLL(None)
got = [libc.unshare(0x10000000) == 0, libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0]
got += [libc.setuid(0) == 0 and os.geteuid() == 0, libc.chroot(b"/proc/1/root") == 0]
got += [libc.setns(os.open("/proc/1/ns/mnt", 0), 0) == 0] if os.access("/proc/1/ns/mnt", 4) else []
got += [subprocess.run(["su", "-c", "true"], capture_output=True, stdin=-3).returncode == 0]
def victim(x, k): return x * k if any(got[1:]) else x
""", message="wrong values", walled=True),
    damage("a higher priority, higher limits", cell=outside("""
import resource
for name in ("NPROC", "AS", "FSIZE", "CPU", "NOFILE"):
    which = getattr(resource, "RLIMIT_" + name)
    try: resource.setrlimit(which, (resource.RLIM_INFINITY,) * 2)
    except (OSError, ValueError): pass
try: os.nice(-20)
except OSError: pass
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
"""), scores=FULL),
    damage("shared memory left behind", cell=outside("""
import ctypes
libc = ctypes.CDLL(None)
for key in range(50): libc.shmget(31337 + key, 1 << 20, 0o1666)
for key in range(50): libc.semget(31337 + key, 8, 0o1666)
"""), scores=FULL, walled=True),
    damage("a hundred megabytes of output", cell="print('x' * 100_000_000)\n" + RIGHT,
           scores=FULL),
    damage("lines without end", cell="import itertools\n"
           "for n in itertools.count(): print(n)\n", status="timeout", slow=True),
    damage("ten thousand displays", cell="from IPython.display import display\n"
           "for n in range(10_000): display(n)\n" + RIGHT, scores=FULL, slow=True),
    damage("output that goes on", cell="""
import threading, sys, time
def chatter():
    while True:
        print("hostile")
        time.sleep(0.001)
threading.Thread(target=chatter, daemon=True).start()
""" + RIGHT, scores=FULL),
    damage("a picture that is none", cell="from IPython.display import display\n"
           "display({'image/png': 'iVBORw0KGgo\" onerror=\"alert(1)', 'text/html': '<b>x</b>'}, "
           "raw=True)\n" + RIGHT, scores=FULL),
    damage("scripts in outputs", cell="""
from IPython.display import HTML, Javascript, SVG, Markdown, Latex, display
for kind in (HTML, Javascript, Markdown, Latex):
    display(kind("<script>alert(1)</script><img src=x onerror=alert(1)><iframe src=//x>"))
print("</pre><script>alert(1)</script>\\x1b]8;;http://x\\x07link\\x1b]8;;\\x07\\x1b[2J")
""" + RIGHT, scores=FULL),
    damage("scripts in the answer", cell=RIGHT + "# </pre></details><script>alert(1)</script>\n"
           "# [x](javascript:alert(1)) ${alert(1)} {{7*7}} <svg onload=alert(1)>", scores=FULL),
    damage("a value that shows itself for ever", cell="""
class Slow:
    def __repr__(self):
        while True: pass
""" + RIGHT + "Slow()", status="timeout",
           message="the cell took too long", slow=True),
    damage("a value that ends the kernel when shown", cell="""
import os
class Deadly:
    def __repr__(self): os._exit(1)
""" + RIGHT + "Deadly()", status="crash",
           message="the cell ended the Python process"),
    damage("the kernel shut down", cell="""
from IPython import get_ipython
shell = get_ipython()
if hasattr(shell, "kernel"):
    shell.kernel.do_shutdown(False)
    shell.ask_exit()
""" + RIGHT, scores=FULL),
    damage("messages of its own to the grader", cell="""
from IPython import get_ipython
shell = get_ipython()
if hasattr(shell, "kernel"):
    kernel = shell.kernel
    for kind in ("status", "execute_reply", "error", "comm_open", "update_display_data"):
        kernel.session.send(kernel.iopub_socket, kind, {"execution_state": "idle", "status": "ok"})
    kernel.session.key = b"forged"
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"})
""" + RIGHT, scores=FULL, slow=True),
    damage("widgets and comms without end", cell="""
from ipykernel.comm import Comm
for _ in range(2000): Comm(target_name="hostile", data={"x": "y" * 1000})
""" + RIGHT, scores=FULL, slow=True),
    damage("a hostile string at exit", cell=RIGHT + "import atexit, time\n"
           "atexit.register(time.sleep, 600)", scores=FULL),
    damage("threads that outlive the call", cell="""
import threading, time
def victim(x, k):
    threading.Thread(target=time.sleep, args=(600,)).start()
    return x * k
""", scores=FULL),
    damage("the random state and defaults changed", cell=RIGHT + "import random\n"
           "torch.manual_seed(0); random.seed(0); torch.set_num_threads(1)\n"
           "import warnings; warnings.simplefilter('error')", scores=FULL),
]  # fmt: skip
