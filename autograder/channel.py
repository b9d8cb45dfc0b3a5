"""The wire between a judge (trusted) and a student process (untrusted): messages on a socket.

The two directions are not alike, because only one side is trusted.

judge -> student   pickle: arguments may be anything (modules, tokenizers, callables).
student -> judge   data only: a JSON header that describes a tree of plain values, followed by the
                   raw bytes of its tensors. `decode` is a pure function from bytes to a value or
                   ChannelError; it never unpickles, imports, evaluates or calls anything named by
                   the bytes, and every size in it is checked before memory is taken for it.

The data types are None, bool, int, float, str, bytes, Decimal, list, tuple, set, dict,
torch.dtype and torch.Tensor. Everything else becomes a `Ref`: a number that stands for an object
kept in the student process.
"""

import io
import json
import pickle
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import torch

MAX_HEADER = 16 << 20  # bytes of JSON
MAX_PAYLOAD = 256 << 20  # bytes of tensors
MAX_NODES = 500_000  # values in one message
MAX_DEPTH = 32  # containers in containers
MAX_INT_BITS = 1024
MAX_DIMENSIONS = 16
MAX_EXPONENT = 10_000  # of a Decimal: int(Decimal("1e999999999")) would eat the judge's memory

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool),
        *(torch.complex64, torch.complex128),
    )
}
_DTYPE_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_DECIMAL = re.compile(r"-?(\d+(\.\d+)?(E[+-]?\d{1,6})?|Infinity|NaN)", re.ASCII)
_TYPE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
_ANSWER = struct.Struct("<4sIQ")  # magic, header bytes, payload bytes
_MAGIC = b"data"
_REQUEST = struct.Struct("<Q")  # pickle bytes
_CHUNK = 1 << 20


class ChannelError(Exception):
    """The student process sent something that is not a well-formed message."""


class Closed(Exception):
    """The other process is gone."""


class Unsendable(Exception):
    """A value is too large or too deeply nested to be sent (student side)."""


@dataclass(frozen=True)
class Ref:
    """An object that stays in the student process: its number there and the name of its type.

    The name was chosen by the student process; show it only through a list of known names."""

    id: int
    type_name: str


# ---------------------------------------------------------------- student -> judge: data


def encode(value, keep: Callable[[object], tuple[int, str]]) -> tuple[bytes, bytes]:
    """-> (header, payload) for `value`; `keep(obj)` stores an object that is not data and returns
    its number and the name of its type. Types are told by type(), so an object cannot pose as
    another; subclasses of plain containers travel as the plain container. Raises Unsendable."""
    payload: list[bytes] = []
    count = 0

    def tree(value, depth):
        nonlocal count
        count += 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise Unsendable("too many or too deeply nested values")
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return value if value.bit_length() <= MAX_INT_BITS else ref(value)
        if issubclass(kind, float):
            return float.__float__(value)
        if issubclass(kind, str):
            return str.__str__(value)
        if kind is bytes:
            payload.append(value)
            return ["bytes", len(value)]
        if kind is Decimal:
            text = Decimal.__str__(value)
            return ["decimal", text] if _plain_decimal(text) else ref(value)
        if kind is torch.dtype and value in _DTYPE_NAMES:
            return ["dtype", _DTYPE_NAMES[value]]
        if kind is torch.Tensor or kind is torch.nn.Parameter:
            return tensor(value)
        if issubclass(kind, dict):
            pairs = dict.items(value)
            return ["dict", [[tree(k, depth + 1), tree(v, depth + 1)] for k, v in pairs]]
        for base in (list, tuple, set):
            if issubclass(kind, base):
                return [base.__name__, [tree(item, depth + 1) for item in base.__iter__(value)]]
        return ref(value)

    def tensor(value):
        dense = value.layout is torch.strided and value.device.type in ("cpu", "cuda")
        if not dense or value.dtype not in _DTYPE_NAMES or value.dim() > MAX_DIMENSIONS:
            return ref(value)
        payload.append(tensor_bytes(value))
        return ["tensor", _DTYPE_NAMES[value.dtype], list(value.shape)]

    def ref(value):
        number, name = keep(value)
        return ["ref", number, name if _TYPE_NAME.fullmatch(name) else "object"]

    header = json.dumps(tree(value, 0), separators=(",", ":")).encode()
    body = b"".join(payload)
    if len(header) > MAX_HEADER or len(body) > MAX_PAYLOAD:
        raise Unsendable("too many bytes")
    return header, body


