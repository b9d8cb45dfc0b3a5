"""What a hidden test is written with: proxies for the student's code, fresh inputs, comparisons.

    from autograder.judging import check_close, hidden

    @hidden("repeat_kv", "query head h reads kv head h // n_rep", weight=2, core=True,
            hint="Compare repeat_interleave with repeat.")
    def head_order(student, draw):
        x = draw.normal(2, 3, 5, 4)
        check_close(student.repeat_kv(x, 4), x.repeat_interleave(4, dim=1))

A test runs in the judge, never beside the student's code. `student.NAME(...)` calls the student's
object in its own process and gives back data: judge.py relates how.

What a student may read is the property's title, a message made here, and the hint. Messages never
hold expected values, inputs, or text that the student's code chose (names of exceptions and types
are shown only if they are on a list), so feedback can leak nothing and forge nothing.
"""

import hashlib
import hmac
import importlib
import math
import random
import time
import types
from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch
from torch import nn

from autograder import channel

MAX_CALLBACKS = 20_000  # in one call
MAX_NESTED_CALLBACKS = 20


class Fail(Exception):
    """A property does not hold. The text is shown to the student: one line, no values."""


class StudentError(Exception):
    """The student's code raised. `names` are the names of the exception's type and its bases, and
    `text` its message: both chosen by the student, to be compared but not shown."""

    def __init__(self, names: list[str], text: str):
        super().__init__(known_error(names))
        self.names, self.text = names, text

    @property
    def type_name(self) -> str:
        return self.names[0]


class Undefined(Exception):
    """The student's cells do not define the name that is asked for."""


@dataclass(frozen=True)
class Property:
    """One thing that a right answer does."""

    exercise: str
    title: str
    test: Callable
    weight: float
    core: bool
    hint: str


def hidden(exercise: str, title: str, *, weight: float = 1, core: bool = False, hint: str = ""):
    """Register `test(student, draw)` as a property of an exercise, in file order.

    A core property that fails makes the exercise score 0, and the properties after it are not
    run; otherwise the score is the share of the weights whose properties hold."""

    def register(test):
        properties = test.__globals__.setdefault("PROPERTIES", [])
        if any((p.exercise, p.title) == (exercise, title) for p in properties):
            raise ValueError(f"{exercise}: two properties are called {title!r}")
        properties.append(Property(exercise, title, test, weight, core, hint))
        return test

    return register


# Notebook -> the text of its hidden tests, where a fork has them imported already.
IMPORTED: dict[str, str] = {}


def load_hidden(notebook_id: str, source: str | None = None) -> dict[str, list[Property]]:
    """Exercise name -> its properties, from autograder/hidden/<notebook_id>.py or from `source`."""
    if source is None or source == IMPORTED.get(notebook_id):
        module = importlib.import_module(f"autograder.hidden.{notebook_id}")
    else:
        module = types.ModuleType(f"autograder.hidden.{notebook_id}")
        exec(compile(source, f"{notebook_id}.py", "exec"), vars(module))
    properties = {}
    for item in vars(module).get("PROPERTIES", []):
        properties.setdefault(item.exercise, []).append(item)
    return properties


# ---------------------------------------------------------------- inputs


def derive_seed(seed: bytes, *labels: str) -> int:
    """A 63-bit seed that depends on the secret `seed` and the labels."""
    digest = hmac.digest(seed, "\0".join(labels).encode(), hashlib.sha256)
    return int.from_bytes(digest[:8], "big") >> 1


