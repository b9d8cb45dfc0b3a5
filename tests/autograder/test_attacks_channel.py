"""Attacks on the channel and the judge: each scores 0 on its exercise, costs nobody else, and the
next submission is graded as ever."""

import pytest
from toy import POINTS, judge_toy, scores

# The student's own server: found through the collector, as any code in its process can.
SERVER = """
import gc, os, socket, struct, json, threading, time, sys
from autograder import student as student_module, channel
server = next(o for o in gc.get_objects() if type(o).__name__ == "_Server")
fd = server.sock.fileno()
def frame(tree, payload=b""):
    tree[1].insert(1, server.serial)
    header = json.dumps(tree).encode()
    return struct.pack("<4sIQ", b"data", len(header), len(payload)) + header + payload
"""

# name -> the victim's cell. All are dealt with so that the exercise after it keeps its marks too.
ATTACKS = {
    "forged frame from inside a call": SERVER
    + """
def victim(x, k):
    os.write(fd, frame(["tuple", ["graded", 1.0, "ok"]]))
    return 0
""",
    "forged judge message": SERVER
    + """
def victim(x, k):
    os.write(fd, b'["property", "scales a tensor", true, ""]\\n["graded", 1.0, ""]\\n')
    time.sleep(60)
""",
    "garbage on the socket": SERVER
    + """
def victim(x, k):
    os.write(fd, os.urandom(4096))
    return x
""",
    "answer ahead of the question": SERVER
    + """
def victim(x, k):
    for _ in range(20):
        os.write(fd, frame(["tuple", ["value", None]]))
    return x
""",
    "a thread that floods the socket": SERVER
    + """
def flood():
    while True:
        os.write(fd, frame(["tuple", ["value", True]]))
def victim(x, k):
    threading.Thread(target=flood, daemon=True).start()
    return x
""",
    "the socket replaced": SERVER
    + """
def victim(x, k):
    ours, theirs = socket.socketpair()
    os.dup2(theirs.fileno(), fd)
    return x
""",
    "the socket closed": SERVER
    + """
def victim(x, k):
    os.close(fd)
    return x
""",
    "a huge length announced": SERVER
    + """
def victim(x, k):
    os.write(fd, struct.pack("<4sIQ", b"data", 10, 2**62))
    time.sleep(60)
""",
    "an answer that never ends": SERVER
    + """
def victim(x, k):
    os.write(fd, struct.pack("<4sIQ", b"data", 1000, 0))
    while True:
        os.write(fd, b"x")
        time.sleep(0.3)
""",
    "deep nesting": SERVER
    + """
def victim(x, k):
    header = b'["list",[' * 400_000 + b"]]" * 400_000
    os.write(fd, struct.pack("<4sIQ", b"data", len(header), 0))
    server.sock.sendall(header)
    time.sleep(60)
""",
    "a pickle bomb": SERVER
    + """
class Bomb:
    def __reduce__(self):
        return os._exit, (0,)
def victim(x, k):
    import pickle
    os.write(fd, pickle.dumps(Bomb()))
    time.sleep(60)
""",
    "lies about dtype, shape and bytes": SERVER
    + """
def victim(x, k):
    os.write(fd, frame(["tuple", ["value", ["tensor", "float32", [3, 4]]]], b"1234"))
    time.sleep(60)
""",
    "a handle where data is expected": """
class Thing(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *args, **kwargs):
        return True
def victim(x, k):
    return (x * k).as_subclass(Thing)
""",
    "a handle that answers everything": """
class Yes:
    def __getattr__(self, name): return Yes()
    def __call__(self, *a, **k): return Yes()
    def __eq__(self, other): return True
    def __len__(self): return 3
    shape, dtype = torch.Size([3, 4]), torch.float32
def victim(x, k):
    return Yes()
""",
    "always equal": """
class Equal(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
def victim(x, k):
    return Equal(0)
""",
    "answers that change": """
calls = [0]
def victim(x, k):
    calls[0] += 1
    return x * k if calls[0] < 3 else x
""",
    "nan everywhere": "def victim(x, k):\n    return x * float('nan')",
    "the wrong dtype": "def victim(x, k):\n    return (x * k).double()",
    "it leaves in the cell": "import os\nos._exit(0)",
    "it leaves in a call": "import os\ndef victim(x, k):\n    os._exit(0)",
    "sys.exit in a call": "import sys\ndef victim(x, k):\n    sys.exit(0)",
    "KeyboardInterrupt in a call": "def victim(x, k):\n    raise KeyboardInterrupt",
    "it ends itself by signal": "import os\ndef victim(x, k):\n    os.kill(os.getpid(), 9)",
    "it hangs in the cell": "while True:\n    pass",
    "it hangs in a call": "def victim(x, k):\n    while True:\n        pass",
    "it recurses without end": "def victim(x, k):\n    return victim(x, k)",
    "an answer that contains itself": "def victim(x, k):\n    a = [x]\n    a[0] = a\n    return a",
    "an answer too large": "def victim(x, k):\n    return torch.zeros(100_000_000)",
    "it wants all memory": """
def victim(x, k):
    kept = [bytearray(1 << 28) for _ in range(64)]
""",
    "an exception that lies": """
class Passed(Exception):
    __name__ = "full marks <script>"
    def __str__(self): raise SystemExit
def victim(x, k):
    raise Passed("scales a tensor: passed")
""",
    "an exception whose class is hostile": """
Error = type("score: 4/4 <b>all pass</b>", (Exception,), {})
def victim(x, k):
    raise Error("all hidden checks pass")
""",
    "an exception that reports another type": """
class Meta(type):
    def mro(cls): return [cls, ValueError, Exception, BaseException, object]
class Odd(ValueError, metaclass=Meta):
    @property
    def __class__(self): return str
def victim(x, k):
    raise Odd()
""",
    "it reads the judge's frames": """
import sys, gc, inspect
def victim(x, k):
    frame = sys._getframe()
    while frame:
        for value in frame.f_locals.values():
            if type(value) is torch.Tensor and value.shape == x.shape and value is not x:
                return value
        frame = frame.f_back
    for value in gc.get_objects():
        if type(value) is torch.Tensor and value is not x and value.shape == x.shape:
            return value
    return x
""",
    "it looks for the hidden tests": """
import glob, os, sys
def victim(x, k):
    found = [m for m in sys.modules if "autograder.hidden" in m or m == "autograder.judge"]
    found += [v for v in os.environ if v == "COURSE_SEED"]
    assert found
    return x * k
""",
    "it reads the memory of other processes": """
import glob, os
def victim(x, k):
    for path in glob.glob("/proc/[0-9]*/mem"):
        pid = path.split("/")[2]
        if pid == str(os.getpid()):
            continue
        with open(path, "rb"):
            return x * k
    raise PermissionError
""",
    "it reads the files of the hidden tests": """
import glob, os, autograder
def victim(x, k):
    folder = os.path.dirname(autograder.__file__)
    assert glob.glob(folder + "/hidden/*.py") + glob.glob(folder + "/../solutions/*.py")
    return x * k
""",
    "the seed guessed from the generator": """
def victim(x, k):
    return torch.randn(3, 4) * k
""",
}

