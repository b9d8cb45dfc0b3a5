"""Hidden tests of 02_lora_parameters.

Adapters are compared with random, non-zero A and B that the judge sets, on matrices that are not
square, with alpha never equal to r: a test in which B A x is zero, or W is d x d, tests nothing.
"""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn

from autograder.judging import (
    Fail,
    StudentError,
    Undefined,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)

BAD_STATE = ("KeyError", "ValueError")


# ---------------------------------------------------------------- lora_param_count


def llama_shapes(draw, n_layers=None):
    """Names and (out, in) of a random model with grouped query attention: nothing is square."""
    n_layers = n_layers or draw.integers(2, 6)
    head = draw.choice([8, 12, 20])
    kv = head * draw.integers(1, 4)
    q = kv * draw.integers(2, 5)
    d = q + head * draw.integers(1, 3)
    ff = 3 * d + draw.integers(1, 50)
    block = {
        "self_attn.q_proj": (q, d),
        "self_attn.k_proj": (kv, d),
        "self_attn.v_proj": (kv, d),
        "self_attn.o_proj": (d, q),
        "mlp.gate_proj": (ff, d),
        "mlp.up_proj": (ff, d),
        "mlp.down_proj": (d, ff),
    }
    return {f"model.layers.{i}.{n}": shape for i in range(n_layers) for n, shape in block.items()}


def count(shapes, r, targets):
    total = 0
    for name, (out, inp) in shapes.items():
        if any(name == t or name.endswith("." + t) for t in targets):
            total += r * inp + out * r
    return total


@hidden(
    "lora_param_count",
    "A and B of every matching matrix are counted",
    weight=3,
    core=True,
    hint="One (out, in) matrix adds r * in + out * r. With grouped query attention k and v are not "
    "as tall as q.",
)
def rectangular_counts(student, draw):
    for targets in (["q_proj", "k_proj", "v_proj", "o_proj"], ["down_proj"], ["up_proj", "v_proj"]):
        shapes = llama_shapes(draw)
        r = draw.integers(1, 9)  # below both sides of every matrix
        got = student.lora_param_count(shapes, r, targets)
        check_equal(got, count(shapes, r, targets))


@hidden(
    "lora_param_count",
    "a name matches whole parts only, between dots",
    weight=2,
    hint="'fq_proj' ends in 'q_proj', but not in '.q_proj'. A target may also be a full name, or "
    "have dots in it.",
)
def whole_parts(student, draw):
    r = draw.integers(2, 9)
    a, b, c, d, e, f, g = ((draw.integers(9, 90), draw.integers(9, 90)) for _ in range(7))
    shapes = {
        "q_proj": a,
        "block.fq_proj": b,
        "block.q_proj.inner": c,
        "block.attn.q_proj": d,
        "block.xattn.q_proj": e,
        "block.q_proj_2": f,
        "block.attn_q_proj": g,  # a dot in a target is a dot
    }
    for targets in (["q_proj"], ["attn.q_proj"], ["block.attn.q_proj"], ["block.q_proj_2"]):
        check_equal(student.lora_param_count(shapes, r, targets), count(shapes, r, targets))


@hidden(
    "lora_param_count",
    "a matrix that two targets match is counted once",
    hint="Go through the modules and ask whether any target matches, not through the targets.",
)
def counted_once(student, draw):
    shapes = llama_shapes(draw)
    targets = ["q_proj", "self_attn.q_proj", "v_proj", "model.layers.0.self_attn.v_proj", "q_proj"]
    r = draw.integers(2, 9)
    check_equal(student.lora_param_count(shapes, r, targets), count(shapes, r, targets))


@hidden(
    "lora_param_count",
    "a target without a match is fine as long as another one matches",
    weight=0.5,
    hint="ValueError is for the case in which NO target matches anything.",
)
def one_target_misses(student, draw):
    shapes = llama_shapes(draw)
    r = draw.integers(2, 9)
    for targets in (["c_attn", "k_proj"], ["k_proj", "c_attn"]):
        check_equal(student.lora_param_count(shapes, r, targets), count(shapes, r, targets))


@hidden(
    "lora_param_count",
    "any rank from 1 upward, exact however large",
    hint="Nothing limits r: r = 1 is a good rank, and r may exceed the matrix. Stay with ints.",
)
def any_rank(student, draw):
    shapes = {"a.q_proj": (draw.integers(3, 9), draw.integers(10, 20)), "b.k_proj": (5, 5)}
    for r in (1, draw.integers(30, 60)):
        check_equal(student.lora_param_count(shapes, r, ("q_proj",)), count(shapes, r, ["q_proj"]))
    huge = {f"layers.{i}.up": (3 * 2**26 + 1, 5 * 2**25 + draw.integers(1, 99)) for i in range(3)}
    check_equal(student.lora_param_count(huge, 255, ("up",)), count(huge, 255, ["up"]))
    # Beyond what a float holds exactly.
    vast = {f"layers.{i}.up": (2**53 + 1, 2 * draw.integers(1, 99)) for i in range(3)}
    check_equal(student.lora_param_count(vast, 3, ("up",)), count(vast, 3, ["up"]))


@hidden(
    "lora_param_count",
    "ValueError when nothing matches",
    hint="Returning 0 hides a spelling mistake in the targets. Say so with a ValueError.",
)
def nothing_matches(student, draw):
    shapes = llama_shapes(draw)
    r = draw.integers(2, 9)
    check_raises("ValueError", student.lora_param_count, shapes, r, ["c_attn", "c_proj"])
    check_raises("ValueError", student.lora_param_count, shapes, r, ["proj", "self_attn"])
    check_raises("ValueError", student.lora_param_count, shapes, r, [])
    check_raises("ValueError", student.lora_param_count, shapes, r, ["*", ".*"])  # not a pattern
    check_raises("ValueError", student.lora_param_count, {}, r, ["q_proj"])


@hidden(
    "lora_param_count",
    "ValueError when r < 1",
    hint="r = 0 trains nothing and a negative r means nothing: raise ValueError for both.",
)
def rank_below_one(student, draw):
    shapes = llama_shapes(draw)
    for r in (0, -draw.integers(1, 9)):
        check_raises("ValueError", student.lora_param_count, shapes, r, ["q_proj"])


@hidden(
    "lora_param_count",
    "the shapes and targets stay as they are",
    weight=0.5,
    hint="Work on the arguments without changing them: the caller still needs them.",
)
def arguments_stay(student, draw):
    shapes, targets, r = llama_shapes(draw), ["o_proj", "gate_proj"], draw.integers(2, 9)
    kept, kept_targets = student.put(shapes), student.put(targets)
    for _ in range(2):
        got = student.lora_param_count(kept, r, kept_targets)
        check_equal(got, count(shapes, r, targets))
    check_equal(student.value(kept), shapes, "shapes after the call")
    check_equal(student.value(kept_targets), targets, "targets after the call")