class Draw:
    """Random inputs: fresh for every submission, exercise and property, equal in a regrade."""

    def __init__(self, seed: int):
        self.generator = torch.Generator().manual_seed(seed)
        self.random = random.Random(seed)

    def normal(self, *shape: int, dtype=torch.float32) -> torch.Tensor:
        """Standard normal, drawn in float32 and cast to `dtype`."""
        return torch.randn(*shape, generator=self.generator).to(dtype)

    def uniform(self, low: float = 0.0, high: float = 1.0, *shape: int):
        """Uniform in [low, high): a float without a shape, else a float32 tensor."""
        if not shape:
            return self.random.uniform(low, high)
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def integers(self, low: int, high: int, *shape: int):
        """Uniform in low..high-1: an int without a shape, else an int64 tensor."""
        if not shape:
            return self.random.randrange(low, high)
        return torch.randint(low, high, shape, generator=self.generator)

    def probabilities(self, *shape: int) -> torch.Tensor:
        """Float32 distributions along the last dimension."""
        return self.normal(*shape).softmax(-1)

    def choice(self, items):
        return self.random.choice(list(items))

    def sample(self, items, count: int) -> list:
        return self.random.sample(list(items), count)

    def shuffled(self, items) -> list:
        items = list(items)
        self.random.shuffle(items)
        return items

    def reset(self, module: nn.Module, scale: float = 0.3) -> nn.Module:
        """Give every parameter of `module` fresh normal values; returns the module."""
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.copy_(scale * self.normal(*parameter.shape))
        return module


# ---------------------------------------------------------------- the student's objects


class Handle:
    """An object in the student process. Calling, fetching attributes (data comes as data, the rest
    as handles), items and len() happen there."""

    def __init__(self, student: "Student", ref: channel.Ref):
        self._student, self._ref = student, ref

    def __call__(self, *args, **kwargs):
        return self._student._ask("call", self, args, kwargs)

    def __getattr__(self, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        return self._student._ask("getattr", self, name)

    def __getitem__(self, key):
        return self._student._ask("item", self, key)

    def __len__(self) -> int:
        length = self._student._ask("length", self)
        if type(length) is not int or not 0 <= length < 1 << 31:
            raise Fail("len() does not give a length")
        return length

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type_name(self)} in the student process>"


class Name:
    """Something that the student's cells define, by name: `student.repeat_kv`."""

    def __init__(self, student: "Student", name: str):
        self._student, self._name = student, name

    def __call__(self, *args, **kwargs):
        return self._student._ask("call", self._name, args, kwargs)


class Callback:
    """See `callback_module`."""

    def __init__(self, function, output):
        self.function, self.output = function, output


def callback_module(function, output: str | None = None) -> Callback:
    """An argument that becomes an nn.Module in the student process and runs in the judge.

    A plain function is called with the data that the student's code passes; no gradient flows.
    An nn.Module (all parameters float, a tensor result) is differentiable: the student's side owns
    its parameters, each forward brings them here, runs `function` on them and can be followed by a
    backward. With output="logits" the student's code gets an object with that one attribute.
    Wrap the module's forward to count calls: they cannot be faked or hidden."""
    return Callback(function, output)