def decode(header: bytes, payload: bytes):
    """The value that `encode` described, or ChannelError. Pure; safe on any bytes."""
    try:
        root = json.loads(header.decode("ascii"))
        return _Decoder(payload).whole(root)
    except ChannelError:
        raise
    except (ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError) as error:
        # RuntimeError covers RecursionError (deep JSON) and torch's own complaints.
        raise ChannelError(f"malformed message ({type(error).__name__})") from None


class _Decoder:
    def __init__(self, payload: bytes):
        self.payload, self.offset, self.nodes = payload, 0, 0

    def whole(self, node):
        value = self.value(node, 0)
        _require(self.offset == len(self.payload), "bytes left over")
        return value

    def value(self, node, depth, hashable=False):
        self.nodes += 1
        _require(self.nodes <= MAX_NODES, "too many values")
        _require(depth <= MAX_DEPTH, "nested too deeply")
        if node is None or type(node) in (bool, float, str):
            return node
        if type(node) is int:
            _require(node.bit_length() <= MAX_INT_BITS, "integer too long")
            return node
        _require(type(node) is list and len(node) >= 2 and type(node[0]) is str, "unknown value")
        kind, *fields = node
        if kind == "tensor":
            _require(not hashable and len(fields) == 2, "bad tensor")
            return self.tensor(*fields)
        if kind == "ref":
            _require(not hashable and len(fields) == 2, "bad reference")
            return Ref(_count(fields[0], 1 << 31), _matching(fields[1], _TYPE_NAME))
        _require(len(fields) == 1, "wrong number of fields")
        [field] = fields
        if kind == "bytes":
            return self.take(_count(field, MAX_PAYLOAD))
        if kind == "decimal":
            _require(type(field) is str and _plain_decimal(field), "bad decimal")
            return Decimal(field)
        if kind == "dtype":
            return _dtype(field)
        _require(type(field) is list, "bad container")
        if kind == "dict":
            _require(not hashable, "unhashable key")
            pairs = {}
            for pair in field:
                _require(type(pair) is list and len(pair) == 2, "bad dict")
                key = self.value(pair[0], depth + 1, hashable=True)
                pairs[key] = self.value(pair[1], depth + 1)
            return pairs
        if kind == "tuple":
            return tuple(self.value(item, depth + 1, hashable) for item in field)
        _require(not hashable, "unhashable key")
        if kind == "list":
            return [self.value(item, depth + 1) for item in field]
        _require(kind == "set", "unknown value")
        return {self.value(item, depth + 1, hashable=True) for item in field}

    def take(self, size: int) -> bytes:
        _require(size <= len(self.payload) - self.offset, "fewer bytes than announced")
        self.offset += size
        return self.payload[self.offset - size : self.offset]

    def tensor(self, name, shape) -> torch.Tensor:
        dtype = _dtype(name)
        _require(type(shape) is list and len(shape) <= MAX_DIMENSIONS, "bad shape")
        elements, extent = 1, 1
        for size in shape:
            elements *= _count(size, 1 << 31)
            extent *= max(size, 1)  # strides are computed even for a tensor without elements
            _require(extent <= 1 << 40, "shape too large")
        data = self.take(elements * dtype.itemsize)
        if not elements:
            return torch.empty(shape, dtype=dtype)
        flat = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        # A bool that is neither 0 nor 1 would be true and false at once.
        _require(dtype is not torch.bool or int(flat.max()) <= 1, "bad bool")
        return flat.view(dtype).reshape(shape)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ChannelError(message)


def _count(value, limit: int) -> int:
    _require(type(value) is int and 0 <= value <= limit, "bad count")
    return value


def _matching(value, pattern) -> str:
    _require(type(value) is str and pattern.fullmatch(value) is not None, "bad text")
    return value


def _dtype(name) -> torch.dtype:
    _require(type(name) is str and name in _DTYPES, "unknown dtype")
    return _DTYPES[name]