# ---------------------------------------------------------------- LoRALinear


class Adapted:
    """A LoRALinear of the student whose numbers are all the judge's: W, b, A, B, s = alpha / r."""

    def __init__(self, student, draw, out, inp, r, alpha, bias=True, dtype=torch.float32, **extra):
        base = draw.reset(nn.Linear(inp, out, bias=bias)).to(dtype)
        self.weight = base.weight.detach().clone()
        self.bias = base.bias.detach().clone() if bias else None
        # Through bfloat16, so that a layer which keeps A and B in a 16-bit dtype holds the same.
        self.A, self.B = ((0.5 * draw.normal(*s)).bfloat16().float() for s in [(r, inp), (out, r)])
        self.scaling = alpha / r
        self.base = student.put(base)
        self.layer = self.make(student, r, alpha, base, extra)
        student.load_state(self.layer, {"lora_A": self.A, "lora_B": self.B})

    def make(self, student, r, alpha, base, extra):
        return student.LoRALinear(self.base, r, alpha, **extra)

    def delta(self):
        """The update of the weight, in float64."""
        return self.scaling * (self.B.double() @ self.A.double())

    def on(self, x):
        """What the layer should give for x, computed in float64 and cast to the base's dtype."""
        weight = self.weight.double() + self.delta()
        bias = None if self.bias is None else self.bias.double()
        return F.linear(x.double(), weight, bias).to(self.weight.dtype)

    def check(self, x, what=""):
        rtol = {torch.float32: 1e-4, torch.float64: 1e-5}.get(self.weight.dtype, 2e-2)
        check_close(self.layer(x), self.on(x), rtol=rtol, what=what)


def sizes(draw):
    """out, in, r, alpha: never square, r below both; alpha is above r and no multiple of it."""
    out, inp = draw.sample(range(7, 24), 2)
    r = draw.integers(2, 6)
    return out, inp, r, draw.choice([a for a in (3, 5, 7, 8, 12, 18) if a > r and a % r])


@hidden(
    "LoRALinear",
    "y = base(x) + (alpha / r) B A x, with A and B of any value",
    weight=4,
    core=True,
    hint="Check the scaling first: alpha / r multiplies the adapter's path and nothing else.",
)
def forward_values(student, draw):
    for bias in (True, False):
        out, inp, r, alpha = sizes(draw)
        layer = Adapted(student, draw, out, inp, r, alpha, bias=bias)
        layer.check(draw.normal(6, inp))
        layer.check(draw.normal(2, 3, inp), "an input of three dimensions")
        layer.check(draw.normal(inp), "an input of one dimension")
    x = draw.normal(2, 3, inp)
    turned = student.keep(student.attr(student.put(x), "transpose"), 0, 1)
    check_close(layer.layer(turned), layer.on(x.transpose(0, 1)), what="an input, transposed")
    # Another adapter is loaded between two texts.
    layer.layer.eval()
    student.put(torch.set_grad_enabled)(False)
    try:
        for _ in range(2):
            layer.check(x, "without gradients")
            layer.A = layer.A.flip(0)
            student.load_state(layer.layer, {"lora_A": layer.A, "lora_B": layer.B})
    finally:  # the other tests want gradients, whatever this one found
        student.put(torch.set_grad_enabled)(True)


@hidden(
    "LoRALinear",
    "parameters lora_A (r, in) and lora_B (out, r), and only these are trained",
    weight=2,
    hint="Freeze the base's weight AND its bias; A and B are nn.Parameter attributes of the layer.",
)
def parameters(student, draw):
    out, inp, r, alpha = sizes(draw)
    layer = student.LoRALinear(nn.Linear(inp, out), r, alpha)
    named = student.parameters(layer)
    for name, shape in (("lora_A", (r, inp)), ("lora_B", (out, r))):
        if name not in named:
            raise Fail(f"the layer has no parameter called {name}")
        if named[name][0].shape != shape:
            raise Fail(f"{name} has the wrong shape")
    trained = {name for name, (_, trainable) in named.items() if trainable}
    if missing := {"lora_A", "lora_B"} - trained:
        raise Fail(f"{min(missing)} is frozen")
    if trained != {"lora_A", "lora_B"}:
        raise Fail("something besides lora_A and lora_B is trained")


@hidden(
    "LoRALinear",
    "the base stays the same object, called base",
    hint="Keep what you were given: self.base = base. A copy would double the memory.",
)
def base_is_kept(student, draw):
    layer = Adapted(student, draw, *sizes(draw))
    if not student.is_same(student.attr(layer.layer, "base"), layer.base):
        raise Fail("layer.base is not the object that was passed in")
    check_equal(layer.base.weight, layer.weight, "the base's weight")
    # New weights in the base, as loading a checkpoint does, must be seen by the layer.
    layer.weight = draw.normal(*layer.weight.shape)
    student.load_state(layer.base, {"weight": layer.weight})
    layer.check(draw.normal(4, layer.weight.shape[1]), "after the base's weight changed")


@hidden(
    "LoRALinear",
    "at the start the output equals the base's",
    hint="Start one of the two factors at zero: then B A is zero.",
)
def starts_as_base(student, draw):
    for bias in (True, False):
        out, inp, r, alpha = sizes(draw)
        base, x = draw.reset(nn.Linear(inp, out, bias=bias)), draw.normal(5, inp)
        layer = student.LoRALinear(base, r, alpha)
        check_close(layer(x), base(x).detach(), rtol=1e-5)
        named = student.parameters(layer)
        if all(name in named and named[name][0].any() for name in ("lora_A", "lora_B")):
            raise Fail("neither A nor B starts at zero")


@hidden(
    "LoRALinear",
    "at the start at least one factor gets gradient",
    hint="If A and B both start at zero, each blocks the other's gradient and nothing ever moves.",
)
def starts_to_learn(student, draw):
    out, inp, r, alpha = sizes(draw)
    layer = student.LoRALinear(nn.Linear(inp, out), r, alpha)
    _, grads = student.gradients(layer, [draw.normal(8, inp)], cotangent=draw.normal(8, out))
    flowing = [grads.get(name) for name in ("lora_A", "lora_B")]
    if not any(type(g) is torch.Tensor and g.abs().max() > 0 for g in flowing):
        raise Fail("no gradient arrives at lora_A nor at lora_B")


@hidden(
    "LoRALinear",
    "attributes r, alpha and scaling = alpha / r",
    hint="The layer keeps r, alpha and scaling; scaling is alpha / r, not alpha.",
)
def attributes(student, draw):
    out, inp, r, alpha = sizes(draw)
    layer = student.LoRALinear(nn.Linear(inp, out), r, alpha)
    check_close(layer.r, r, what="r")
    check_close(float(layer.alpha) if type(layer.alpha) is int else layer.alpha, float(alpha))
    check_close(layer.scaling, alpha / r, what="scaling")