class Student:
    """The student's namespace. `student.NAME(...)` calls what the cells define as NAME; arguments
    are anything picklable, plain functions are passed as callbacks that run in the judge."""

    def __init__(self, sock, call_seconds: float):
        self._sock, self._call_seconds = sock, call_seconds
        self._deadline = math.inf  # of the exercise
        self._functions: list = []
        self._depth = 0
        self._serial = 0
        self._seed: int | None = None  # goes with the next request
        # Handed in beside the notebook: name -> bytes, or a line that says why it was not read.
        self.files: dict[str, bytes | str] = {}

    def __getattr__(self, name: str) -> Name:
        if name.startswith("_"):
            raise AttributeError(name)
        return Name(self, name)

    # ------------------------------------------------ for the tests

    def call(self, target, *args, **kwargs):
        """Call a name, a Name or a Handle."""
        return self._ask("call", _target(target), args, kwargs)

    def keep(self, target, *args, **kwargs) -> Handle:
        """Call, and keep the result in the student process even if it is data: to see afterwards
        whether it shares memory with something else."""
        return self._handle("keep", _target(target), args, kwargs)

    def put(self, value) -> Handle:
        """Place a copy of `value` in the student process."""
        return self._handle("put", value)

    def get(self, name: str) -> Handle:
        """What the student's cells define as `name`."""
        return self._handle("find", name)

    def value(self, handle: Handle):
        """The data that a handle stands for (a handle again if it is not data)."""
        return self._ask("value", handle)

    def attr(self, handle: Handle, name: str) -> Handle:
        """An attribute as a handle, even if it is data."""
        return self._handle("attr", handle, name)

    def set(self, handle: Handle, name: str, value) -> None:
        """setattr in the student process."""
        self._ask("setattr", handle, name, value)

    def copy(self, handle: Handle, value) -> None:
        """Overwrite a tensor in the student process, in place."""
        self._ask("copy", handle, value)

    def is_same(self, one: Handle, other: Handle) -> bool:
        """Are the two handles the same object?"""
        return self._ask("same", one, other) is True

    def isinstance(self, handle: Handle, type_name: str) -> bool:
        """type_name: "torch.nn:Linear", or a name that the student's cells define."""
        return self._ask("isinstance", handle, type_name) is True

    def parameters(self, module: Handle) -> dict[str, tuple[torch.Tensor, bool]]:
        """Full parameter name -> (value, requires_grad)."""
        named = self._ask("parameters", module)
        if type(named) is not dict:
            raise Fail("its parameters cannot be read")
        for name, entry in named.items():
            if type(name) is not str or type(entry) is not tuple or len(entry) != 2:
                raise Fail("its parameters cannot be read")
            if type(entry[0]) is not torch.Tensor or type(entry[1]) is not bool:
                raise Fail("its parameters cannot be read")
        return named

    def load_state(self, module: Handle, state: dict[str, torch.Tensor]) -> None:
        """Overwrite the named parameters and buffers in place."""
        self._ask("load_state", module, state)

    def observe(self, module: Handle, function) -> None:
        """Call `function(*args, **kwargs)` in the judge before each forward of a module, with what
        the module gets (data, or handles)."""
        self._ask("observe", module, function)

    def gradients(self, target, args, kwargs=None, cotangent=None, wrt=(), pick=None):
        """Call `target`, then differentiate sum(output * cotangent), or sum(output) without a
        cotangent. -> (output, gradients): by position for the tensor arguments `wrt`, by name for
        the parameters of a module handle; None where none flows. `pick`: the item of the output."""
        kwargs = kwargs or {}
        answer = self._ask("gradients", _target(target), args, kwargs, cotangent, tuple(wrt), pick)
        if type(answer) is not tuple or len(answer) != 2 or type(answer[1]) is not dict:
            raise Fail("its gradients cannot be read")
        return answer

    def call_and_inspect(self, target, *args, **kwargs):
        """-> (result, the arguments as they are after the call)."""
        answer = self._ask("inspect", _target(target), args, kwargs)
        if type(answer) is not tuple or len(answer) != 2 or type(answer[1]) is not tuple:
            raise Fail("its arguments cannot be read")
        return answer

    # ------------------------------------------------ for the judge

    def _begin(self, seed: int, deadline: float) -> None:
        """A new test: before the next request, the student process forgets and seeds itself."""
        self._deadline, self._seed = deadline, seed
        self._functions.clear()

    def _settle(self) -> None:
        """Whatever is left on the socket shall be found now, not taken for a later answer."""
        self._ask("value", None)

    def _execute(self, source: str, seconds: float) -> None:
        self._ask("exec", source, seconds=seconds)

    def _handle(self, *request) -> Handle:
        answer = self._ask(*request)
        if type(answer) is not Handle:
            raise channel.ChannelError("data in place of a reference")
        return answer

    def _ask(self, *request, seconds: float | None = None):
        """Send one request and serve callbacks until its answer is there."""
        limit = time.monotonic() + (self._call_seconds if seconds is None else seconds)
        limit = min(limit, self._deadline)
        self._serial += 1
        serial, seed, self._seed = self._serial, self._seed, None
        self._send((serial, seed, *request), limit)
        callbacks = 0
        while True:
            message = self._receive(limit)
            # An answer that was sent before the question must not be taken for the answer to it.
            if type(message) is not tuple or len(message) < 2 or message[1] != serial:
                raise channel.ChannelError("not an answer to this question")
            match (message[0], *message[2:]):
                case ("value", value):
                    return value
                case ("error", list(names), str(text)) if all(type(n) is str for n in names):
                    raise StudentError(names or ["Exception"], text)
                case ("undefined",):
                    raise Undefined(request[1])
                case ("unsendable",):
                    raise Fail("the answer is too large or too deeply nested")
                case ("callback", int(number), tuple(args), dict(kwargs)):
                    callbacks += 1
                    if callbacks > MAX_CALLBACKS or self._depth >= MAX_NESTED_CALLBACKS:
                        raise TimeoutError
                    reply = self._run_callback(number, args, kwargs)
                    self._send((serial, *reply), limit)
                case _:
                    raise channel.ChannelError("not an answer")

    def _run_callback(self, number: int, args: tuple, kwargs: dict) -> tuple:
        if not 0 <= number < len(self._functions) or not all(type(k) is str for k in kwargs):
            raise channel.ChannelError("no such callback")
        self._depth += 1
        try:
            return ("return", self._functions[number](*args, **kwargs))
        except (channel.ChannelError, channel.Closed, TimeoutError, Fail, StudentError):
            raise
        except Exception as error:
            # What the test's function raises, on purpose or because it was called wrongly, is the
            # student's to handle.
            name = type(error).__name__
            return ("raise", name if name in KNOWN_ERRORS else "RuntimeError", str(error)[:200])
        finally:
            self._depth -= 1

    def _send(self, request: tuple, deadline: float) -> None:
        channel.send_request(self._sock, channel.dump(request, self._persist), deadline)

    def _receive(self, deadline: float):
        message = channel.receive_answer(self._sock, deadline)
        return self._with_handles(message)

    def _with_handles(self, value):
        match value:
            case channel.Ref():
                return Handle(self, value)
            case list():
                return [self._with_handles(item) for item in value]
            case tuple():
                return tuple(self._with_handles(item) for item in value)
            case dict():
                return {key: self._with_handles(item) for key, item in value.items()}
        return value

    def _persist(self, value) -> tuple | None:
        """How an argument travels that cannot be copied to the student process."""
        kind = type(value)
        if kind is Handle:
            return ("object", value._ref.id)
        if kind is Name:
            raise TypeError(f"pass student.get({value._name!r}), not student.{value._name}")
        if kind is Callback:
            return self._persist_module(value)
        if kind is types.MethodType or kind in (types.FunctionType, types.BuiltinFunctionType):
            owner = getattr(value, "__self__", None)
            bound = owner is not None and not isinstance(owner, types.ModuleType | type)
            if bound or not _importable(value):
                return ("callback", self._register(value))
        if isinstance(value, type) and not _importable(value):
            raise TypeError(f"{value.__qualname__} is defined in a hidden test and cannot travel")
        return None

    def _persist_module(self, callback: Callback) -> tuple:
        if not isinstance(callback.function, nn.Module):
            return ("module", self._register(callback.function))
        state = {
            name: nn.Parameter(value.detach().clone(), requires_grad=value.requires_grad)
            for name, value in callback.function.named_parameters()
        }
        serve = self._register(_remote(callback.function))
        return ("remote", serve, state, callback.output)

    def _register(self, function) -> int:
        self._functions.append(function)
        return len(self._functions) - 1


