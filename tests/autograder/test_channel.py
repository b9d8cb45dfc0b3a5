import json
import pickle
import socket
import struct
import threading
import time
from collections import OrderedDict, namedtuple
from contextlib import suppress
from decimal import Decimal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autograder import channel
from autograder.channel import ChannelError, Ref, decode, encode


def send_across(value):
    kept = []

    def keep(obj):
        kept.append(obj)
        return len(kept) - 1, type(obj).__name__

    return decode(*encode(value, keep))


def crafted(tree, payload=b""):
    return decode(json.dumps(tree).encode(), payload)


def same(one, other):
    if type(one) is not type(other):
        return False
    if type(one) is torch.Tensor:
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        return channel.tensor_bytes(one) == channel.tensor_bytes(other)
    if type(one) in (list, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if type(one) is dict:
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    return one == other or (one != one and other != other)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats()
    | st.text(st.characters(), max_size=20)
    | st.binary(max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4)
        | st.sets(st.integers(), max_size=4)
    ),
    max_leaves=20,
)


@given(values)
def test_data_arrives_as_it_was(value):
    assert same(send_across(value), value)


@pytest.mark.parametrize("dtype", channel._DTYPES.values(), ids=str)
def test_tensors_of_every_dtype(dtype):
    tensor = (torch.arange(24) % 3).to(dtype).reshape(2, 3, 4)
    tensors = [tensor, tensor.transpose(0, 2), tensor[:0], tensor[0, 0, 0], tensor[:, ::2].clone()]
    tensors.append(tensor[:1].expand(5, 3, 4))
    for one in tensors:
        got = send_across(one)
        assert same(got, one)
        got.add_(1) if dtype is not torch.bool else got.logical_not_()  # owns its memory


def test_tensors_with_gradients_and_parameters_arrive_as_plain_tensors():
    weight = torch.nn.Parameter(torch.randn(3))
    got = send_across([weight, weight * 2])
    assert same(got, [weight.data, weight.data * 2])
    assert not got[0].requires_grad and not got[1].requires_grad


def test_subclasses_of_containers_travel_as_the_container():
    pair = namedtuple("Pair", "a b")(1, [2])
    assert send_across(OrderedDict(x=pair)) == {"x": (1, [2])}
    assert type(send_across(pair)) is tuple


class Always(int):
    def __eq__(self, other):
        return True

    __hash__ = int.__hash__


class TensorLike(torch.Tensor):
    pass