@hidden(
    "LoRALinear",
    "r may exceed both sizes of the matrix",
    weight=0.5,
    hint="Nothing in the formula needs r to be small: do not cut it.",
)
def large_rank(student, draw):
    out, inp = draw.sample(range(3, 9), 2)
    layer = Adapted(student, draw, out, inp, r=11, alpha=7)
    layer.check(draw.normal(5, inp))


@hidden(
    "LoRALinear",
    "the output has the base's dtype",
    weight=1.5,
    hint="A float32 adapter on a bfloat16 base: convert on the way in and on the way out.",
)
def dtypes(student, draw):
    for dtype in (torch.bfloat16, torch.float64, torch.float16):
        out, inp, r, alpha = sizes(draw)
        layer = Adapted(student, draw, out, inp, r, alpha, dtype=dtype)
        layer.check(draw.normal(4, inp, dtype=dtype), str(dtype))
        check_equal(layer.base.weight, layer.weight, "the base's weight afterwards")


@hidden(
    "LoRALinear",
    "gradients of x, A and B are those of the formula; the base gets none",
    hint="Use only differentiable tensor operations, and multiply by the scaling where gradient "
    "can see it.",
)
def gradient_values(student, draw):
    out, inp, r, alpha = sizes(draw)
    layer = Adapted(student, draw, out, inp, r, alpha)
    x, cotangent = draw.normal(6, inp), draw.normal(6, out)
    A, B = layer.A.clone().requires_grad_(), layer.B.clone().requires_grad_()
    x.requires_grad_()
    y = F.linear(x, layer.weight) + layer.scaling * (x @ A.T @ B.T)
    wanted = torch.autograd.grad((y * cotangent).sum(), [x, A, B])
    x = x.detach()
    for mode in (layer.layer.train, layer.layer.eval):
        mode()
        _, grads = student.gradients(layer.layer, [x], cotangent=cotangent, wrt=(0,))
        for name, want in zip((0, "lora_A", "lora_B"), wanted, strict=True):
            check_close(grads.get(name), want, what="gradient of x" if name == 0 else name)
        if any(grads.get(name) is not None for name in ("base.weight", "base.bias")):
            raise Fail("gradient flows into the frozen base")


@hidden(
    "LoRALinear",
    "dropout acts on x of the adapter's path only, and only while training",
    weight=2,
    hint="B A dropout(x): the base sees the whole x, the adapter a thinned out one, and eval() "
    "switches dropout off.",
)
def dropout(student, draw):
    # A and B are square and invertible here, so what entered the adapter can be computed back.
    n, p, alpha = 12, draw.choice([0.25, 0.4]), 30
    layer = Adapted(student, draw, n, n, n, alpha, dropout=p)
    A, B = (torch.linalg.qr(draw.normal(n, n))[0] for _ in range(2))
    layer.A, layer.B = A, B
    student.load_state(layer.layer, {"lora_A": A, "lora_B": B})
    x = draw.normal(400, n) + 3.0  # no entry near zero, so that a dropped one is told apart
    x = torch.where(x.abs() < 0.3, torch.full_like(x, 0.3), x)
    layer.layer.train()
    given = student.put(x)
    y = layer.layer(given)
    check_type(y, torch.Tensor)
    check_equal(student.value(given), x, "x after a call in training mode")
    if y.shape != (400, n):
        raise Fail("wrong shape in training mode")
    entered = (y.double() - F.linear(x, layer.weight, layer.bias).double()) / layer.scaling
    entered = entered @ B.double() @ A.double()
    kept = entered.abs() > 1e-2
    right = torch.where(kept, (entered - x / (1 - p)).abs() < 1e-2, torch.tensor(True))
    if not right.all():
        raise Fail("in training, base(x) or the x of the adapter's path is not what it should be")
    share = kept.double().mean().item()
    if abs(share - (1 - p)) > 6 * math.sqrt(p * (1 - p) / kept.numel()):
        raise Fail("the share of entries of x that is dropped is not `dropout`")
    if (kept == kept[:1]).all() or torch.equal(y, layer.layer(x)):
        raise Fail("every row or every call drops the same entries")
    layer.layer.eval()
    layer.check(x, "after eval()")


@hidden(
    "LoRALinear",
    "without dropout, training and evaluation agree; x stays as it is",
    weight=0.5,
    hint="The default is no dropout. Do not add in place to x, nor to what the base returns.",
)
def quiet_training(student, draw):
    layer = Adapted(student, draw, *sizes(draw))
    values = draw.normal(4, layer.weight.shape[1])
    x, want = student.put(values), layer.on(values)
    for mode in (layer.layer.train, layer.layer.eval, layer.layer.train):
        mode()
        check_close(layer.layer(x), want)
    check_equal(student.value(x), values, "x after the call")
    layer.layer.eval()
    layer.check(values)
    layer.A, layer.B = draw.normal(*layer.A.shape), draw.normal(*layer.B.shape)
    student.load_state(layer.layer, {"lora_A": layer.A, "lora_B": layer.B})
    layer.check(values, "after A and B changed in evaluation mode")


# ---------------------------------------------------------------- merged_linear


class StandIn(Adapted):
    """The attributes of a LoRALinear without a forward, where the student's is unusable."""

    def make(self, student, r, alpha, base, extra):
        layer = nn.Module()
        layer.base = base.requires_grad_(False)
        layer.lora_A = nn.Parameter(torch.zeros(self.A.shape))
        layer.lora_B = nn.Parameter(torch.zeros(self.B.shape))
        layer.r, layer.alpha, layer.scaling = r, alpha, self.scaling
        layer.dropout = nn.Dropout(extra.get("dropout", 0.0))
        return student.put(layer)


def adapted(student, draw, out, inp, r, alpha, **options):
    """The student's layer, or the stand-in if that is unusable: merging is judged by itself."""
    try:
        layer = Adapted(student, draw, out, inp, r, alpha, **options)
        if layer.layer.scaling == alpha / r and "base.weight" in student.parameters(layer.layer):
            return layer
    except (StudentError, Undefined, Fail):
        pass
    return StandIn(student, draw, out, inp, r, alpha, **options)


def check_merged(merged, layer, rtol=1e-4):
    """Weight and bias are those of W + (alpha / r) B A and b."""
    want = (layer.weight.double() + layer.delta()).to(layer.weight.dtype)
    check_close(merged.weight, want, rtol=rtol, what="weight")
    if layer.bias is None:
        check_equal(merged.bias, None, "bias")
    else:
        check_equal(merged.bias, layer.bias, "bias")


@hidden(
    "merged_linear",
    "the weight is W + (alpha / r) B A, the bias is the base's",
    weight=3,
    core=True,
    hint="B A has the shape of W, (out, in). Multiply it by scaling = alpha / r before you add it.",
)
def merged_values(student, draw):
    for bias in (True, False):
        layer = adapted(student, draw, *sizes(draw), bias=bias)
        check_merged(student.merged_linear(layer.layer), layer)
    layer = adapted(student, draw, 9, 9, *sizes(draw)[2:])
    check_merged(student.merged_linear(layer.layer), layer)