def _remote(module: nn.Module):
    """The judge's end of a differentiable callback module."""
    runs = []

    def serve(what, *fields):
        if what == "forward":
            state, args, kwargs = fields
            state = {name: state[name].requires_grad_(True) for name in state}
            with torch.enable_grad():
                output = torch.func.functional_call(module, state, tuple(args), kwargs)
            runs.append((output, state))
            return len(runs) - 1, output.detach()
        ticket, cotangent = fields
        output, state = runs[ticket]
        gradients = torch.autograd.grad(
            output, list(state.values()), cotangent, allow_unused=True, retain_graph=True
        )
        return dict(zip(state, gradients, strict=True))

    return serve


def _importable(value) -> bool:
    """Can the student process import this function or class by name? Nothing of the hidden tests
    or of the script that runs them."""
    module = getattr(value, "__module__", None) or "builtins"
    if "<" in value.__qualname__ or module == "__main__":
        return False
    return not module.startswith("autograder.") or module == channel.__name__


def _target(target):
    return target._name if type(target) is Name else target


# ---------------------------------------------------------------- comparisons


def check_type(got, kind: type | tuple[type, ...], what: str = "") -> None:
    """The exact type: a bool is not an int, a handle is none of them."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if type(got) not in kinds:
        expected = " or ".join(_TYPE_WORDS.get(k, k.__name__) for k in kinds)
        raise Fail(_about(what, f"wrong type: expected {expected}, got {type_name(got)}"))


def check_equal(got, want, what: str = "") -> None:
    """The same type and value, in containers too; tensors by dtype, shape and elements."""
    if type(want) is torch.Tensor:
        _check_tensor(got, want, what, dtype=True)
        if not torch.equal(got, want):
            raise Fail(_about(what, "wrong values"))
        return
    check_type(got, type(want), what)
    if type(want) in (list, tuple, dict):
        _check_items(got, want, what, check_equal)
    elif type(want) in (set, frozenset):
        if _plain(got) != _plain(want):
            raise Fail(_about(what, "wrong members"))
    elif got != want:
        raise Fail(_about(what, _text_apart(got, want) if type(want) is str else "wrong value"))


def _text_apart(got: str, want: str) -> str:
    """Where a wrong text parts from the right one, without a word of either."""
    if not got:
        return "an empty text"
    if not want:
        return "wrong text: it must be empty"
    if got.startswith(want):
        return f"wrong text: characters too many at its end: {len(got) - len(want)}"
    if want.startswith(got):
        return f"wrong text: characters missing at its end: {len(want) - len(got)}"
    same = next(i for i in range(len(got)) if got[i] != want[i])
    line, column = want.count("\n", 0, same) + 1, same - want.rfind("\n", 0, same)
    return f"wrong text from line {line}, character {column} on"


def check_close(
    got, want, rtol: float = 1e-4, atol: float | None = None, dtype=True, what=""
) -> None:
    """Equal up to rounding: |got - want| <= atol + rtol * |want|, where atol defaults to rtol times
    the largest finite |want|. nan and inf must stand where they stand in `want`. A tensor must be
    exactly a tensor of the same shape (and dtype, unless dtype=False); for an int only that int
    will do; for a float an int of that value is accepted, a bool never. Containers item by item."""
    if type(want) in (list, tuple, dict):
        check_type(got, type(want), what)
        _check_items(got, want, what, lambda g, w, t: check_close(g, w, rtol, atol, dtype, t))
        return
    if type(want) is torch.Tensor:
        _check_tensor(got, want, what, dtype)
        got_values, want_values = _wide(got), _wide(want)
    elif type(want) is float:
        check_type(got, (float, int), what)
        if type(got) is int and abs(got) > 1 << 53:
            raise Fail(_about(what, "wrong value"))
        got_values = torch.tensor([float(got)], dtype=torch.float64)
        want_values = torch.tensor([want], dtype=torch.float64)
    else:
        check_equal(got, want, what)
        return
    if not _all_close(got_values, want_values, rtol, atol):
        plural = "s" if type(want) is torch.Tensor and want.dim() else ""
        odd = not torch.isfinite(got_values).all() and torch.isfinite(want_values).all()
        raise Fail(_about(what, "nan or inf in the result" if odd else f"wrong value{plural}"))


def check_raises(name: str | tuple[str, ...], function: Callable, *args, **kwargs) -> None:
    """`function(*args)` must raise the named exception (or one derived from it)."""
    names = (name,) if isinstance(name, str) else name
    expected = " or ".join(names)
    try:
        function(*args, **kwargs)
    except StudentError as error:
        if "NotImplementedError" in error.names:
            raise
        if not set(names) & set(error.names):
            raise Fail(f"raises {known_error(error.names)} where {expected} is asked") from None
        return
    raise Fail(f"does not raise {expected}")


def _check_tensor(got, want: torch.Tensor, what: str, dtype: bool) -> None:
    check_type(got, torch.Tensor, what)
    if got.shape != want.shape:
        same = got.dim() == want.dim()
        raise Fail(_about(what, "wrong shape" if same else "wrong number of dimensions"))
    if dtype and got.dtype is not want.dtype:
        raise Fail(_about(what, "wrong dtype"))


def _check_items(got, want, what: str, check) -> None:
    if type(want) is dict:
        if set(map(_plain, got)) != set(map(_plain, want)):
            raise Fail(_about(what, "wrong keys"))
        for key, value in want.items():
            check(got[key], value, f"{what}[{key!r}]" if type(key) is str else what)
        return
    if len(got) != len(want):
        raise Fail(_about(what, "wrong length"))
    for index, (g, w) in enumerate(zip(got, want, strict=True)):
        many = len(want) > 4  # an index in a long list says more about the input than the mistake
        check(g, w, what if many else f"{what}[{index}]")


def _plain(value):
    """Makes True and 1, or 1 and 1.0, differ inside comparisons of hashable values."""
    if type(value) in (tuple, list, set, frozenset):
        items = [_plain(item) for item in value]
        return (type(value), frozenset(items) if type(value) in (set, frozenset) else tuple(items))
    return (type(value), value)


def _wide(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        return torch.view_as_real(tensor.to(torch.complex128))
    return tensor.to(torch.float64)


def _all_close(got: torch.Tensor, want: torch.Tensor, rtol: float, atol: float | None) -> bool:
    finite = torch.isfinite(want)
    if not torch.equal(torch.isnan(got), torch.isnan(want)):
        return False
    infinite = torch.isinf(want)
    if not torch.equal(torch.isinf(got), infinite) or not torch.equal(
        got[infinite], want[infinite]
    ):
        return False
    got, want = got[finite], want[finite]
    if not want.numel():
        return True
    if atol is None:
        atol = rtol * (float(want.abs().max()) or 1e-2)
    return bool(((got - want).abs() <= atol + rtol * want.abs()).all())


def _about(what: str, message: str) -> str:
    return f"{what}: {message}" if what else message


# ---------------------------------------------------------------- words that may be shown

KNOWN_ERRORS = frozenset(
    name
    for name, kind in vars(__import__("builtins")).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
) | {"OutOfMemoryError", "LinAlgError", "InvalidOperation", "JSONDecodeError"}

_TYPE_WORDS = {
    type(None): "None",
    torch.Tensor: "a tensor",
    Handle: "another object",
    float: "float",
}
_KNOWN_TYPES = {
    **{k.__name__: f"a numpy {k.__name__}" for k in (numpy.int64, numpy.int32, numpy.bool_)},
    **{k.__name__: f"a numpy {k.__name__}" for k in (numpy.float32, numpy.float64, numpy.ndarray)},
    **dict.fromkeys(("function", "generator", "range", "map", "zip", "type"), ""),
    **dict.fromkeys(("Linear", "ModuleList", "Sequential", "Module", "Fraction", "frozenset"), ""),
}


def known_error(names: list[str]) -> str:
    """The first name that is a builtin's or torch's own; the rest is not repeated to anyone."""
    return next((name for name in names if name in KNOWN_ERRORS - _VAGUE), "an exception")


_VAGUE = {"Exception", "BaseException"}


def type_name(value) -> str:
    """How a message calls the type of an answer."""
    if type(value) is Handle:
        name = value._ref.type_name
        return (_KNOWN_TYPES[name] or name) if name in _KNOWN_TYPES else "another object"
    return _TYPE_WORDS.get(type(value), type(value).__name__)
