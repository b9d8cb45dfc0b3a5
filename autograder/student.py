"""The student process: runs cells and answers the judge's requests, one at a time.

`serve` is started before any line of the student's. From the first cell on, everything in this
process belongs to the student: code, memory and socket. The judge trusts none of it; what is
written here is for honest answers. Imported in the warm process, so that a fork is ready at once.
"""

import builtins
import importlib
import os
import random
import socket
import sys
import threading
import types

import numpy
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from torch import nn
from traitlets import Type
from traitlets.config import Config

from autograder import channel, display
from course_lib import exercises


def serve(payload: bytes, fds: list[int]) -> None:
    """Answer requests on the socket fds[0] until the judge hangs up. Before that, if there is a
    payload, run its cells beside this process and send what they show on fds[1] (display.py).
    The judge sends all else there is to know; nothing about the hidden tests is known here."""
    with open(os.devnull, "r+b") as nowhere:
        for fd in (0, 1, 2):
            os.dup2(nowhere.fileno(), fd)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 (they live as long as the process)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
    if payload:
        display.beside(prepare(), payload, fds[1], fds[:1])
    os.environ["MPLBACKEND"] = "Agg"
    _Server(socket.socket(fileno=fds[0])).run()


class _Undefined(Exception):
    """The student's code does not define the name asked for."""


class _Server:
    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.shell = prepare()
        self.objects: dict[int, object] = {}
        self.serial = 0  # of the request that is being answered
        self.lock = threading.RLock()  # callbacks from a student's threads take turns

    def run(self) -> None:
        try:
            while True:
                self.answer(self.next_request())
        except channel.Closed:
            return

    def next_request(self):
        return channel.load(channel.receive_request(self.sock), self.resolve)

    def resolve(self, persistent: tuple):
        """Objects that the judge sends by reference."""
        kind, number = persistent[:2]
        if kind == "object":
            return self.objects[number]
        if kind == "callback":
            return self.callback(number)
        if kind == "module":
            return _CallbackModule(self.callback(number))
        return _RemoteModule(self.callback(number), *persistent[2:])

    def keep(self, value) -> tuple[int, str]:
        if type(value) is _Kept:
            value = value.value
        number = len(self.objects)
        self.objects[number] = value
        return number, type(value).__name__

    def send(self, kind: str, *fields) -> None:
        try:
            message = channel.encode((kind, self.serial, *fields), self.keep)
        except (channel.Unsendable, RecursionError, ValueError):
            message = channel.encode(("unsendable", self.serial), self.keep)
        channel.send_answer(self.sock, *message)

    def answer(self, request: tuple) -> None:
        before, (self.serial, fresh, operation, *arguments) = self.serial, request
        try:
            if fresh is not None:
                self.begin(fresh)
            self.send("value", getattr(self, "do_" + operation)(*arguments))
        except channel.Closed:
            raise
        except _Undefined:
            self.send("undefined")
        except BaseException as error:
            self.send("error", *_describe(error))
        finally:
            self.serial = before

    def callback(self, number: int):
        """A function that runs in the judge. While it runs there, the judge may ask again."""

        def call_the_judge(*args, **kwargs):
            with self.lock:
                self.send("callback", number, args, kwargs)
                while True:
                    request = self.next_request()
                    match request:
                        case (_, "return", value):
                            return value
                        case (_, "raise", name, text):
                            raise getattr(builtins, name, RuntimeError)(text)
                    self.answer(request)

        return call_the_judge

    def find(self, target):
        """A target is the name of something that the student's cells define, or an object."""
        if type(target) is not str:
            return target
        if target not in self.shell.user_ns:
            raise _Undefined
        return self.shell.user_ns[target]

    def begin(self, seed: int) -> None:
        """Forget kept objects and seed the generators, so that a regrade gives the same score."""
        self.objects.clear()
        random.seed(seed)
        numpy.random.seed(seed % 2**32)
        # torch.manual_seed also prepares, with a stack trace each, three kinds of devices not here.
        torch.default_generator.manual_seed(seed)

    # ------------------------------------------------ what the judge may ask

    def do_exec(self, source: str):
        result = self.shell.run_cell(source, store_history=False)
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            raise error

    def do_call(self, target, args, kwargs):
        return self.find(target)(*args, **kwargs)

    def do_keep(self, target, args, kwargs):
        return _Kept(self.find(target)(*args, **kwargs))

    def do_inspect(self, target, args, kwargs):
        result = self.find(target)(*args, **kwargs)
        return result, args

    def do_put(self, value):
        return _Kept(value)

    def do_find(self, name):
        return _Kept(self.find(name))

    def do_value(self, value):
        return value

    def do_getattr(self, value, name):
        return getattr(value, name)

    def do_attr(self, value, name):
        return _Kept(getattr(value, name))

    def do_setattr(self, value, name, new):
        setattr(value, name, new)

    def do_item(self, value, key):
        return value[key]

    def do_length(self, value):
        return len(value)

    def do_same(self, one, other):
        return one is other

    def do_isinstance(self, value, type_name: str):
        module, _, name = type_name.rpartition(":")
        kind = getattr(importlib.import_module(module), name) if module else self.find(name)
        return isinstance(value, kind)

    def do_parameters(self, module):
        return {n: (p, p.requires_grad) for n, p in nn.Module.named_parameters(module)}

    def do_load_state(self, module, state):
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)

    def do_copy(self, tensor, value):
        with torch.no_grad():
            tensor.copy_(value)

    def do_observe(self, module, report):
        module.register_forward_pre_hook(
            lambda _, args, kwargs: report(*args, **kwargs) and None, with_kwargs=True
        )

    def do_gradients(self, target, args, kwargs, cotangent, wrt, pick):
        function = self.find(target)
        args = list(args)
        for position in wrt:
            args[position] = args[position].detach().clone().requires_grad_(True)
        output = function(*args, **kwargs)
        chosen = output if pick is None else output[pick]
        inputs = {position: args[position] for position in wrt}
        if isinstance(function, nn.Module):
            inputs |= {n: p for n, p in function.named_parameters() if p.requires_grad}
        if not chosen.requires_grad:
            return output, dict.fromkeys(inputs)
        scalar = (chosen if cotangent is None else chosen * cotangent).sum()
        values = torch.autograd.grad(scalar, list(inputs.values()), allow_unused=True)
        return output, dict(zip(inputs, values, strict=True))