def _plain_decimal(text: str) -> bool:
    if len(text) > 400 or not _DECIMAL.fullmatch(text):
        return False
    exponent = text.partition("E")[2]
    return not exponent or abs(int(exponent)) <= MAX_EXPONENT


def tensor_bytes(tensor: torch.Tensor) -> bytes:
    """The elements of a dense tensor in row-major order, whatever its strides, device or grad."""
    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


# ---------------------------------------------------------------- judge -> student: pickle


def dump(value, persist: Callable[[object], tuple | None]) -> bytes:
    """Pickle `value`; an object for which `persist` returns a tuple travels as that tuple."""
    buffer = io.BytesIO()
    _Pickler(buffer, persist).dump(value)
    return buffer.getvalue()


def load(data: bytes, resolve: Callable[[tuple], object]):
    """Student side: the value that `dump` wrote; `resolve` turns the tuples into objects."""
    unpickler = pickle.Unpickler(io.BytesIO(data))
    unpickler.persistent_load = resolve
    return unpickler.load()


class _Pickler(pickle.Pickler):
    def __init__(self, buffer, persist):
        super().__init__(buffer, protocol=5)
        self.persistent_id = persist

    def reducer_override(self, value):
        # torch's own pickling writes a zip or a legacy archive per storage: slow for small tensors.
        # It is kept for tensors with strides, which a test may want to arrive with their strides.
        if type(value) not in (torch.Tensor, torch.nn.Parameter):
            return NotImplemented
        if value.layout is not torch.strided or value.device.type != "cpu":
            return NotImplemented
        if not value.is_contiguous() or value.dtype not in _DTYPE_NAMES:
            return NotImplemented
        is_parameter = type(value) is torch.nn.Parameter
        data = bytearray(tensor_bytes(value))
        return _rebuild, (data, value.dtype, tuple(value.shape), value.requires_grad, is_parameter)


def _rebuild(data: bytearray, dtype, shape, requires_grad: bool, is_parameter: bool):
    if data:
        tensor = torch.frombuffer(data, dtype=torch.uint8).view(dtype).reshape(shape)
    else:
        tensor = torch.empty(shape, dtype=dtype)
    if is_parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad)


# ---------------------------------------------------------------- frames


def send_answer(sock: socket.socket, header: bytes, payload: bytes) -> None:
    """Student side: one data message."""
    sock.sendall(b"".join((_ANSWER.pack(_MAGIC, len(header), len(payload)), header, payload)))


def receive_answer(sock: socket.socket, deadline: float):
    """Judge side: the next value. Raises ChannelError, Closed, or TimeoutError at `deadline`
    (time.monotonic). Memory grows with the bytes that arrive, not with what is announced."""
    magic, header_size, payload_size = _ANSWER.unpack(_read(sock, _ANSWER.size, deadline))
    _require(magic == _MAGIC, "not a message")
    _require(header_size <= MAX_HEADER, "header too large")
    _require(payload_size <= MAX_PAYLOAD, "answer too large")
    header = _read(sock, header_size, deadline)
    return decode(header, _read(sock, payload_size, deadline))


def send_request(sock: socket.socket, data: bytes, deadline: float) -> None:
    """Judge side: one pickled request. Raises Closed, or TimeoutError at `deadline`."""
    try:
        sock.settimeout(_remaining(deadline))
        sock.sendall(_REQUEST.pack(len(data)) + data)
    except (BrokenPipeError, ConnectionResetError):
        raise Closed from None


def receive_request(sock: socket.socket) -> bytes:
    """Student side: the next pickled request. Raises Closed."""
    [size] = _REQUEST.unpack(_read(sock, _REQUEST.size, None))
    return _read(sock, size, None)


def _read(sock: socket.socket, size: int, deadline: float | None) -> bytes:
    data = bytearray()
    while len(data) < size:
        sock.settimeout(None if deadline is None else _remaining(deadline))
        try:
            chunk = sock.recv(min(size - len(data), _CHUNK))
        except ConnectionResetError:
            raise Closed from None
        if not chunk:
            raise Closed
        data += chunk
    return bytes(data)


def _remaining(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds
