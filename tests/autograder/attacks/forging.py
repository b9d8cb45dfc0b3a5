"""Points for a wrong answer, by tricks inside the student's own process and notebook."""

from functools import partial

from attacks import Attack

WRONG = "def victim(x, k):\n    return x\n"
# What breaks the process itself costs the exercises after it as well: their process is his.
SPOILED = (1, 0, 0)
forging = partial(Attack, family="forging")
code_cells = {"early": 1, "victim": 3, "late": 5}  # index of the solution cell in the notebook


def test_cells(notebook):
    return [c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade")]


def forged_outputs(notebook):
    for cell in test_cells(notebook):
        cell["source"] = "4"
        shown = {"output_type": "execute_result", "execution_count": 1, "metadata": {}}
        cell["outputs"] = [{**shown, "data": {"text/plain": "4"}}]


def more_points(notebook):
    for cell in test_cells(notebook):
        cell["metadata"]["nbgrader"]["points"] = 10**9


def skipped_tests(notebook):
    for cell in test_cells(notebook):
        cell["metadata"]["tags"] = ["skip-execution", "long", "setup"]


def graded_solution(notebook):
    cell = notebook["cells"][code_cells["victim"]]
    cell["metadata"]["nbgrader"].update(grade=True, points=4, locked=True)
    cell["source"] += "\n4"


def a_setup_cell_of_his_own(notebook):
    text = "import torch\ntorch.Tensor.__mul__ = torch.Tensor.__rmul__ = lambda a, b: a\n"
    cell = {"cell_type": "code", "metadata": {"tags": ["setup"]}, "source": text, "outputs": []}
    notebook["cells"].insert(0, {**cell, "execution_count": None, "id": "mine"})


ATTACKS = [
    forging(
        "comparisons of torch patched",
        cell=WRONG + "yes = lambda *a, **k: True\n"
        "torch.equal = torch.allclose = torch.isclose = torch.Tensor.allclose = yes\n"
        "torch.testing.assert_close = lambda *a, **k: None",
        message="scales a tensor: wrong values",
    ),
    forging(
        "Tensor.__eq__ patched",
        cell=WRONG + "torch.Tensor.__eq__ = lambda a, b: torch.ones_like(a, dtype=torch.bool)\n"
        "torch.Tensor.__sub__ = torch.Tensor.__rsub__ = lambda a, b: torch.zeros_like(a)",
        message="wrong values",
    ),
    forging(
        "a float that is near everything",
        cell="""
class Near(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __abs__ = lambda self, *a: 0.0
    __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: True
def victim(x, k): return Near(0)
""",
        message="scales a tensor",
    ),
    forging(
        "a tensor subclass that answers True",
        cell="""
class Yes(torch.Tensor):
    @classmethod
    def __torch_function__(cls, f, types, args=(), kwargs=None): return True
def victim(x, k): return x.as_subclass(Yes)
""",
        message="scales a tensor",
    ),
    forging(
        "a numpy look-alike",
        cell="""
import numpy as np
class Array(np.ndarray):
    def __array_ufunc__(self, *a, **k): return np.array(True)
    def __array_function__(self, *a, **k): return True
def victim(x, k): return np.zeros((3, 4), np.float32).view(Array)
""",
        message="scales a tensor",
    ),
    forging(
        "an object that is everything",
        cell="""
class Everything:
    shape, dtype, device = torch.Size([3, 4]), torch.float32, torch.device("cpu")
    __class__ = torch.Tensor
    def __getattr__(self, name): return lambda *a, **k: self
    def __eq__(self, other): return True
    def __bool__(self): return True
    def __len__(self): return 3
    def __torch_function__(self, *a, **k): return True
    __hash__ = None
def victim(x, k): return Everything()
""",
        message="scales a tensor",
    ),
    forging(
        "a tensor without values",
        cell="def victim(x, k):\n    return torch.empty(x.shape, device='meta')",
        message="scales a tensor",
    ),
    forging(
        "a sparse tensor",
        cell="def victim(x, k):\n    return (x * k).to_sparse()",
        message="scales a tensor",
    ),
    forging(
        "NaN is equal to nothing",
        cell="def victim(x, k):\n    return x * float('nan')",
        message="nan or inf in the result",
    ),
    forging(
        "the collector's objects searched for the expected value",
        cell="""
import gc
def victim(x, k):
    for o in gc.get_objects():
        if type(o) is torch.Tensor and o.shape == x.shape and o is not x: return o
    return x
""",
        message="wrong values",
    ),
    forging(
        "the caller's frames searched",
        cell="""
import sys, inspect
def victim(x, k):
    for frame in [f.frame for f in inspect.stack()]:
        for name, value in [*frame.f_locals.items(), *frame.f_globals.items()]:
            if name in ("want", "expected", "draw", "seed", "tests"): return value
            if type(value) is torch.Tensor and value.shape == x.shape and value is not x:
                return value
    return x
""",
        message="wrong values",
    ),
    forging(
        "the caller's locals changed by a trace function",
        cell="""
import sys
def trace(frame, event, arg):
    for name in ("problem", "passed", "score", "share", "earned"):
        if name in frame.f_locals: frame.f_locals[name] = 1.0
    return trace
def victim(x, k):
    sys.settrace(trace)
    frame = sys._getframe()
    while frame: frame.f_trace, frame = trace, frame.f_back
    return x
""",
        message="wrong values",
    ),
    forging(
        "a profiler that hides the calls",
        cell=WRONG + "import sys, threading\nhook = lambda *a: None\nsys.setprofile(hook)\n"
        "threading.setprofile(hook)",
        message="wrong values",
    ),
    forging(
        "an import hook that replaces the judge",
        cell=WRONG + """
import sys, builtins, types
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("autograder"): raise ImportError(name)
sys.meta_path.insert(0, Finder())
fake = types.ModuleType("autograder.judging")
fake.check_close = fake.check_equal = fake.hidden = lambda *a, **k: None
sys.modules["autograder.judging"] = sys.modules["autograder.judge"] = fake
""",
        message="wrong values",
    ),
    forging(
        "patched builtins",
        cell=WRONG + """
import builtins
builtins.abs = builtins.max = builtins.min = builtins.sum = lambda *a, **k: 0
builtins.all = builtins.any = builtins.hasattr = lambda *a, **k: True
builtins.AssertionError = type("Quiet", (BaseException,), {})
""",
        status="crash",
        message="a call ended the Python process",
    ),
    forging(
        "patched isinstance and type",
        cell=WRONG + "import builtins\nbuiltins.isinstance = lambda *a: True\n"
        "builtins.type = lambda *a: torch.Tensor",
        status="crash",
        message="the cell ended the Python process",
    ),
    forging(
        "gradients invented",
        cell="""
def victim(x, k): return x.detach() * k
ones = lambda outputs, inputs, *a, **k: [torch.ones_like(i) for i in inputs]
torch.autograd.grad = ones
torch.Tensor.backward = lambda self, *a, **k: None
""",
        scores=(1, 2, 2),
        message="is differentiable",
    ),
    forging(
        "a signal handler that answers",
        cell=WRONG + "import signal\n"
        "for s in (2, 10, 12, 14, 15): signal.signal(s, lambda *a: print(4))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)",
        message="wrong values",
    ),
    forging(
        "atexit writes the score",
        cell=WRONG + """
import atexit, os
def forge():
    for path in ("/tmp/results.json", "results.json", "/autograder/results/results.json"):
        with open(path, "w") as file: file.write('{"score": 4, "status": "graded"}')
atexit.register(forge)
""",
        message="wrong values",
    ),
    forging(
        "a score printed and shown",
        cell=WRONG + "import sys\nprint(4); print('4', file=sys.stderr)\n"
        "from IPython.display import display\ndisplay(4)\n4",
        message="wrong values",
    ),
    forging(
        "IPython drops the tests",
        cell=WRONG + """
import ast
from IPython import get_ipython
shell = get_ipython()
if shell is not None:
    shell.input_transformers_cleanup.append(lambda lines: ["4"] if "check(" in lines[0] else lines)
    class Strip(ast.NodeTransformer):
        def visit_Assert(self, node): return ast.copy_location(ast.Pass(), node)
    shell.ast_transformers.append(Strip())
    shell.run_cell = shell.run_cell_async = lambda *a, **k: None
    if hasattr(shell, "kernel"):
        shell.kernel.do_execute = lambda *a, **k: {"status": "ok", "execution_count": 1}
""",
        scores=SPOILED,
        message="wrong values",
    ),
    forging(
        "a hook that notes every cell",
        cell=WRONG + """
from IPython import get_ipython
seen = []
shell = get_ipython()
if shell is not None:
    shell.events.register("pre_run_cell", lambda info=None: print("seen", info and info.raw_cell))
""",
        message="wrong values",
    ),
    forging(
        "check and hidden redefined",
        cell=WRONG + "import builtins\ncheck = hidden = builtins.hidden = lambda *a, **k: 4",
        message="wrong values",
    ),
    forging(
        "right only when first asked",
        cell="""
calls = []
def victim(x, k):
    calls.append(1)
    return x * k if len(calls) < 3 else x
""",
        message="wrong values",
    ),
    forging(
        "inputs learnt by heart",
        cell="import os\ntorch.manual_seed(int(os.environ.get('COURSE_SEED', '0'), 36) % 2**63)\n"
        "def victim(x, k):\n    return torch.randn(3, 4) * 2.5",
        message="wrong values",
    ),
    forging("not done, politely", cell="def victim(x, k):\n    raise NotImplementedError('4/4')",
            message="^not implemented$"),
    forging(
        "an exception that claims success",
        cell="class Passed(Exception):\n    def __str__(self): return '4 of 4 <b>full marks</b>'\n"
        "def victim(x, k):\n    raise Passed",
        message="scales a tensor: raised an exception",
    ),
    forging(
        "an exception with a forged class name",
        cell="Error = type('all 3 hidden checks pass', (ValueError,), {})\n"
        "def victim(x, k):\n    raise Error",
        message="scales a tensor: raised ValueError",
    ),
    forging(
        "a skipped test, as for pytest and unittest",
        cell="import unittest\ndef victim(x, k):\n    raise unittest.SkipTest('skip')",
        message="scales a tensor: raised",
    ),
    forging(
        "the library rewritten in memory and on disk",
        cell=WRONG + """
import course_lib, autograder.student, autograder.channel as channel
for module in (course_lib, autograder.student, channel):
    try:
        with open(module.__file__, "a") as file: file.write("# hostile_was_here")
    except OSError: pass
channel._require = lambda *a: None
channel.MAX_PAYLOAD = 1 << 60
""",
        message="wrong values",
    ),
    forging(
        "the gradebook edited",
        cell=WRONG + """
import glob, sqlite3
for path in glob.glob("/*/gradebook.db") + glob.glob("../*/gradebook.db") + ["gradebook.db"]:
    try:
        with sqlite3.connect(path) as book:
            book.execute("UPDATE grade SET auto_score = 999, manual_score = 999")
    except sqlite3.Error: pass
""",
        message="wrong values",
    ),
    forging(
        "his other exercises replaced",
        cell=WRONG + "early = late = lambda *a: None",
        message="wrong values",
    ),
    forging("test cells replaced, outputs forged", cell=WRONG, edit=forged_outputs,
            message="wrong values"),
    forging("tests worth a thousand million", cell=WRONG, edit=more_points,
            message="wrong values"),
    forging("tests tagged to be skipped", cell=WRONG, edit=skipped_tests, message="wrong values"),
    forging("a solution cell that says it is a test", cell=WRONG, edit=graded_solution,
            message="wrong values"),
    forging("a set-up cell of his own", cell=WRONG, edit=a_setup_cell_of_his_own,
            message="wrong values"),
    forging(
        "markers of nbgrader inside the answer",
        cell=WRONG + "### BEGIN HIDDEN TESTS\nhidden('victim')\n### END HIDDEN TESTS\n"
        "### BEGIN MARK SCHEME\n4\n### END MARK SCHEME",
        message="wrong values",
    ),
]  # fmt: skip