class _Kept:
    """Wraps a value that shall travel as a reference even if it is data."""

    def __init__(self, value):
        self.value = value


class _CallbackModule(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


class _RemoteModule(nn.Module):
    """A module whose forward and backward run in the judge; its parameters live here."""

    def __init__(self, call, state, output):
        super().__init__()
        self.call, self.output = call, output
        for name, value in state.items():
            *path, last = name.split(".")
            owner = self
            for part in path:
                if part not in owner._modules:
                    owner.add_module(part, nn.Module())
                owner = owner._modules[part]
            owner.register_parameter(last, value)

    def forward(self, *args, **kwargs):
        names, parameters = zip(*self.named_parameters(), strict=True)
        result = _RemoteFunction.apply(self.call, names, args, kwargs, *parameters)
        return result if self.output is None else types.SimpleNamespace(**{self.output: result})


class _RemoteFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, call, names, args, kwargs, *parameters):
        ctx.call, ctx.names = call, names
        state = dict(zip(names, parameters, strict=True))
        ctx.ticket, output = call("forward", state, args, kwargs)
        return output

    @staticmethod
    def backward(ctx, cotangent):
        gradients = ctx.call("backward", ctx.ticket, cotangent)
        return None, None, None, None, *(gradients[name] for name in ctx.names)


def _describe(error: BaseException) -> tuple[list[str], str]:
    """The names of an exception's type and its bases, and its text."""
    names = [kind.__name__ for kind in type(error).__mro__][:20]
    try:
        text = str(error)[:1000]
    except BaseException:
        text = ""
    return names, text


class _Hook(DisplayHook):
    """The value of a cell's last line."""

    def write_output_prompt(self):
        pass

    def write_format_data(self, format_dict, md_dict=None):
        if self.shell.shown is not None:
            facts = {"data": format_dict, "metadata": md_dict or {}}
            self.shell.shown.add("execute_result", execution_count=self.prompt_count, **facts)

    def finish_displayhook(self):
        self._is_active = False


class _Publisher(DisplayPublisher):
    """What `display` and pictures send."""

    def publish(self, data, metadata=None, *_, update=False, **__):
        shown = self.shell.shown
        if shown is not None and update:
            shown.odd = True
        elif shown is not None:
            shown.add("display_data", data=data, metadata=metadata or {})

    def clear_output(self, wait=False):
        if self.shell.shown is not None:
            self.shell.shown.odd = True


class _Shell(InteractiveShell):
    """A plain IPython shell: magics, `!commands` and top-level await work as in the notebook."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    shown: display.Shown | None = None  # None in the judged run, whose outputs nobody reads

    def init_hooks(self):
        super().init_hooks()
        self.set_hook("show_in_pager", lambda *_: None, 99)

    def enable_gui(self, gui=None):
        """`%matplotlib inline` asks for it; there is no event loop to enable."""

    def showtraceback(self, *args, **kwargs):
        if self.shown is not None:  # rendering one takes longer than most calls
            super().showtraceback(*args, **kwargs)

    def showsyntaxerror(self, *args, **kwargs):
        if self.shown is not None:
            super().showsyntaxerror(*args, **kwargs)

    def _showtraceback(self, etype, evalue, stb):
        self.shown.add("error", ename=etype.__name__, evalue=str(evalue), traceback=stb)


def prepare() -> InteractiveShell:
    """The shell of this process. Called in the warm process, so that a fork has it at once."""
    if not InteractiveShell.initialized():
        config = Config()
        config.HistoryManager.enabled = False  # no sqlite file, no thread
        shell = _Shell.instance(config=config)
        # What IPython imports and compiles only at the first cell and at the first error.
        shell.shown = display.Shown(1 << 20)
        shell.run_cell("1 / 0", store_history=False)
        shell.shown = sys.last_value = sys.last_traceback = None
        shell.reset()
        for notebook in exercises.notebook_ids():
            exercises.load_exercises(notebook)  # read once, for the visible checks
    return InteractiveShell.instance()