@hidden(
    "merged_linear",
    "the result is a plain nn.Linear that gives what the layer gave",
    hint="Return an nn.Linear with weight and bias, no LoRA parameters, the right in_features and "
    "out_features.",
)
def merged_is_plain(student, draw):
    for bias in (True, False):
        out, inp, r, alpha = sizes(draw)
        layer = adapted(student, draw, out, inp, r, alpha, bias=bias)
        merged = student.merged_linear(layer.layer)
        if not student.isinstance(merged, "torch.nn:Linear"):
            raise Fail("the result is not an nn.Linear")
        if set(student.parameters(merged)) != {"weight"} | ({"bias"} if bias else set()):
            raise Fail("the result has other parameters than the base has")
        check_equal([merged.out_features, merged.in_features], [out, inp], "sizes")
        x = draw.normal(3, 2, inp)
        check_close(merged(x), layer.on(x), what="output")


@hidden(
    "merged_linear",
    "the layer is unchanged, and merging twice gives the same",
    hint="Writing into layer.base.weight is the usual slip: the second merge adds B A again.",
)
def layer_unchanged(student, draw):
    layer = adapted(student, draw, *sizes(draw))
    before = student.parameters(layer.layer)
    mode = layer.layer.training
    for _ in range(2):
        check_merged(student.merged_linear(layer.layer), layer)
    after = student.parameters(layer.layer)
    if set(before) != set(after):
        raise Fail("the layer's parameters are not the same ones afterwards")
    for name, (value, trainable) in before.items():
        check_equal(after[name][0], value, f"{name} of the layer afterwards")
        check_equal(after[name][1], trainable, f"requires_grad of {name} afterwards")
    if layer.layer.training is not mode:
        raise Fail("the layer was in training mode and is not any more (or the other way round)")
    layer.A = draw.normal(*layer.A.shape)
    student.load_state(layer.layer, {"lora_A": layer.A})
    check_merged(student.merged_linear(layer.layer), layer)


@hidden(
    "merged_linear",
    "the result shares no memory with the layer",
    hint="Assigning layer.base.bias to the new layer makes ONE bias with two owners: copy it.",
)
def merged_owns_memory(student, draw):
    for dtype, trained in ((torch.float32, True), (torch.bfloat16, True), (torch.float32, False)):
        layer = adapted(student, draw, *sizes(draw), dtype=dtype)
        if not trained:  # nothing to add, as at the start: all the same no memory is shared
            student.load_state(layer.layer, {"lora_B": torch.zeros(layer.B.shape)})
        merged = student.merged_linear(layer.layer)
        before = student.parameters(layer.layer)
        junk = {"weight": torch.full(layer.weight.shape, 7.0)}
        junk["bias"] = torch.full(layer.bias.shape, 7.0)
        student.load_state(merged, junk)
        for name, (value, _) in student.parameters(layer.layer).items():
            check_equal(value, before[name][0], f"{name} of the layer, after the result changed")
    layer = adapted(student, draw, *sizes(draw))
    merged = student.merged_linear(layer.layer)
    for name, (value, _) in student.parameters(layer.layer).items():
        student.load_state(layer.layer, {name: draw.normal(*value.shape)})
    check_merged(merged, layer)


@hidden(
    "merged_linear",
    "low precision is rounded once, at the end",
    weight=1.5,
    hint="Convert W, A and B to float32, add up there, and convert the sum to W's dtype.",
)
def rounded_once(student, draw):
    for kind in (torch.float32, torch.bfloat16):  # of A and B: both are allowed
        layer = adapted(student, draw, 61, 47, 6, 15, dtype=torch.bfloat16)
        for name in ("A", "B"):
            value = draw.normal(*getattr(layer, name).shape, dtype=kind)
            student.set(student.attr(layer.layer, f"lora_{name}"), "data", value)
            setattr(layer, name, value.float())
        weight = student.merged_linear(layer.layer).weight
        exact = layer.weight.double() + layer.delta()
        check_close(weight, exact.bfloat16(), rtol=1e-2, what="weight of a bfloat16 layer")
        # Rounding once gives the nearest bfloat16 nearly everywhere; rounding B A first, or A and B
        # themselves, misses many.
        if (weight != exact.bfloat16()).double().mean() > 0.02:
            raise Fail(
                "the bfloat16 weight is further from the exact sum than one rounding explains"
            )
    for dtype in (torch.float16, torch.float64):
        layer = adapted(student, draw, *sizes(draw), dtype=dtype)
        rtol = 2e-3 if dtype is torch.float16 else 1e-5
        check_merged(student.merged_linear(layer.layer), layer, rtol=rtol)


@hidden(
    "merged_linear",
    "dropout plays no part in the merged weight",
    weight=0.5,
    hint="Compute the weight from A and B, not from what the layer does to some input.",
)
def merged_without_dropout(student, draw):
    layer = adapted(student, draw, *sizes(draw), dropout=0.6)
    layer.layer.train()
    check_merged(student.merged_linear(layer.layer), layer)


# ---------------------------------------------------------------- inject_lora


def tiny_llama(draw, kind="llama", tied=False):
    """A transformers model with random weights: grouped heads, 2 layers, about 10,000 weights."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    sizes = {
        "vocab_size": 31,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32,
        "tie_word_embeddings": tied,
    }
    if kind == "llama":
        model = LlamaForCausalLM(LlamaConfig(**sizes))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**sizes))
    return draw.reset(model).eval()


def nested(draw):
    """Modules at every depth, some with names made to trip; every matrix has sizes of its own."""
    a, b, c, d = draw.sample(range(5, 17), 4)
    model = nn.Sequential(
        OrderedDict(
            q_proj=nn.Linear(a, b),
            fq_proj=nn.Linear(b, c, bias=False),
            norm=nn.LayerNorm(c),
            block=nn.Sequential(
                OrderedDict(q_proj=nn.Linear(c, d), act=nn.Tanh(), v_proj=nn.Linear(d, a))
            ),
            tail=nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Linear(b, c)),
        )
    )
    return draw.reset(model), a


def wrapped_names(student, model):
    """The modules that hold lora_A and lora_B, by full name."""
    return {n.rpartition(".")[0] for n in student.parameters(model) if n.endswith(".lora_A")}


def check_wrapped(student, model, original, want):
    """Exactly the modules `want` are LoRALinear now, their base is the old one; the rest stays."""
    got = wrapped_names(student, model)
    if got != set(want):
        missing = set(want) - got
        raise Fail("a matching module is not wrapped" if missing else "another module is wrapped")
    named = student.parameters(model)
    for name in want:
        if not student.isinstance(model.get_submodule(name), "LoRALinear"):
            raise Fail("a matching module was replaced, but not by a LoRALinear")
    for name, value in original.named_parameters():
        module, _, last = name.rpartition(".")
        now = f"{module}.base.{last}" if module in want else name
        if now not in named:
            raise Fail("a parameter of the model is gone or has moved")
        check_equal(named[now][0], value.detach(), "a weight of the model")


def check_trainable(student, model):
    for name, (_, trainable) in student.parameters(model).items():
        lora = name.rpartition(".")[2].startswith("lora_")
        if lora and not trainable:
            raise Fail("a lora_ parameter is frozen")
        if trainable and not lora:
            raise Fail("a parameter that is not lora_ is still trained")


def set_factors(student, draw, model, r):
    """Random A and B in every wrapped module, r rows; full name of the module -> B A."""
    state, products = {}, {}
    for name in sorted(wrapped_names(student, model)):
        named = student.parameters(model)
        A = 0.3 * draw.normal(r, *named[f"{name}.lora_A"][0].shape[1:])
        B = 0.3 * draw.normal(*named[f"{name}.lora_B"][0].shape[:1], r)
        state |= {f"{name}.lora_A": A, f"{name}.lora_B": B}
        products[name] = B @ A
    student.load_state(model, state)
    return products


def merged_by_hand(original, products, scaling):
    """A copy of the judge's own model with scaling * B A added to the weights."""
    with torch.no_grad():
        for name, product in products.items():
            original.get_submodule(name).weight += scaling * product
    return original