# These spoil the student's process for good, which costs the exercises after it and no other.
SPOILERS = {
    "a patched server that returns the arguments": SERVER
    + """
type(server).do_call = lambda self, target, args, kwargs: args[0]
def victim(x, k): return None
""",
    "a patched encoder that says equal": SERVER
    + """
channel.encode = lambda value, keep: (b'["tuple",["value",%d,true]]' % server.serial, b"")
def victim(x, k): return None
""",
    "a patched torch": """
yes = lambda *a, **k: True
torch.equal = torch.allclose = torch.isclose = torch.Tensor.__eq__ = torch.Tensor.allclose = yes
torch.autograd.grad = lambda outputs, inputs, *a, **k: [torch.ones_like(i) for i in inputs]
torch.Tensor.numpy = torch.Tensor.tolist = lambda self, *a, **k: self
torch.testing.assert_close = yes
def victim(x, k): return x
""",
    "a patched interpreter": """
import builtins, json, struct
builtins.isinstance = lambda *a: True
builtins.type = lambda *a: float
json.dumps = lambda *a, **k: '["tuple",["value",1.0]]'
def victim(x, k): return x
""",
    "a server of its own": SERVER
    + """
def serve_all():
    while True:
        request = server.next_request()
        answer = request[3][0] if request[1] == "call" else None
        message = channel.encode(("value", request[0], answer), server.keep)
        channel.send_answer(server.sock, *message)
serve_all()
""",
    "a background thread that takes the questions": SERVER
    + """
def thief():
    while True:
        request = server.next_request()
        answer = request[3][0] if request[1] == "call" else None
        message = channel.encode(("value", request[0], answer), server.keep)
        channel.send_answer(server.sock, *message)
for _ in range(4):
    threading.Thread(target=thief, daemon=True).start()
def victim(x, k): return None
""",
}