@pytest.mark.parametrize(
    "value",
    [
        Always(3),
        torch.zeros(2).as_subclass(TensorLike),
        torch.zeros(2, device="meta"),
        torch.eye(2).to_sparse(),
        torch.nn.Linear(1, 1),
        2**5000,
        Decimal("1E+999999999"),
        print,
        object(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_everything_else_is_a_reference(value):
    assert type(send_across(value)) is Ref


def test_decimals_and_dtypes():
    texts = ("1.50", "-3", "1E+3", "NaN", "-1E-11")
    assert [str(d) for d in send_across([Decimal(t) for t in texts])] == list(texts)
    assert send_across(torch.bfloat16) is torch.bfloat16


def test_what_is_too_deep_or_too_much_is_not_sent():
    deep = []
    for _ in range(100):
        deep = [deep]
    endless = []
    endless.append(endless)
    for value in (deep, endless, list(range(channel.MAX_NODES + 1))):
        with pytest.raises(channel.Unsendable):
            send_across(value)


LIES = {
    "dtype": (["tensor", "float31", [1]], b"1234"),
    "dtype is code": (["tensor", "__import__('os')", [1]], b"1234"),
    "too few bytes": (["tensor", "float32", [2]], b"1234"),
    "too many bytes": (["tensor", "float32", [1]], b"12345678"),
    "negative shape": (["tensor", "float32", [-1, -1]], b"1234"),
    "bool in shape": (["tensor", "float32", [True]], b"1234"),
    "float in shape": (["tensor", "float32", [1.0]], b"1234"),
    "huge shape": (["tensor", "float32", [2**62]], b""),
    "shape whose product overflows": (["tensor", "float32", [2**31, 2**31, 4]], b""),
    "huge empty shape": (["tensor", "float32", [0, 2**31, 2**31, 2**31]], b""),
    "many dimensions": (["tensor", "float32", [1] * 1000], b"1234"),
    "shape is text": (["tensor", "float32", "1"], b"1234"),
    "bool that is 2": (["tensor", "bool", [1]], b"\x02"),
    "missing field": (["tensor", "float32"], b""),
    "one field more": (["tensor", "float32", [1], 1], b"1234"),
    "unknown kind": (["module", "os"], b""),
    "pickle": (["pickle", 3], pickle.dumps(print)[:3]),
    "object": ({"a": 1}, b""),
    "object inside": (["list", [{"__class__": "x"}]], b""),
    "huge integer": (10**400, b""),
    "unhashable key": (["dict", [[["list", []], 1]]], b""),
    "unhashable key in a tuple": (["dict", [[["tuple", [["dict", []]]], 1]]], b""),
    "tensor as key": (["dict", [[["tensor", "uint8", [1]], 1]]], b"1"),
    "triple in dict": (["dict", [[1, 2, 3]]], b""),
    "unhashable member": (["set", [["list", []]]], b""),
    "bytes that are not there": (["bytes", 5], b""),
    "negative bytes": (["bytes", -1], b""),
    "bytes left over": (1, b"x"),
    "reference to nowhere": (["ref", -1, "A"], b""),
    "hostile type name": (["ref", 1, "<script>"], b""),
    "type name with newline": (["ref", 1, "A\n"], b""),
    "huge decimal": (["decimal", "1E999999"], b""),
    "decimal is code": (["decimal", "exit()"], b""),
    "decimal signals": (["decimal", "sNaN"], b""),
    "empty": ([], b""),
    "bare container": (["list"], b""),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(lie):
    with pytest.raises(ChannelError):
        crafted(*LIES[lie])


def test_deep_json_is_refused():
    for depth in (40, 5_000, 1_000_000):
        text = b'["list",[' * depth + b"]]" * depth
        with pytest.raises(ChannelError):
            decode(text, b"")
        with pytest.raises(ChannelError):
            decode(b"[" * depth, b"")


def test_many_nodes_are_refused():
    with pytest.raises(ChannelError):
        crafted(["list", [0] * (channel.MAX_NODES + 1)])


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"{", b"9" * 5000, b"nan", b"['a']", b"1 2"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ChannelError):
        decode(text, b"")


@given(st.binary(max_size=200), st.binary(max_size=50))
@settings(max_examples=200)
def test_any_bytes_give_a_value_or_a_channel_error(header, payload):
    with suppress(ChannelError):
        decode(header, payload)


words = st.sampled_from(
    [
        "tensor",
        "list",
        "dict",
        "tuple",
        "set",
        "bytes",
        "ref",
        "decimal",
        "dtype",
        "float32",
        "bool",
    ]
)
trees = st.recursive(
    words | scalars.filter(lambda v: type(v) is not bytes) | st.integers(-3, 9),
    lambda inner: st.lists(inner, max_size=4) | st.tuples(words, inner, inner).map(list),
    max_leaves=15,
)


@given(trees, st.binary(max_size=64))
@settings(max_examples=200)
def test_any_json_gives_a_value_or_a_channel_error(tree, payload):
    with suppress(ChannelError):
        crafted(tree, payload)


@given(st.data())
@settings(max_examples=200)
def test_mutated_messages_give_a_value_or_a_channel_error(data):
    message = [torch.arange(6.0).reshape(2, 3), {"a": (1, 2.5, None)}, b"xyz", {1, 2}, Decimal(5)]
    header, payload = encode(message, lambda obj: (0, "object"))
    header = bytearray(header)
    for _ in range(data.draw(st.integers(1, 4))):
        header[data.draw(st.integers(0, len(header) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ChannelError):
        decode(bytes(header), payload)


# ---------------------------------------------------------------- pickle, one way


def test_arguments_keep_strides_parameters_and_flags():
    layer = torch.nn.Linear(2, 3)
    layer.weight.requires_grad_(False)
    x = torch.randn(4, 5, dtype=torch.bfloat16)
    sent = {"layer": layer, "t": x.t(), "empty": x[:0], "leaf": torch.ones(2, requires_grad=True)}
    got = channel.load(channel.dump(sent, lambda obj: None), resolve=tuple)
    assert torch.equal(got["layer"].weight, layer.weight) and not got["layer"].weight.requires_grad
    assert got["layer"].bias.requires_grad
    assert got["t"].stride() == x.t().stride() and torch.equal(got["t"], x.t())
    assert got["empty"].shape == (0, 5) and got["leaf"].requires_grad


# ---------------------------------------------------------------- frames


@pytest.fixture
def sockets():
    judge, student = socket.socketpair()
    with judge, student:
        yield judge, student


def soon(seconds=0.2):
    return time.monotonic() + seconds


def test_frames(sockets):
    judge, student = sockets
    channel.send_answer(student, *encode(("value", torch.ones(3)), None))
    kind, tensor = channel.receive_answer(judge, soon())
    assert kind == "value" and torch.equal(tensor, torch.ones(3))


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack("<4sIQ", b"pick", 1, 0) + b"1",
        struct.pack("<4sIQ", b"data", 2**32 - 1, 0),
        struct.pack("<4sIQ", b"data", 1, 2**63),
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        pickle.dumps(("value", 1), protocol=5),
    ],
    ids=["magic", "header size", "payload size", "text", "pickle"],
)
def test_forged_frames(sockets, frame):
    judge, student = sockets
    student.sendall(frame)
    with pytest.raises(ChannelError):
        channel.receive_answer(judge, soon())


def test_an_answer_that_never_ends(sockets):
    judge, student = sockets
    student.sendall(struct.pack("<4sIQ", b"data", 1000, 0) + b"1")
    with pytest.raises(TimeoutError):
        channel.receive_answer(judge, soon())


def test_an_answer_that_drips(sockets):
    judge, student = sockets
    stop = threading.Event()

    def drip():
        student.sendall(struct.pack("<4sIQ", b"data", 1000, 0))
        while not stop.wait(0.02):
            student.sendall(b"1")

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            channel.receive_answer(judge, soon())
        assert time.monotonic() - started < 1
    finally:
        stop.set()
        thread.join()


def test_a_process_that_does_not_listen(sockets):
    judge, _ = sockets
    with pytest.raises(TimeoutError):
        channel.send_request(judge, bytes(10 << 20), soon())


def test_a_process_that_is_gone(sockets):
    judge, student = sockets
    student.close()
    with pytest.raises(channel.Closed):
        channel.receive_answer(judge, soon())
    with pytest.raises(channel.Closed):
        channel.send_request(judge, b"1", soon())