@hidden(
    "inject_lora",
    "every matching nn.Linear is wrapped, at any depth, and nothing else",
    weight=3,
    core=True,
    hint="Find the parent of 'a.b.q_proj' with get_submodule('a.b') and set its attribute q_proj. "
    "A name without a dot has the model itself as its parent.",
)
def wraps_matches(student, draw):
    original, _ = nested(draw)
    for targets, want in (
        (["q_proj"], ["q_proj", "block.q_proj"]),
        (["block.q_proj", "tail.2"], ["block.q_proj", "tail.2"]),
    ):
        model = student.put(original)
        student.inject_lora(model, targets, 3, 12)
        check_wrapped(student, model, original, want)
    original = tiny_llama(draw)
    model = student.put(original)
    student.inject_lora(model, ["q_proj", "o_proj", "up_proj"], 3, 12)
    names = ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj")
    want = [f"model.layers.{i}.{name}" for i in range(2) for name in names]
    check_wrapped(student, model, original, want)
    named = student.parameters(model)
    check_equal(tuple(named["model.layers.0.mlp.up_proj.lora_A"][0].shape), (3, 24), "lora_A shape")
    check_equal(tuple(named["model.layers.0.mlp.up_proj.lora_B"][0].shape), (40, 3), "lora_B shape")


@hidden(
    "inject_lora",
    "only lora_ parameters are trained afterwards",
    weight=2,
    hint="Freeze ALL the rest: embeddings, norms, biases and the layers that were not wrapped.",
)
def freezes_the_rest(student, draw):
    odd = nested(draw)[0]
    odd.register_parameter("gain", nn.Parameter(draw.normal(3)))
    for original in (odd, tiny_llama(draw, "qwen2"), tiny_llama(draw, tied=True)):
        model = student.put(original)
        student.inject_lora(model, ["v_proj"], 2, 5)
        if not wrapped_names(student, model):
            raise Fail("a matching module is not wrapped")
        check_trainable(student, model)


@hidden(
    "inject_lora",
    "the model is changed in place and returned",
    hint="Return the very model you were given, and put the given layers into LoRALinear as they "
    "are.",
)
def returns_the_model(student, draw):
    original, _ = nested(draw)
    model = student.put(original)
    linear = student.keep(model.get_submodule, "block.v_proj")
    returned = student.keep("inject_lora", model, ["v_proj"], 2, 5)
    if not student.is_same(returned, model):
        raise Fail("what is returned is not the model that was passed in")
    if not student.is_same(student.keep(model.get_submodule, "block.v_proj.base"), linear):
        raise Fail("the wrapped layer's base is not the old layer itself")


@hidden(
    "inject_lora",
    "with adapters the model computes W + (alpha / r) B A",
    weight=2,
    hint="Pass r and alpha on to LoRALinear; before training the model must answer as before.",
)
def adapted_model(student, draw):
    original, width = nested(draw)
    x = draw.normal(4, width)
    r, alpha = draw.integers(2, 5), draw.choice([6, 7, 9])
    model = student.put(original)
    student.inject_lora(model, ["q_proj", "v_proj"], r, alpha)
    check_close(model(x), original(x).detach(), what="before training")
    products = set_factors(student, draw, model, r)
    want = merged_by_hand(original, products, alpha / r)(x).detach()
    check_close(model(x), want, what="with trained factors")
    original = tiny_llama(draw, "qwen2")
    model, ids = student.put(original), draw.integers(0, 31, 2, 7)
    student.inject_lora(model, ["q_proj", "k_proj", "down_proj"], r, alpha)
    products = set_factors(student, draw, model, r)
    want = merged_by_hand(original, products, alpha / r)(ids).logits.detach()
    check_close(model(ids, use_cache=False)["logits"], want, rtol=1e-3, what="logits")


@hidden(
    "inject_lora",
    "names match as in exercise 1",
    hint="The name is the target, or ends in a dot and the target: 'q_proj' is not in 'fq_proj', "
    "'v_proj' matches the layer and not what is inside a block of that name.",
)
def matches_as_before(student, draw):
    n = draw.integers(4, 9)
    original = nn.ModuleDict(
        {
            "v_proj": nn.Sequential(nn.Linear(n, 3), nn.Linear(3, n)),
            "embed": nn.ModuleDict({"q_proj": nn.Embedding(n, 4), "out": nn.Linear(4, n)}),
            "head": nn.ModuleDict({"v_proj": nn.Linear(n, 4), "fv_proj": nn.Linear(n, 4)}),
            "xhead": nn.ModuleDict({"v_proj": nn.Linear(n, 5), "v_proj2": nn.Linear(n, 4)}),
            "deep": nn.ModuleDict({"head": nn.ModuleDict({"v_proj": nn.Linear(n, 6)})}),
            "head_v_proj": nn.Linear(n, 7),  # a dot in a target is a dot
        }
    )
    for targets, want in (
        (["v_proj"], ["head.v_proj", "xhead.v_proj", "deep.head.v_proj"]),
        (["head.v_proj"], ["head.v_proj", "deep.head.v_proj"]),
        (("v_proj.1", "xhead.v_proj"), ["v_proj.1", "xhead.v_proj"]),
        (["q_proj", "missing", "out"], ["embed.out"]),
    ):
        model = student.put(original)
        student.inject_lora(model, targets, 2, 5)
        check_wrapped(student, model, original, want)


