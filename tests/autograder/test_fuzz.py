"""Ten thousand odd inputs for what reads a student's bytes: the restorer and the wire's decoder.

`make test` tries a few hundred of each. Neither may raise anything but its own error, hang, or take
more than its share of time.
"""

import json
import os
import time

import attacks
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograder import channel
from autograder.restore import restore
from course_lib.answers import Unreadable

SLOWEST = 5.0  # seconds of one input, on a busy machine
MANY = settings(
    max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
FEW = settings(MANY, max_examples=300)
SOURCE = attacks.source()
PLAIN = attacks.notebook()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)


@st.composite
def notebooks(draw):
    """A notebook with some of its places replaced, doubled, removed or moved; or its bytes cut."""
    notebook = json.loads(json.dumps(PLAIN))
    for _ in range(draw(st.integers(1, 5))):
        place = notebook
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(list(keys)))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            match draw(st.sampled_from(["replace", "drop", "double", "text"])):
                case "replace":
                    place[key] = draw(trees)
                case "drop":
                    del place[key]
                case "double" if isinstance(place, list):
                    place.insert(draw(st.integers(0, len(place))), place[key])
                case _ if isinstance(place[key], str):
                    cut = draw(st.integers(0, len(place[key])))
                    place[key] = place[key][:cut] + draw(st.text(max_size=20)) + place[key][cut:]
            break
    data = json.dumps(notebook).encode()
    match draw(st.integers(0, 9)):
        case 0:
            data = data[: draw(st.integers(0, len(data)))]
        case 1:
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=8)) + data[at:]
        case 2:
            data = json.dumps(notebook, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return data


def try_to_restore(data):
    began = time.process_time()
    try:
        restored = restore(data, SOURCE)
    except Unreadable as problem:
        assert "\n" not in str(problem) and problem.status in ("unreadable", "missing")
    else:
        assert [c.id for c in restored.notebook.cells] == [c.id for c in SOURCE.cells]
        assert {step[0] for step in restored.judged_cells()} <= {"setup", "solution"}
        for cell, ours in zip(restored.notebook.cells, SOURCE.cells, strict=True):
            if not ours.metadata.get("nbgrader", {}).get("solution"):
                assert cell.source == ours.source
        assert all("\n" not in line for line in restored.report)
    assert time.process_time() - began < SLOWEST


tags = st.sampled_from(
    ["tensor", "bytes", "dict", "list", "tuple", "set", "ref", "decimal", "dtype"]
)
names = st.sampled_from(["float32", "bool", "int64", "complex128", "quint8", "x"])
sizes = st.lists(st.integers(-2, 1 << 33) | st.integers(0, 4) | st.none(), max_size=20)
leaves = (
    scalars
    | st.tuples(st.just("tensor"), names, sizes).map(list)
    | st.tuples(st.just("bytes"), st.integers(-1, 40)).map(list)
    | st.tuples(st.just("decimal"), st.from_regex(r"-?\d{1,5}E?[+-]?\d{0,9}", fullmatch=True)).map(
        list
    )
    | st.tuples(st.just("dtype"), names).map(list)
    | st.tuples(st.just("ref"), st.integers(-1, 1 << 40), st.text(max_size=10)).map(list)
)
messages = st.recursive(
    leaves,
    lambda inner: (
        st.tuples(tags, st.lists(inner, max_size=5)).map(list)
        | st.tuples(st.just("dict"), st.lists(st.lists(inner, max_size=3), max_size=4)).map(list)
        | st.lists(inner, max_size=4)
    ),
    max_leaves=25,
)
headers = messages.map(lambda tree: json.dumps(tree).encode()) | st.binary(max_size=200)


def try_to_decode(header, payload):
    began = time.process_time()
    try:
        value = channel.decode(header, payload)
    except channel.ChannelError:
        value = None
    check_plain(value)
    assert time.process_time() - began < SLOWEST


def check_plain(value):
    """What is decoded is data, of exactly the types that the wire has."""
    import decimal

    import torch

    known = (type(None), bool, int, float, str, bytes, decimal.Decimal, torch.dtype, torch.Tensor)
    assert type(value) in (*known, list, tuple, set, dict, channel.Ref)
    if type(value) in (list, tuple, set):
        for item in value:
            check_plain(item)
    elif type(value) is dict:
        for pair in value.items():
            check_plain(pair[0]), check_plain(pair[1])


@given(notebooks())
@FEW
def test_restore(data):
    try_to_restore(data)


@given(headers, st.binary(max_size=100))
@FEW
def test_decode(header, payload):
    try_to_decode(header, payload)


@pytest.mark.slow
@given(notebooks())
@MANY
def test_restore_ten_thousand(data):
    try_to_restore(data)


@pytest.mark.slow
@given(headers, st.binary(max_size=100))
@MANY
def test_decode_ten_thousand(header, payload):
    try_to_decode(header, payload)


@pytest.mark.slow
def test_noise_on_the_wire():
    """Whole frames of noise: each is refused, none is waited for beyond its time."""
    import socket

    for _ in range(2000):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall((b"data" if os.urandom(1)[0] % 2 else b"") + os.urandom(40))
            theirs.shutdown(socket.SHUT_WR)
            with pytest.raises((channel.ChannelError, channel.Closed, TimeoutError)):
                channel.receive_answer(ours, time.monotonic() + 1)