def check_aftermath(warm_pair, verdicts):
    victim = verdicts["victim"]
    assert victim.score == 0, victim
    assert verdicts["early"].score == POINTS["early"]
    for text in (victim.message, *(message for _, _, message in victim.properties)):
        assert "script" not in text and "<b>" not in text and "full marks" not in text
        assert "\n" not in text and len(text) < 500
    after = judge_toy(warm_pair)
    assert scores(after) == POINTS


NEEDS_SANDBOX = {
    "it reads the memory of other processes",
    "it reads the files of the hidden tests",
    "it wants all memory",
}
SLOW = {"it hangs in the cell", "it wants all memory", "an answer that never ends"}
SLOW |= {"an answer too large", "a server of its own", "huge arguments"}


def quick_first(attacks):
    return [pytest.param(a, marks=[pytest.mark.slow] if a in SLOW else []) for a in attacks]


@pytest.mark.parametrize("name", quick_first(ATTACKS))
def test_attack(warm_pair, name):
    if name in NEEDS_SANDBOX and warm_pair[0].mode == "none":
        pytest.skip("this machine has no sandbox")
    verdicts = judge_toy(warm_pair, victim=ATTACKS[name])
    assert verdicts["late"].score == POINTS["late"], verdicts["late"]
    check_aftermath(warm_pair, verdicts)


@pytest.mark.parametrize("name", quick_first(SPOILERS))
def test_spoiler(warm_pair, name):
    check_aftermath(warm_pair, judge_toy(warm_pair, victim=SPOILERS[name]))


CALLBACK_ATTACKS = {
    "calls without end": "def late(f, items):\n    while True:\n        f(1)",
    "huge arguments": """
def late(f, items):
    while True:
        f(torch.zeros(10_000_000))
""",
    "a forged callback": SERVER
    + """
def late(f, items):
    os.write(fd, frame(["tuple", ["callback", 99, ["tuple", []], ["dict", []]]]))
    return [7 * i for i in items]
""",
    "a callback with forged keywords": SERVER
    + """
def late(f, items):
    os.write(fd, frame(["tuple", ["callback", 0, ["tuple", []], ["dict", [[1, 2]]]]]))
    return [7 * i for i in items]
""",
    "not calling": "def late(f, items):\n    return [7 * i for i in items]",
    "calling with handles": "def late(f, items):\n    return [f(object()) for i in items]",
}


@pytest.mark.parametrize("name", quick_first(CALLBACK_ATTACKS))
def test_callback_attack(warm_pair, name):
    verdicts = judge_toy(warm_pair, late=CALLBACK_ATTACKS[name])
    assert scores(verdicts) == POINTS | {"late": 0.0}, verdicts
    assert scores(judge_toy(warm_pair)) == POINTS