@hidden(
    "inject_lora",
    "a second call changes nothing",
    weight=1.5,
    hint="A wrapped layer counts as a match and stays as it is: no ValueError, no adapter in an "
    "adapter, no new A and B, none frozen.",
)
def second_call(student, draw):
    original, width = nested(draw)
    model = student.put(original)
    student.inject_lora(model, ["q_proj"], 3, 12)
    products = set_factors(student, draw, model, 3)
    before = student.parameters(model)
    x = draw.normal(3, width)
    want = merged_by_hand(original, products, 12 / 3)(x).detach()
    for r, alpha in ((3, 12), (5, 35)):  # what is wrapped keeps its own r and alpha
        returned = student.keep("inject_lora", model, ["q_proj"], r, alpha)
        if not student.is_same(returned, model):
            raise Fail("the second call does not return the model")
        after = student.parameters(model)
        if set(before) != set(after):
            raise Fail("the second call adds or removes parameters")
        for name, (value, _) in before.items():
            check_equal(after[name][0], value, "a parameter after the second call")
        check_trainable(student, model)
        check_close(model(x), want, what="output after the second call")
    # Another target is added beside the adapters that are there.
    student.inject_lora(model, ["q_proj", "v_proj"], 3, 12)
    if wrapped_names(student, model) != {"q_proj", "block.q_proj", "block.v_proj"}:
        raise Fail("a call with one more target does not wrap just that one")
    check_trainable(student, model)
    check_close(model(x), want, what="output after a call with one more target")
    student.inject_lora(model, ["tail.0"], 3, 12)  # the adapters that are there stay trainable
    check_trainable(student, model)


@hidden(
    "inject_lora",
    "ValueError when nothing matches",
    hint="A model in which nothing is trained is never what was meant: raise ValueError.",
)
def no_match(student, draw):
    original, _ = nested(draw)
    for targets in (["k_proj", "proj"], ["norm"], ["block"], []):
        check_raises("ValueError", student.inject_lora, student.put(original), targets, 2, 5)
    model = student.put(original)
    student.inject_lora(model, ["v_proj"], 2, 5)
    check_raises("ValueError", student.inject_lora, model, ["k_proj"], 2, 5)  # adapters or not


@hidden(
    "inject_lora",
    "a weight shared with the embedding stays shared",
    weight=0.5,
    hint="Put the given nn.Linear itself into the LoRALinear: a copy of it unties the weight.",
)
def tied_weight(student, draw):
    original = tiny_llama(draw, tied=True)
    model = student.put(original)
    student.inject_lora(model, ["lm_head"], 2, 5)
    embedding = student.attr(student.keep(model.get_submodule, "model.embed_tokens"), "weight")
    output = student.attr(student.keep(model.get_submodule, "lm_head.base"), "weight")
    if not student.is_same(embedding, output):
        raise Fail("the output layer's weight is not the embedding's any more")
    check_trainable(student, model)


# ---------------------------------------------------------------- adapter_state_dict, load_adapter


def adapter_model(student, draw, targets=("q_proj", "v_proj"), r=3, original=None):
    """A model in the student process whose lora_ parameters hold random values of the judge's,
    and those values by full name."""
    original = original or nested(draw)[0]
    model = None
    try:
        model = student.put(original)
        student.inject_lora(model, list(targets), r, 7)
        if not wrapped_names(student, model):
            model = None
    except (StudentError, Undefined):
        model = None
    if model is None:  # inject_lora is judged elsewhere
        model = student.put(_stand_in_adapters(original, targets, r))
    shapes = {
        name: value.shape
        for name, (value, _) in student.parameters(model).items()
        if name.rpartition(".")[2] in ("lora_A", "lora_B")
    }
    state = {name: draw.normal(*shape) for name, shape in shapes.items()}
    student.load_state(model, state)
    return model, state


def _stand_in_adapters(original, targets, r):
    for name, linear in list(original.named_modules()):
        if isinstance(linear, nn.Linear) and name.rpartition(".")[2] in targets:
            layer = nn.Module()
            layer.base = linear
            layer.lora_A = nn.Parameter(torch.zeros(r, linear.in_features))
            layer.lora_B = nn.Parameter(torch.zeros(linear.out_features, r))
            parent, _, child = name.rpartition(".")
            setattr(original.get_submodule(parent), child, layer)
    for name, parameter in original.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[2] in ("lora_A", "lora_B"))
    return original


def _half_frozen(model):
    """The adapters frozen, all else trained: as after a run, before full fine-tuning."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[2] not in ("lora_A", "lora_B"))
    return model


def check_state(got, want, what=""):
    check_type(got, dict, what)
    if set(got) != set(want):
        missing = set(want) - set(got)
        raise Fail(
            "an adapter tensor has no or another name" if missing else "it holds other tensors too"
        )
    for name, value in want.items():
        check_equal(got[name], value, what or "an adapter tensor")


def values(student, model):
    return {name: value for name, (value, _) in student.parameters(model).items()}


@hidden(
    "adapter_state_dict",
    "adapter_state_dict gives the lora_ tensors by full parameter name, and nothing else",
    weight=2,
    hint="The keys are those of model.named_parameters(): 'block.q_proj.lora_A'.",
)
def saved_tensors(student, draw):
    model, state = adapter_model(student, draw)
    check_state(student.adapter_state_dict(model), state)
    model, state = adapter_model(student, draw, ["k_proj", "gate_proj"], 2, tiny_llama(draw))
    check_state(student.adapter_state_dict(model), state)
    check_trainable(student, model)
    # What belongs to the adapter is a matter of names, not of what happens to be trained.
    frozen = student.put(_half_frozen(_stand_in_adapters(nested(draw)[0], ["q_proj"], 3)))
    names = [n for n in student.parameters(frozen) if n.rpartition(".")[2].startswith("lora_")]
    if set(student.adapter_state_dict(frozen)) != set(names):
        raise Fail("what is frozen or trained decides, where the name alone should")
    alone = _stand_in_adapters(nn.ModuleDict({"v": nn.Linear(3, 5)}), ["v"], 2)["v"]
    check_equal(
        set(student.adapter_state_dict(alone)), {"lora_A", "lora_B"}, "the names of a bare layer"
    )
    wide = student.put(_stand_in_adapters(nested(draw)[0], ["q_proj"], 3).double())
    state = {n: v for n, v in values(student, wide).items() if n.endswith(("lora_A", "lora_B"))}
    check_state(student.adapter_state_dict(wide), state, "an adapter in float64")


@hidden(
    "adapter_state_dict",
    "saved tensors are detached copies",
    weight=2,
    hint="p.detach() still uses the parameter's memory, so training on changes what you saved. "
    "Clone it.",
)
def saved_copies(student, draw):
    model, state = adapter_model(student, draw)
    saved = student.keep("adapter_state_dict", model)
    student.load_state(model, {name: torch.zeros_like(value) for name, value in state.items()})
    check_state(student.value(saved), state, "what was saved, after the model changed")
    student.load_state(model, state)
    for name in state:
        tensor = student.keep(saved.get, name)
        if tensor.requires_grad is not False:
            raise Fail("a saved tensor still requires gradient")
        student.copy(tensor, torch.zeros_like(state[name]))
    for name, value in state.items():
        check_equal(values(student, model)[name], value, "the model, after the saved copy changed")


def _rest_stays(student, draw):
    """What of the base is trained, and the mode of each module, stays when an adapter is loaded."""
    model = _half_frozen(_stand_in_adapters(nested(draw)[0], ["q_proj"], 3)).train()
    model.get_submodule("block").eval()
    model = student.put(model)
    before = student.parameters(model)
    names = [name for name in before if name.endswith(("lora_A", "lora_B"))]
    student.load_adapter(model, {name: draw.normal(*before[name][0].shape) for name in names})
    for name, (_, trainable) in student.parameters(model).items():
        if name not in names:
            check_equal(trainable, before[name][1], "requires_grad of another parameter")
    modes = [student.keep(model.get_submodule, name).training for name in ("", "block")]
    check_equal(modes, [True, False], "the mode (train or eval) after loading")


@hidden(
    "adapter_state_dict",
    "load_adapter puts the values back and leaves the rest of the model alone",
    weight=2,
    hint="Copy each tensor into the parameter of the same name, under torch.no_grad().",
)
def loaded_values(student, draw):
    model, state = adapter_model(student, draw)
    before = values(student, model)
    new = {name: draw.normal(*value.shape) for name, value in state.items()}
    kept = student.put(new)
    student.load_adapter(model, kept)
    after = values(student, model)
    if set(before) != set(after):
        raise Fail("load_adapter adds or removes parameters")
    for name, value in (before | new).items():
        check_equal(after[name], value, "a parameter after loading")
    check_trainable(student, model)
    check_state(student.value(kept), new, "the state that was passed in")
    _rest_stays(student, draw)
    shuffled = {name: state[name] for name in draw.shuffled(state)}
    student.load_adapter(model, shuffled)
    check_state({n: v for n, v in values(student, model).items() if n in state}, state)


@hidden(
    "adapter_state_dict",
    "after loading, the model and the state share no memory",
    weight=1,
    hint="parameter.data = state[name] makes one tensor with two owners. Use copy_ or clone.",
)
def loaded_copies(student, draw):
    model, state = adapter_model(student, draw)
    new = {name: draw.normal(*value.shape) for name, value in state.items()}
    handles = {name: student.put(value) for name, value in new.items()}
    student.load_adapter(model, handles)
    for name, handle in handles.items():
        student.copy(handle, torch.zeros_like(new[name]))
    now = values(student, model)
    for name, value in new.items():
        check_equal(now[name], value, "the model, after the loaded tensors changed")
    student.load_adapter(model, handles)
    student.load_state(model, new)
    for handle in handles.values():
        if student.value(handle).abs().max() != 0:
            raise Fail("the loaded tensors change when the model does")


@hidden(
    "adapter_state_dict",
    "load_adapter refuses a missing tensor",
    weight=1,
    hint="Every lora_ parameter of the model must be in the state: KeyError or ValueError.",
)
def refuses_missing(student, draw):
    model, state = adapter_model(student, draw)
    for gone in (min(state), max(state)):
        rest = {name: value for name, value in state.items() if name != gone}
        check_raises(BAD_STATE, student.load_adapter, model, rest)
    check_raises(BAD_STATE, student.load_adapter, model, {})


@hidden(
    "adapter_state_dict",
    "load_adapter refuses an unexpected tensor",
    weight=1,
    hint="Whatever is not a lora_ parameter of this model has no place in the state, not even a "
    "weight of the base.",
)
def refuses_unexpected(student, draw):
    model, state = adapter_model(student, draw)
    foreign = max(state)
    for name, value in (
        ("other.q_proj.lora_A", state[min(state)]),
        (foreign.rpartition(".")[2], state[foreign]),
    ):
        check_raises(BAD_STATE, student.load_adapter, model, state | {name: value})
    frozen = next(n for n in values(student, model) if n.endswith("base.weight"))
    extra = state | {frozen: values(student, model)[frozen]}
    check_raises(BAD_STATE, student.load_adapter, model, extra)


@hidden(
    "adapter_state_dict",
    "load_adapter refuses a tensor of the wrong shape",
    weight=1,
    hint="Compare shapes yourself: copy_ happily stretches (1, in) to (r, in), and reshaping "
    "scrambles. KeyError or ValueError.",
)
def refuses_misshapen(student, draw):
    model, state = adapter_model(student, draw)
    for name in (min(state), max(state)):
        value = state[name]
        for wrong in (value.T.contiguous(), value[:1], value[:, :1], value.reshape(-1), value[:2]):
            bad = state | {name: wrong.clone()}
            check_raises(BAD_STATE, student.load_adapter, model, bad)


# ---------------------------------------------------------------- finetune_memory


def memory(n, t, w=2, g=4, o=8):
    return {"weights": n * w, "gradients": t * g, "optimizer": t * o, "total": n * w + t * (g + o)}


@hidden(
    "finetune_memory",
    "weights for all parameters, gradients and optimizer for the trainable ones",
    weight=3,
    core=True,
    hint="n_params already includes the trainable parameters; a frozen one has a weight and "
    "nothing else.",
)
def memory_values(student, draw):
    for _ in range(3):
        n, t = draw.integers(10**6, 10**10), draw.integers(10**3, 10**6)
        w, g, o = draw.sample(range(1, 17), 3)
        check_equal(student.finetune_memory(n, t, w, g, o), memory(n, t, w, g, o))


@hidden(
    "finetune_memory",
    "without the last three arguments: 2, 4 and 8 bytes",
    hint="The defaults belong to the signature: weight_bytes=2, grad_bytes=4, optimizer_bytes=8.",
)
def memory_defaults(student, draw):
    n, t = draw.integers(10**6, 10**10), draw.integers(10**3, 10**6)
    check_equal(student.finetune_memory(n, t), memory(n, t))
    check_equal(student.finetune_memory(n, n), memory(n, n), "full fine-tuning")
    got = student.finetune_memory(n_params=n, n_trainable=t, optimizer_bytes=3)
    check_equal(got, memory(n, t, o=3), "with optimizer_bytes by name")
    check_equal(student.finetune_memory(n, t, 2, 4, 0), memory(n, t, o=0), "no optimizer state")


@hidden(
    "finetune_memory",
    "nothing trainable: only the weights",
    hint="With n_trainable = 0 gradients and optimizer take 0 bytes.",
)
def memory_frozen(student, draw):
    n = draw.integers(10**6, 10**10)
    kept = student.keep("finetune_memory", n, 0)
    check_equal(student.value(kept), memory(n, 0))
    student.finetune_memory(n + 1, 1)
    check_equal(student.value(kept), memory(n, 0), "an earlier result after another call")


@hidden(
    "finetune_memory",
    "exact ints, however large",
    hint="Multiply ints. A float loses the last digits beyond 2 ** 53.",
)
def memory_exact(student, draw):
    n = 10**17 + 2 * draw.integers(0, 10**6) + 1
    t = 10**16 + 2 * draw.integers(0, 10**6) + 1
    check_equal(student.finetune_memory(n, t, 1, 3, 5), memory(n, t, 1, 3, 5))


# ---------------------------------------------------------------- effective_rank


def with_spectrum(draw, rows, columns, spectrum):
    """A float64 matrix with these singular values and random directions."""
    k = len(spectrum)
    left = torch.linalg.qr(torch.randn(rows, k, generator=draw.generator).double())[0]
    right = torch.linalg.qr(torch.randn(columns, k, generator=draw.generator).double())[0]
    return left @ torch.diag(torch.tensor(spectrum, dtype=torch.float64)) @ right.T


def rank_of(spectrum, energy):
    """The definition, and how far the nearest threshold is away."""
    squares = [s * s for s in sorted(spectrum, reverse=True)]
    held = [sum(squares[: i + 1]) / sum(squares) for i in range(len(squares))]
    rank = next(i for i, share in enumerate(held) if share >= energy) + 1
    return rank, min(abs(share - energy) for share in held)


def spectrum_and_energy(draw, count, energies=(0.5, 0.8, 0.9, 0.95), margin=0.01):
    """Random singular values and an energy that lies clear of every threshold and asks for more
    than one of them."""
    while True:
        spectrum = [draw.uniform(0.2, 3.0) for _ in range(count)]
        energy = draw.choice(energies)
        rank, gap = rank_of(spectrum, energy)
        if gap > margin and rank > 1:
            return spectrum, energy, rank


@hidden(
    "effective_rank",
    "the smallest r whose r largest squared singular values hold the energy",
    weight=3,
    core=True,
    hint="Square first, then add up from the largest; the first place that reaches the share, "
    "counted from 1.",
)
def rank_values(student, draw):
    for _ in range(4):
        spectrum, energy, rank = spectrum_and_energy(draw, draw.integers(5, 12))
        delta = with_spectrum(draw, 19, 14, spectrum).float()
        check_equal(student.effective_rank(delta, energy), rank)
    for share in (0.897, 0.8997):
        close = with_spectrum(draw, 12, 9, [share**0.5, (0.95 - share) ** 0.5, 0.05**0.5]).float()
        check_equal(student.effective_rank(close, 0.9), 2, f"a share of {share}")
    level = with_spectrum(draw, 19, 14, [1.0] * 11).float()
    check_equal(student.effective_rank(level, 0.95), 11, "eleven equal ones")
    many = with_spectrum(draw, 120, 100, [1.0] * 100).float()
    check_equal(student.effective_rank(many, 0.905), 91, "a hundred equal ones")
    # Exact in every float, roots included: one of four equal directions holds a quarter.
    check_equal(student.effective_rank(2 * torch.eye(4), 0.25), 1, "exactly the energy")
    spectrum, _, rank = spectrum_and_energy(draw, 9, energies=(0.9,))
    delta = with_spectrum(draw, 13, 17, spectrum).float()
    check_equal(student.effective_rank(delta), rank, "energy by default")
    check_equal(student.effective_rank(delta, energy=0.9), rank, "energy by name")


@hidden(
    "effective_rank",
    "energy counts squares, not the singular values themselves",
    hint="The squares sum to the squared Frobenius norm of delta. That is the energy.",
)
def rank_of_squares(student, draw):
    # One direction holds over 90% of the squares and less than half of the plain sum.
    small = draw.uniform(0.8, 1.0)
    delta = with_spectrum(draw, 24, 30, [15.0] + [small] * 20).float()
    check_equal(student.effective_rank(delta, 0.9), 1)
    # Half of the small directions and a half of one more.
    energy = (225 + 10.5 * small**2) / (225 + 20 * small**2)
    check_equal(student.effective_rank(delta, energy), 12)
    # Ten equal directions: 62% of the energy needs seven.
    delta = with_spectrum(draw, 24, 30, [draw.uniform(1.0, 5.0)] * 10).float()
    check_equal(student.effective_rank(delta, 0.62), 7)


@hidden(
    "effective_rank",
    "0 for a zero matrix, 1 for a matrix of rank one",
    hint="Dividing by a sum of zero gives nan. Answer 0 before you divide.",
)
def rank_extremes(student, draw):
    for dtype in (torch.float32, torch.bfloat16, torch.float64):
        check_equal(student.effective_rank(torch.zeros(5, 8, dtype=dtype)), 0, "a zero matrix")
    outer = torch.outer(draw.normal(9), draw.normal(6)) * draw.uniform(0.5, 2.0)
    for energy in (0.05, 0.5, 0.99):
        check_equal(student.effective_rank(outer, energy), 1, "a matrix of rank one")


@hidden(
    "effective_rank",
    "any float dtype",
    hint="Convert to float32 or float64 before the decomposition and before you square.",
)
def rank_dtypes(student, draw):
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        spectrum, energy, rank = spectrum_and_energy(draw, 8, margin=0.02)
        delta = with_spectrum(draw, 16, 11, spectrum)
        # In float16 the squares of such entries exceed the largest number.
        scale = 2000.0 if dtype is torch.float16 else 1.0
        check_equal(student.effective_rank((scale * delta).to(dtype), energy), rank, str(dtype))


@hidden(
    "effective_rank",
    "wide, tall and transposed matrices; the argument stays as it is",
    hint="A (1, n) matrix has one singular value. A transposed view is not contiguous in memory.",
)
def rank_shapes(student, draw):
    spectrum, energy, _ = spectrum_and_energy(draw, 6)
    delta = with_spectrum(draw, 7, 29, spectrum).float()
    for view in (delta, delta.T, delta.repeat(1, 2)[:, ::2], delta.double()):
        kept = student.put(view)
        want = rank_of(torch.linalg.svdvals(view.double()).tolist(), energy)
        if want[1] > 1e-3:
            check_equal(student.effective_rank(kept, energy), want[0])
        check_equal(student.value(kept), view, "delta after the call")
    check_equal(student.effective_rank(draw.normal(1, 9), 0.7), 1, "a single row")
    check_equal(student.effective_rank(draw.normal(9, 1), 0.7), 1, "a single column")


@hidden(
    "effective_rank",
    "the scale of the matrix does not matter",
    weight=0.5,
    hint="Compare with a share of the sum, not with a fixed number.",
)
def rank_scale(student, draw):
    spectrum, energy, rank = spectrum_and_energy(draw, 7)
    delta = with_spectrum(draw, 12, 15, spectrum)
    for scale in (1e-10, 1e-4, 1e4):
        check_equal(student.effective_rank((scale * delta).float(), energy), rank)
