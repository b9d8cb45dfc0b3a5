"""Hidden tests of 01_gqa_moe. Every expected value is computed here, from inputs drawn here."""

import math

import torch
import torch.nn.functional as F

from autograder.judging import (
    Fail,
    StudentError,
    callback_module,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)
from course_lib.configs import REAL_CONFIGS, ModelConfig

LOW = {torch.bfloat16: 3e-2, torch.float16: 5e-3}  # rounding of 16-bit arithmetic, generously


def twice(student, name, want, *arguments, rtol=1e-4):
    """Call `name` twice on the same objects: both results right, the objects as they were."""
    kept = [student.put(a) if isinstance(a, torch.Tensor) else a for a in arguments]
    for _ in range(2):
        check_close(student.call(name, *kept), want, rtol=rtol)
    for handle, original in zip(kept, arguments, strict=True):
        if isinstance(original, torch.Tensor):
            try:
                check_equal(student.value(handle), original)
            except Fail:
                raise Fail("an argument is modified") from None


# ---------------------------------------------------------------- repeat_kv


def repeated(x, n_rep):
    """(B, Hkv, T, D) -> (B, Hkv * n_rep, T, D), head h from head h // n_rep."""
    return torch.stack([x[:, h // n_rep] for h in range(x.shape[1] * n_rep)], dim=1)


@hidden(
    "repeat_kv",
    "query head h reads kv head h // n_rep",
    weight=3,
    core=True,
    hint="Compare repeat_interleave with repeat: A A B B, not A B A B.",
)
def repeat_order(student, draw):
    for n_rep in (draw.integers(2, 5), draw.integers(5, 9)):
        x = draw.normal(3, draw.integers(2, 5), draw.integers(3, 7), draw.integers(2, 6))
        check_close(student.repeat_kv(x, n_rep), repeated(x, n_rep))


@hidden(
    "repeat_kv",
    "one kv head, n_rep = 1, heads split off by a transpose",
    hint="All are ordinary cases; .view needs contiguous memory, .reshape does not.",
)
def repeat_ends(student, draw):
    # An n_rep that no other test has with another number of heads: who keeps something between
    # calls fails in the test about that, and here never.
    x = draw.normal(3, 1, 4, 5)
    check_close(student.repeat_kv(x, 10), repeated(x, 10))
    y = draw.normal(1, 5, 2, 3)
    check_close(student.repeat_kv(y, 1), y)
    check_close(student.repeat_kv(draw.normal(2, 3, 0, 4), 9), torch.zeros(2, 27, 0, 4))
    # Heads are split off as the last but one axis, so what comes out of a layer is not contiguous.
    z = draw.normal(2, 4, 3, 5)
    heads = student.keep(student.attr(student.put(z), "transpose"), 1, 2)
    check_close(student.repeat_kv(heads, 9), repeated(z.transpose(1, 2), 9))


@hidden("repeat_kv", "the dtype is kept", hint="No conversion is needed to copy numbers.")
def repeat_dtype(student, draw):
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        x = draw.normal(2, 3, 4, 2, dtype=dtype) / 3  # in float64 more digits than float32 has
        check_equal(student.repeat_kv(x, 9), repeated(x, 9))


@hidden("repeat_kv", "the input is not modified, nor an earlier result", hint="Make a new tensor.")
def repeat_unmodified(student, draw):
    x = draw.normal(2, 3, 4, 5)
    twice(student, "repeat_kv", repeated(x, 2), x, 2)
    first = student.keep("repeat_kv", x, 2)
    for heads in (3, 4):  # of the same shape, as keys and values are; then of another
        y = draw.normal(2, heads, 4, 5)
        check_close(student.repeat_kv(y, 2), repeated(y, 2))
    check_close(student.value(first), repeated(x, 2), what="the result of an earlier call")


@hidden(
    "repeat_kv",
    "gradients of all copies add up in the original",
    hint="Use tensor operations all the way: .data, .detach and numpy cut the gradient.",
)
def repeat_gradient(student, draw):
    x, cotangent = draw.normal(2, 3, 4, 5), draw.normal(2, 27, 4, 5)
    _, gradients = student.gradients("repeat_kv", (x, 9), cotangent=cotangent, wrt=(0,))
    if gradients[0] is None:
        raise Fail("no gradient reaches x")
    check_close(gradients[0], cotangent.view(2, 3, 9, 4, 5).sum(2), what="gradient of x")


# ---------------------------------------------------------------- gqa_attention


def attention(q, k, v, causal=True):
    """The oracle, in float64; differentiable."""
    n_queries, n_keys = q.shape[2], k.shape[2]
    n_rep = q.shape[1] // k.shape[1]
    wide_k, wide_v = (repeated(x.double(), n_rep) for x in (k, v))
    scores = torch.einsum("bhid,bhjd->bhij", q.double(), wide_k) / math.sqrt(q.shape[3])
    if causal:
        i, j = torch.arange(n_queries)[:, None], torch.arange(n_keys)[None, :]
        scores = scores.masked_fill(j > n_keys - n_queries + i, -math.inf)
    return torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), wide_v).to(q.dtype)


def qkv(draw, batch, n_heads, n_kv, n_queries, n_keys, size, dtype=torch.float32):
    q = draw.normal(batch, n_heads, n_queries, size, dtype=dtype)
    k = draw.normal(batch, n_kv, n_keys, size, dtype=dtype)
    return q, k, draw.normal(batch, n_kv, n_keys, size, dtype=dtype)


def lowered(q, k, by=40.0):
    """The same queries and keys with every score lower by `by`. A softmax does not see it; a mask
    that puts a number in the place of -inf does."""
    q, k = q.clone(), k.clone()
    q[..., -1], k[..., -1] = -by * math.sqrt(q.shape[-1]), 1.0
    return q, k


@hidden(
    "gqa_attention",
    "grouped attention without a mask",
    weight=3,
    core=True,
    hint="Scale 1/sqrt(D) with D the size of one head; query head h reads kv head h // n_rep.",
)
def attention_unmasked(student, draw):
    for _ in range(2):
        n_kv, n_rep, size = draw.integers(2, 4), draw.integers(2, 4), draw.choice([3, 6, 10])
        n_queries = draw.integers(2, 6)
        q, k, v = qkv(draw, 2, n_kv * n_rep, n_kv, n_queries, n_queries + 2, size)
        check_close(student.gqa_attention(q, k, v, False), attention(q, k, v, False))
        check_close(student.gqa_attention(q, k, v, causal=False), attention(q, k, v, False))


@hidden(
    "gqa_attention",
    "causal, as many queries as keys",
    weight=3,
    hint="A query sees its own position and the earlier ones. Mask with -inf before the softmax.",
)
def attention_square(student, draw):
    for length in (1, 5, draw.integers(6, 12)):
        q, k, v = qkv(draw, 2, 6, 2, length, length, 8)
        check_close(student.gqa_attention(q, k, v), attention(q, k, v))
        check_close(student.gqa_attention(q, k, v, causal=True), attention(q, k, v))


@hidden(
    "gqa_attention",
    "one new token sees the whole cache",
    weight=3,
    hint="With Tq = 1 no key may be hidden: align the mask to the end.",
)
def attention_decode(student, draw):
    for n_keys in (2, draw.integers(5, 30)):
        q, k, v = qkv(draw, 3, 8, 2, 1, n_keys, 6)
        check_close(student.gqa_attention(q, k, v), attention(q, k, v))


@hidden(
    "gqa_attention",
    "several new tokens after a cache",
    weight=3,
    hint="Query i stands at position Tk - Tq + i, however many keys there are: make the mask from "
    "Tq and Tk.",
)
def attention_chunk(student, draw):
    for cached in (draw.integers(1, 9), draw.integers(1, 9), draw.integers(1100, 1200)):
        n_queries = draw.integers(2, 6)
        q, k, v = qkv(draw, 2, 4, 2, n_queries, n_queries + cached, 5)
        q, k = lowered(q, k)
        check_close(student.gqa_attention(q, k, v), attention(q, k, v))


@hidden(
    "gqa_attention",
    "multi-head and multi-query attention are the two ends",
    weight=1,
    hint="Hkv = Hq and Hkv = 1 need no code of their own.",
)
def attention_ends(student, draw):
    for n_kv in (5, 1):
        q, k, v = qkv(draw, 2, 5, n_kv, 3, 7, 4)
        q, k = lowered(q, k, -20.0)  # what stands in the place of -inf is not the question here
        check_close(student.gqa_attention(q, k, v), attention(q, k, v))
        check_close(student.gqa_attention(q, k, v, causal=False), attention(q, k, v, False))


@hidden(
    "gqa_attention",
    "the dtype is kept",
    weight=1,
    hint="Whatever dtype you compute in, return the dtype of q.",
)
def attention_dtype(student, draw):
    q, k, v = qkv(draw, 2, 4, 2, 3, 5, 6, dtype=torch.float64)
    check_close(student.gqa_attention(q, k, v), attention(q, k, v), rtol=1e-6)
    for dtype, rtol in LOW.items():
        q, k, v = qkv(draw, 2, 4, 2, 3, 5, 6, dtype=dtype)
        check_close(student.gqa_attention(q, k, v), attention(q, k, v), rtol=rtol)


@hidden(
    "gqa_attention",
    "large scores",
    weight=1,
    hint="Use softmax, which subtracts the largest score first; exp alone overflows. Mask with "
    "-inf: a score can be lower than any number you choose.",
)
def attention_large(student, draw):
    # Of 48 first queries that see one key or two, some like an unseen one best.
    for n_keys in (5, 6):
        q, k, v = qkv(draw, 3, 8, 2, 5, n_keys, 8)
        q, k = lowered(30 * q, 10 * k, by=500.0)
        check_close(student.gqa_attention(q, k, v), attention(q, k, v), rtol=1e-3)
    # Scores of about -32768, in halves: exact in float32 too.
    q, k = (draw.integers(-3, 4, 2, heads, 5, 4).float() for heads in (4, 2))
    q[..., -1], k[..., -1] = -(2.0**16), 1.0
    v = draw.normal(2, 2, 5, 4)
    check_close(student.gqa_attention(q, k, v), attention(q, k, v), rtol=1e-3)


@hidden("gqa_attention", "the arguments are not modified", hint="No in-place operation on q, k, v.")
def attention_unmodified(student, draw):
    q, k, v = qkv(draw, 2, 3, 3, 3, 4, 4)
    twice(student, "gqa_attention", attention(q, k, v, False), q, k, v, False)


@hidden(
    "gqa_attention",
    "gradients of q, k and v",
    weight=2,
    hint="Use tensor operations all the way: .data, .detach and numpy cut the gradient.",
)
def attention_gradient(student, draw):
    inputs, cotangent = qkv(draw, 2, 6, 2, 3, 5, 4), draw.normal(2, 6, 3, 4)
    _, got = student.gradients("gqa_attention", inputs, cotangent=cotangent, wrt=(0, 1, 2))
    leaves = [x.clone().requires_grad_(True) for x in inputs]
    want = torch.autograd.grad((attention(*leaves) * cotangent).sum(), leaves)
    for position, name in enumerate("qkv"):
        if got[position] is None:
            raise Fail(f"no gradient reaches {name}")
        check_close(got[position], want[position], rtol=1e-3, what=f"gradient of {name}")


@hidden(
    "gqa_attention",
    "ValueError when the heads do not divide",
    weight=1,
    hint="Check Hq % Hkv first, and raise ValueError yourself.",
)
def attention_error(student, draw):
    for n_heads, n_kv in ((6, 4), (3, 2), (2, 4)):
        q, k, v = qkv(draw, 1, n_heads, n_kv, 2, 3, 4)
        check_raises("ValueError", student.gqa_attention, q, k, v)
        check_raises("ValueError", student.gqa_attention, q, k, v, causal=False)


# ---------------------------------------------------------------- kv_cache_bytes


@hidden(
    "kv_cache_bytes",
    "keys and values of every layer, head, token and sequence",
    weight=3,
    core=True,
    hint="2 × layers × kv heads × head size × batch × length × bytes.",
)
def cache_formula(student, draw):
    sizes = [draw.integers(2, 12) for _ in range(5)]  # their product is exact in float32
    for width in (1, 4, 8):
        check_close(student.kv_cache_bytes(*sizes, width), 2 * math.prod(sizes) * width)
        names = ("n_layers", "n_kv_heads", "head_dim", "batch", "seq_len")
        named = dict(zip(names, sizes, strict=True)) | {"bytes_per_element": width}
        check_close(student.kv_cache_bytes(**named), 2 * math.prod(sizes) * width)


@hidden("kv_cache_bytes", "two bytes per element by default", hint="bytes_per_element=2.")
def cache_default(student, draw):
    sizes = [draw.integers(2, 12) for _ in range(5)]
    check_close(student.kv_cache_bytes(*sizes), 4 * math.prod(sizes))


@hidden("kv_cache_bytes", "one of each, and an empty cache", hint="The formula covers these too.")
def cache_small(student, draw):
    check_close(student.kv_cache_bytes(1, 1, 1, 1, 1, 1), 2)
    check_close(student.kv_cache_bytes(draw.integers(1, 9), 2, 4, 1, 0), 0)


@hidden(
    "kv_cache_bytes",
    "exact, however large",
    weight=2,
    hint="Python's ints are exact; floats and 32- or 64-bit tensors are not.",
)
def cache_exact(student, draw):
    # More digits than an int64 holds, and more than a Decimal keeps.
    for large in (10**8, 10**16):
        sizes = [126, 8, 128, *(2 * draw.integers(large // 10, large) + 1 for _ in range(2))]
        check_equal(student.kv_cache_bytes(*sizes), 4 * math.prod(sizes))
    check_equal(student.kv_cache_bytes(80, 8, 128, 64, 131072), 4 * 80 * 8 * 128 * 64 * 131072)


# ---------------------------------------------------------------- route


def clear_logits(draw, n_tokens, n_experts, dtype=torch.float32):
    """(N, E) logits without near ties, exact in 16 bits: steps of 1/4 in a random order."""
    rows = [torch.randperm(n_experts, generator=draw.generator) for _ in range(n_tokens)]
    return ((torch.stack(rows) - n_experts / 2) / 4).to(dtype)


def routed(logits, k):
    """Weights at their experts, (N, E), zero elsewhere; differentiable. The oracle."""
    threshold = logits.detach().double().sort(-1, descending=True).values[:, k - 1 : k]
    chosen = logits.detach().double() >= threshold
    return logits.double().masked_fill(~chosen, -math.inf).softmax(-1).float()


def check_route(result, logits, k, rtol=1e-4):
    """Compare (weights, indices) with the oracle, whatever the order within a row."""
    if type(result) not in (tuple, list) or len(result) != 2:
        raise Fail("expected two tensors, (weights, indices)")
    weights, indices = result
    for name, tensor, dtype in [
        ("weights", weights, torch.float32),
        ("indices", indices, torch.int64),
    ]:
        check_type(tensor, torch.Tensor, name)
        if tensor.shape != (len(logits), k):
            raise Fail(f"{name}: wrong shape")
        if tensor.dtype is not dtype:
            raise Fail(f"{name}: wrong dtype")
    if indices.min() < 0 or indices.max() >= logits.shape[1]:
        raise Fail("indices: not the number of an expert")
    want = routed(logits, k)
    chosen = torch.zeros_like(want, dtype=torch.bool).scatter(1, indices, True)
    if not torch.equal(chosen, want > 0):
        raise Fail("indices: not the k experts with the largest logits")
    check_close(weights, want.gather(1, indices), rtol=rtol, what="weights")
    check_close(weights.double().sum(1).float(), torch.ones(len(logits)), what="sum of a row")


@hidden(
    "route",
    "the k best experts, weighed by a softmax over those k",
    weight=3,
    core=True,
    hint="Top-k first, then softmax over the k values (or divide by their sum).",
)
def route_values(student, draw):
    for n_tokens, n_experts, k in ((6, 8, 2), (11, 5, 3)):
        logits = 2 * draw.normal(n_tokens, n_experts)
        check_route(student.route(logits, k), logits, k)


@hidden(
    "route", "k = 1, k = E, one token, many experts", hint="None of these needs code of its own."
)
def route_ends(student, draw):
    cases = ((5, 6, 1), (1, 6, 1), (4, 5, 5), (1, 7, 2), (300, 64, 6), (3, 1, 1))
    for n_tokens, n_experts, k in cases:
        logits = clear_logits(draw, n_tokens, n_experts)
        check_route(student.route(logits, k), logits, k)


@hidden(
    "route",
    "float32 weights from any floating dtype",
    hint="Convert the logits to float32 before the softmax, not the weights after it.",
)
def route_dtype(student, draw):
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        logits = clear_logits(draw, 7, 9, dtype)
        check_route(student.route(logits, 4), logits, 4)
        near = logits / 1024  # different, though their probabilities are equal in 16 bits
        check_route(student.route(near, 4), near, 4)


@hidden(
    "route", "large logits", hint="Use softmax, which subtracts the largest first; exp overflows."
)
def route_large(student, draw):
    logits = clear_logits(draw, 6, 8)
    # One large number for all rows; then another one for each.
    for large in (draw.choice([-200.0, 200.0]), 200.0 * torch.arange(-3, 3)[:, None]):
        check_route(student.route(logits + large, 3), logits + large, 3)


@hidden("route", "the logits are not modified", hint="Do not write -inf into the argument.")
def route_unmodified(student, draw):
    logits = clear_logits(draw, 6, 8)
    kept = student.put(logits)
    for _ in range(2):
        check_route(student.route(kept, 2), logits, 2)
    if not torch.equal(student.value(kept), logits):
        raise Fail("the logits are modified")


@hidden(
    "route",
    "the weights are differentiable",
    weight=2,
    hint="The router learns through the weights: no detach, no new tensor from numbers.",
)
def route_gradient(student, draw):
    logits, table = clear_logits(draw, 5, 7), draw.normal(5, 7)
    first = student.route(logits, 3)
    check_route(first, logits, 3)
    cotangent = table.gather(1, first[1])
    output, gradients = student.gradients(
        "route", (logits, 3), cotangent=cotangent, wrt=(0,), pick=0
    )
    check_route(output, logits, 3)
    if not torch.equal(output[1], first[1]):
        raise Fail("two calls with the same logits differ")
    if gradients[0] is None:
        raise Fail("no gradient reaches the logits")
    leaf = logits.clone().requires_grad_(True)
    want = torch.autograd.grad((routed(leaf, 3) * table).sum(), leaf)[0]
    check_close(gradients[0], want, rtol=1e-3, what="gradient")


# ---------------------------------------------------------------- SparseMoE


def random_state(draw, d_model, d_ff, n_experts, dtype=torch.float32):
    """Weights of a layer, by full parameter name."""
    shapes = {}
    for e in range(n_experts):
        shapes[f"experts.{e}.w_gate.weight"] = (d_ff, d_model)
        shapes[f"experts.{e}.w_up.weight"] = (d_ff, d_model)
        shapes[f"experts.{e}.w_down.weight"] = (d_model, d_ff)
    state = {name: (0.6 * draw.normal(*shape)).to(dtype) for name, shape in shapes.items()}
    return {"gate.weight": router(draw, n_experts, d_model).to(dtype)} | state


def router(draw, n_experts, d_model):
    """(E, d) rows of one length, no two alike: along its own row every expert is the best one. With
    rows of any length one may lie between the others, and no token would ever choose it."""
    while True:
        rows = F.normalize(draw.normal(n_experts, d_model), dim=-1)
        if (rows @ rows.T).fill_diagonal_(0).max() < 0.8:
            return 1.5 * rows


def clear_tokens(draw, gate, batch, length, k, margin=0.2, dtype=torch.float32):
    """(B, T, d) tokens whose k-th and next best scores are `margin` apart: no near ties. If there
    are as many tokens as experts, every expert is among the k best of one of them."""
    (n_experts, d_model), count = gate.shape, batch * length
    every = set(range(n_experts)) if count >= n_experts else set()
    lean = 2 * gate.float()[torch.arange(4 * count) % n_experts] if every else 0.0
    kept, chosen = torch.empty(0, d_model, dtype=dtype), []
    while len(kept) < count or not every <= {e for row in chosen for e in row}:
        tokens = (draw.normal(4 * count, d_model) + lean).to(dtype)
        scores, order = (tokens.double() @ gate.double().T).sort(descending=True)
        if k < n_experts:
            clear = scores[:, k - 1] - scores[:, k] > margin
            tokens, order = tokens[clear], order[clear]
        kept, chosen = torch.cat([kept, tokens]), chosen + order[:, :k].tolist()
    first = {next(i for i, row in enumerate(chosen) if e in row) for e in every}
    rest = [i for i in range(len(kept)) if i not in first]
    return kept[draw.shuffled([*first, *rest[: count - len(first)]])].view(batch, length, d_model)


def run_expert(state, e, x):
    w = [state[f"experts.{e}.{name}.weight"].double() for name in ("w_gate", "w_up", "w_down")]
    return F.linear(F.silu(F.linear(x, w[0])) * F.linear(x, w[1]), w[2])


def mixture(state, x, k, expert=run_expert):
    """The oracle in float64: every expert sees every token, and its weight is 0 where it was not
    chosen. Differentiable in x and the state."""
    tokens = x.reshape(-1, x.shape[-1]).double()
    weights = routed64(F.linear(tokens, state["gate.weight"].double()), k)
    experts = range(weights.shape[1])
    return sum(weights[:, e, None] * expert(state, e, tokens) for e in experts).view(x.shape).to(x)


def routed64(scores, k):
    """(N, E) weights of N tokens: the softmax over each one's k best scores, else 0."""
    chosen = scores.detach().argsort(dim=-1, descending=True)[:, :k]
    weights = scores.gather(-1, chosen).softmax(-1)
    return torch.zeros_like(scores).scatter(-1, chosen, weights)


def new_layer(student, draw, d_model, d_ff, n_experts, k, dtype=torch.float32):
    """The student's layer with the judge's weights. -> (handle, state)"""
    layer = student.SparseMoE(d_model, d_ff, n_experts, k)
    if dtype is not torch.float32:
        layer = layer.to(dtype)
    state = random_state(draw, d_model, d_ff, n_experts, dtype)
    student.load_state(layer, state)
    return layer, state


@hidden(
    "SparseMoE",
    "sub-modules gate and experts, with the right parameters",
    core=True,
    hint="gate is nn.Linear(d_model, n_experts, bias=False); experts an nn.ModuleList of SwiGLU.",
)
def moe_structure(student, draw):
    layer = student.SparseMoE(d_model=6, d_ff=10, n_experts=4, k=2)
    if not student.isinstance(layer, "torch.nn:Module"):
        raise Fail("SparseMoE is not an nn.Module")
    if not student.isinstance(layer.gate, "torch.nn:Linear"):
        raise Fail("gate is not an nn.Linear")
    if not student.isinstance(layer.experts, "torch.nn:ModuleList"):
        raise Fail("experts is not an nn.ModuleList")
    parameters = student.parameters(layer)
    state = random_state(draw, 6, 10, 4)
    for name, value in state.items():
        if name not in parameters:
            raise Fail("a parameter is missing: one gate, and w_gate, w_up, w_down per expert")
        if parameters[name][0].shape != value.shape:
            raise Fail("a parameter has the wrong shape")
        if not parameters[name][1]:
            raise Fail("a parameter does not require gradient")
    if any(n.startswith(("gate.", "experts.")) and n not in state for n in parameters):
        raise Fail("too many parameters: no biases, and as many experts as asked for")


@hidden(
    "SparseMoE",
    "each token gets the weighted sum of its k experts",
    weight=4,
    core=True,
    hint="Weigh each expert's output with the weight of the slot in which it was chosen.",
)
def moe_values(student, draw):
    for d_model, d_ff, n_experts, k, batch, length in ((6, 10, 4, 2, 2, 5), (5, 3, 7, 3, 3, 4)):
        layer, state = new_layer(student, draw, d_model, d_ff, n_experts, k)
        x = clear_tokens(draw, state["gate.weight"], batch, length, k)
        check_close(layer(x), mixture(state, x, k), rtol=5e-4)


@hidden("SparseMoE", "k = 1 and k = E", hint="k is the number of slots, 1 and E included.")
def moe_ends(student, draw):
    for n_experts, k in ((5, 1), (3, 3)):
        layer, state = new_layer(student, draw, 6, 8, n_experts, k)
        x = clear_tokens(draw, state["gate.weight"], 2, 6, k)
        check_close(layer(x), mixture(state, x, k), rtol=5e-4)


@hidden(
    "SparseMoE",
    "experts that get no token",
    weight=2,
    hint="An expert may be called with zero rows, or not at all. One token alone must work.",
)
def moe_unused(student, draw):
    layer, state = new_layer(student, draw, 6, 9, 8, 2)
    for batch, length in ((1, 1), (4, 1)):
        x = clear_tokens(draw, state["gate.weight"], batch, length, 2)
        check_close(layer(x), mixture(state, x, 2), rtol=5e-4)
    # Many equal ones: no expert is full.
    x = clear_tokens(draw, state["gate.weight"], 1, 1, 2).expand(2, 100, 6).contiguous()
    check_close(layer(x), mixture(state, x, 2), rtol=5e-4)


@hidden(
    "SparseMoE",
    "an expert sees only the rows routed to it",
    weight=5,
    hint="Select the rows of an expert before you call it. Multiplying by zero is too late.",
)
def moe_sparse(student, draw):
    for k in (2, 3):
        moe_rows(student, draw, 5, k)


def moe_rows(student, draw, n_experts, k):
    d_model = 6
    layer, state = new_layer(student, draw, d_model, 8, n_experts, k)
    x = clear_tokens(draw, state["gate.weight"], 2, 4, k)
    # Repeated ones, to make the load uneven.
    crowd = torch.cat([x, x[:1, :1].expand(1, 4, d_model)])
    seen = {e: [] for e in range(n_experts)}
    slope = draw.uniform(1.0, 3.0, n_experts).double()

    def stand_in(e):
        def forward(rows):
            check_type(rows, torch.Tensor)
            seen[e].append(rows.detach().double().reshape(-1, d_model))
            return slope[e].to(rows.dtype) * rows + rows.sin()

        return forward

    # The experts now run here, so that what they are given cannot be hidden.
    experts = layer.experts
    for e in range(n_experts):
        student.set(experts, str(e), callback_module(stand_in(e)))
    # Trained, then in eval mode on one token alone: most experts are idle.
    for x in (crowd, crowd[:1, :1]):
        for rows in seen.values():
            rows.clear()
        try:
            got = layer(x)
        except StudentError as error:
            if "AttributeError" not in error.names:
                raise
            # It reads the experts' weights instead of calling them. Then an unused expert's
            # weights must not matter, not even as 0 * nan.
            return moe_poisoned(student, draw)
        check_close(got, mixture(state, x, k, lambda _, e, t: slope[e] * t + t.sin()), rtol=5e-4)
        check_rows(seen, x, state["gate.weight"], k)
        layer.eval()


def check_rows(seen, x, gate, k):
    """seen: expert -> what it was called on; it should be the rows of x that are routed to it."""
    d_model = x.shape[-1]
    rows = x.view(-1, d_model).double()
    weights = routed64(rows @ gate.double().T, k)
    wanted = [rows[weights[:, e] > 0] for e in seen]
    for e in seen:
        mine = torch.cat([torch.empty(0, d_model), *seen[e]]).double()
        if len(mine) > len(wanted[e]):
            raise Fail("an expert is given rows that were not routed to it")
        if len(mine) < len(wanted[e]):
            raise Fail("an expert is not given all rows routed to it")
        if len(mine):
            mine, want = (m[m[:, 0].argsort()] for m in (mine, wanted[e]))
            check_close(mine, want, what="the rows of an expert")


def moe_poisoned(student, draw):
    layer, state = new_layer(student, draw, 6, 8, 5, 2)
    x = clear_tokens(draw, state["gate.weight"], 1, 1, 2).expand(1, 4, 6).contiguous()
    used = routed64(x[0, :1].double() @ state["gate.weight"].double().T, 2)[0] > 0
    poison = {
        name: torch.full_like(value, math.nan)
        for name, value in state.items()
        if name.startswith("experts.") and not used[int(name.split(".")[1])]
    }
    student.load_state(layer, poison)
    cotangent = draw.normal(1, 4, 6)
    output, gradients = student.gradients(layer, (x,), cotangent=cotangent, wrt=(0,))
    leaf = x.clone().requires_grad_(True)
    want = mixture(state, leaf, 2)
    check_close(output, want.detach(), rtol=5e-4)
    want_gradient = torch.autograd.grad((want * cotangent).sum(), leaf)[0]
    check_close(gradients[0], want_gradient, rtol=1e-3, what="gradient of x")


@hidden(
    "SparseMoE",
    "gradients of the router, the experts and the input",
    weight=4,
    hint="The router learns through the weights: do not detach them, do not use no_grad.",
)
def moe_gradients(student, draw):
    layer, state = new_layer(student, draw, 5, 7, 4, 2)
    x = clear_tokens(draw, state["gate.weight"], 2, 4, 2)
    cotangent = draw.normal(2, 4, 5)
    output, got = student.gradients(layer, (x,), cotangent=cotangent, wrt=(0,))
    leaves = {name: value.clone().requires_grad_(True) for name, value in state.items()}
    leaf = x.clone().requires_grad_(True)
    want_output = mixture(leaves, leaf, 2)
    check_close(output, want_output.detach(), rtol=5e-4)
    inputs = [leaf, *leaves.values()]
    gradients = torch.autograd.grad(
        (want_output * cotangent).sum(), inputs, allow_unused=True, materialize_grads=True
    )
    for name, want in zip([0, *leaves], gradients, strict=True):
        value = got.get(name)
        what = "the input" if name == 0 else "the router" if name == "gate.weight" else "an expert"
        if value is None and bool(want.abs().max() > 0):
            raise Fail(f"no gradient reaches {what}")
        if value is not None:
            check_close(value, want, rtol=1e-3, what=f"gradient of {what}")


@hidden(
    "SparseMoE",
    "the dtype is kept",
    hint="The weights of route are float32: convert them to the dtype of x.",
)
def moe_dtype(student, draw):
    for dtype, rtol in ((torch.float64, 1e-5), (torch.bfloat16, 6e-2)):
        layer, state = new_layer(student, draw, 6, 8, 4, 2, dtype)
        x = clear_tokens(draw, state["gate.weight"], 2, 5, 2, margin=0.5, dtype=dtype)
        check_close(layer(x), mixture(state, x, 2), rtol=rtol)


@hidden(
    "SparseMoE",
    "the input is not modified and nothing is remembered",
    hint="Same input, same output, in train and eval mode; x stays as it was.",
)
def moe_stateless(student, draw):
    layer, state = new_layer(student, draw, 6, 8, 5, 2)
    x, *others = (clear_tokens(draw, state["gate.weight"], 2, n, 2) for n in (5, 5, 3))
    want, kept = mixture(state, x, 2), student.put(x)
    student.SparseMoE(6, 8, 5, 3)  # another one, with its own k
    for again in range(3):
        check_close(layer(kept), want, rtol=5e-4)
        if again == 0:
            if not torch.equal(student.value(kept), x):
                raise Fail("the input is modified")
            for other in others:  # one of the same shape
                check_close(layer(other), mixture(state, other, 2), rtol=5e-4)
            layer.eval()


# ---------------------------------------------------------------- moe_param_counts


def parameter_counts(c):
    """(total, active) from the list of a model's matrices."""
    q_size, kv_size = c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim
    shared = [c.vocab_size * c.hidden_size] * (1 if c.tied_embeddings else 2) + [c.hidden_size]
    layer = [c.hidden_size * size for size in (q_size, q_size, kv_size, kv_size, 1, 1)]
    if c.attention_bias:
        layer += [q_size, kv_size, kv_size]
    if c.n_experts > 1:
        layer += [c.n_experts * c.hidden_size]
    expert = 3 * c.hidden_size * c.d_ff
    return tuple(
        sum(shared) + c.n_layers * (sum(layer) + n * expert)
        for n in (c.n_experts, c.experts_per_token)
    )


def random_config(draw, **fixed):
    """Sizes that have nothing to do with each other: heads * head_dim is not hidden_size."""
    n_kv = draw.integers(2, 5)
    sizes = {
        "hidden_size": draw.integers(30, 90),
        "n_layers": draw.integers(2, 9),
        "n_heads": n_kv * draw.integers(2, 5),
        "n_kv_heads": n_kv,
        "head_dim": draw.choice([8, 16, 24]),
        "d_ff": draw.integers(100, 300),
        "vocab_size": draw.integers(500, 900),
    }
    return ModelConfig(**(sizes | fixed))


def check_counts(student, config, position=None):
    got = student.moe_param_counts(config)
    check_type(got, (tuple, list))
    if len(got) != 2:
        raise Fail("expected (total, active)")
    want = parameter_counts(config)
    for i, name in enumerate(("total", "active")):
        if position in (None, i):
            check_close(got[i], want[i], what=name)


@hidden(
    "moe_param_counts",
    "a dense model",
    weight=2,
    core=True,
    hint="Two embeddings, q, k, v, o, three FFN matrices, two norms a layer, a final norm; no "
    "router.",
)
def counts_dense(student, draw):
    for config in (random_config(draw, hidden_size=64, n_heads=8, head_dim=8, n_kv_heads=2),):
        check_counts(student, config, position=0)


@hidden(
    "moe_param_counts",
    "a head size that is not hidden_size / n_heads",
    weight=2,
    hint="q and o have n_heads × head_dim rows or columns; do not replace it by hidden_size.",
)
def counts_heads(student, draw):
    for _ in range(3):
        check_counts(student, random_config(draw))


@hidden(
    "moe_param_counts",
    "total of a mixture of experts",
    weight=2,
    hint="Every expert counts, and one router a layer.",
)
def counts_total(student, draw):
    for k in (1, 2, 3):
        config = random_config(draw, n_experts=draw.integers(3, 9), experts_per_token=k)
        check_counts(student, config, position=0)


@hidden(
    "moe_param_counts",
    "active parameters of a mixture of experts",
    weight=2,
    hint="Of the experts only k; everything else in full, the router and the embeddings too.",
)
def counts_active(student, draw):
    for k in (1, 2, 3):
        config = random_config(draw, n_experts=draw.integers(4, 9), experts_per_token=k)
        check_counts(student, config, position=1)
    held = student.put(config)
    first = student.moe_param_counts(held)
    check_equal(student.moe_param_counts(held), first, "a second call with the same config")


@hidden("moe_param_counts", "tied embeddings", hint="Tied: one matrix, counted once.")
def counts_tied(student, draw):
    check_counts(student, random_config(draw, tied_embeddings=True))
    mixed = {"n_experts": 4, "experts_per_token": 2, "tied_embeddings": True}
    check_counts(student, random_config(draw, **mixed))


@hidden("moe_param_counts", "biases of q, k and v", hint="One number per output; o has none.")
def counts_bias(student, draw):
    check_counts(student, random_config(draw, attention_bias=True))
    check_counts(student, random_config(draw, attention_bias=True, n_experts=3))


@hidden(
    "moe_param_counts",
    "the real models, exactly",
    weight=2,
    hint="Compare with REAL_CONFIGS and the figures of the model cards; ints only.",
)
def counts_real(student, draw):
    for config in REAL_CONFIGS.values():
        check_counts(student, config)
    huge = {"hidden_size": 2 * draw.integers(10**5, 10**6) + 1, "n_layers": 1001}
    huge |= {"d_ff": 2 * draw.integers(10**6, 10**7) + 1, "n_experts": 4097}
    check_counts(student, random_config(draw, experts_per_token=7, **huge))


# ---------------------------------------------------------------- expected_experts


def touched(n_experts, k, n_tokens):
    return n_experts * -math.expm1(n_tokens * math.log1p(-k / n_experts))


@hidden(
    "expected_experts",
    "the expected number of distinct experts",
    weight=4,
    core=True,
    hint="A token misses a given expert with probability 1 - k/E.",
)
def experts_formula(student, draw):
    for _ in range(6):
        n_experts = draw.integers(4, 65)
        k, n_tokens = draw.integers(2, n_experts - 1), draw.integers(2, 12)
        check_close(
            student.expected_experts(n_experts, k, n_tokens), touched(n_experts, k, n_tokens)
        )
    n_experts, k, n_tokens = draw.integers(30, 65), draw.integers(3, 6), draw.integers(17, 25)
    for times in (1, 2):  # the same share of the experts
        arguments = (times * n_experts, times * k, n_tokens)
        check_close(student.expected_experts(*arguments), touched(*arguments))


@hidden("expected_experts", "no token, and one token", hint="None touches 0, one touches k.")
def experts_few(student, draw):
    n_experts = draw.integers(4, 65)
    k = draw.integers(1, n_experts)
    for own in ((n_experts, k), (n_experts, n_experts), (1, 1)):
        check_close(student.expected_experts(*own, 0), 0.0, atol=1e-9)
    check_close(student.expected_experts(n_experts, k, 1), float(k))


@hidden(
    "expected_experts",
    "k = E, a single expert, very many tokens, many experts",
    hint="The limit is E. With many experts 1 - k/E is close to 1: Python's floats are exact "
    "enough, float32 is not, and factorials overflow.",
)
def experts_all(student, draw):
    n_experts = draw.integers(2, 65)
    for arguments in ((256, 8, draw.integers(2, 40)), (draw.integers(300, 600), 10, 25)):
        check_close(student.expected_experts(*arguments), touched(*arguments))
    check_close(student.expected_experts(100_000, 2, 1), 2.0)
    for arguments in ((n_experts, n_experts, 3), (n_experts, 1, 10**6), (1, 1, 5)):
        check_close(student.expected_experts(*arguments), float(arguments[0]))


@hidden("expected_experts", "the result is a float", hint="A float, also when it is whole.")
def experts_type(student, draw):
    for arguments in ((8, 8, 4), (draw.integers(5, 20), 3, 7), (6, 2, 0)):
        check_type(student.expected_experts(*arguments), float)


# ---------------------------------------------------------------- load_balancing_loss


def balance(logits, k):
    """The oracle in float64, differentiable through the probabilities."""
    n_tokens, n_experts = logits.shape
    probabilities = logits.double().softmax(-1)
    best = logits.detach().double().argsort(dim=-1, descending=True)[:, :k]
    share = torch.bincount(best.flatten(), minlength=n_experts).double() / n_tokens
    return n_experts * (share @ probabilities.mean(0))


def uneven(draw, n_tokens, n_experts, k, scale=1.0):
    """(N, E) logits whose loss is above k, as it is nearly always."""
    logits = torch.zeros(n_tokens, n_experts)
    while balance(logits, k) < 1.01 * k:
        logits = scale * draw.normal(n_tokens, n_experts)
    return logits


def check_balance(got, logits, k, rtol=1e-4):
    check_type(got, torch.Tensor)
    check_close(got, balance(logits, k).float(), rtol=rtol, dtype=False)


@hidden(
    "load_balancing_loss",
    "E times the sum of share × mean probability",
    weight=3,
    core=True,
    hint="Shares are counts divided by the number of tokens; probabilities over all experts.",
)
def balance_values(student, draw):
    for n_tokens, n_experts, k in ((9, 5, 2), (20, 8, 3), (6, 11, 4)):
        logits = uneven(draw, n_tokens, n_experts, k, 2.0)
        check_balance(student.load_balancing_loss(logits, k), logits, k)


@hidden("load_balancing_loss", "uniform routing gives k", hint="The shares sum to k, not to 1.")
def balance_uniform(student, draw):
    n_experts = draw.integers(4, 9)
    base = 1e-3 * torch.arange(n_experts).float()
    logits = torch.stack([base.roll(shift) for shift in range(n_experts)])
    for k in (1, 2, 3):
        check_balance(student.load_balancing_loss(logits, k), logits, k)


@hidden(
    "load_balancing_loss",
    "the loss can be less than k",
    hint="k is what uniform routing gives, no bound. Do not clamp the loss.",
)
def balance_below(student, draw):
    # Most tokens prefer one of two experts a little, the others are sure of the other one.
    logits = torch.tensor([[0.1, 0.0]] * 6 + [[0.0, 9.0]] * 2) + draw.normal(8, 1)
    check_balance(student.load_balancing_loss(logits, 1), logits, 1)


@hidden(
    "load_balancing_loss",
    "hundreds of tokens for one expert, in 16 bits too",
    hint="Count in int64: 8 bits end at 127, and in bfloat16 256 + 1 is 256.",
)
def balance_many(student, draw):
    for dtype, rtol in ((torch.float32, 1e-4), (torch.bfloat16, 3e-2)):
        logits = clear_logits(draw, 700, 5, dtype)
        logits[:, draw.integers(0, 5)] += 2.125
        check_balance(student.load_balancing_loss(logits, 2), logits, 2, rtol=rtol)


@hidden("load_balancing_loss", "collapsed routing", hint="All tokens on the same k experts.")
def balance_collapsed(student, draw):
    for k in (1, 2):
        row = 30 * (torch.randperm(6, generator=draw.generator) >= 6 - k) + 0.1 * draw.normal(6)
        logits = row.expand(10, 6).contiguous()
        check_balance(student.load_balancing_loss(logits, k), logits, k)


@hidden("load_balancing_loss", "k = 1, k = E, one token", hint="No case needs code of its own.")
def balance_ends(student, draw):
    every = draw.normal(7, 4)  # k = E: the loss is k whatever the logits are
    for logits, k in ((uneven(draw, 8, 5, 1), 1), (every, 4), (uneven(draw, 1, 6, 2), 2)):
        check_balance(student.load_balancing_loss(logits, k), logits, k)


@hidden(
    "load_balancing_loss",
    "the gradient flows through the probabilities, not through the counts",
    weight=3,
    hint="Counts are whole numbers without gradient; do not detach the probabilities.",
)
def balance_gradient(student, draw):
    for k in (1, 3):
        logits = uneven(draw, 9, 6, k)
        output, gradients = student.gradients("load_balancing_loss", (logits, k), wrt=(0,))
        check_balance(output, logits, k)
        if gradients[0] is None:
            raise Fail("no gradient reaches the logits")
        leaf = logits.clone().requires_grad_(True)
        want = torch.autograd.grad(balance(leaf, k), leaf)[0]
        check_close(gradients[0], want, rtol=1e-3, what="gradient")


@hidden(
    "load_balancing_loss",
    "large logits, and double precision",
    hint="Use softmax, which subtracts the largest first; exp overflows.",
)
def balance_numbers(student, draw):
    logits = uneven(draw, 8, 5, 2, 3.0) + draw.choice([-300.0, 300.0])
    check_balance(student.load_balancing_loss(logits, 2), logits, 2, rtol=1e-3)
    wide = uneven(draw, 8, 5, 2).double()
    check_balance(student.load_balancing_loss(wide, 2), wide, 2)


@hidden("load_balancing_loss", "the logits are not modified", hint="No in-place operation.")
def balance_unmodified(student, draw):
    for dtype in (torch.float32, torch.float64):
        logits = uneven(draw, 10, 6, 2).to(dtype)
        kept = student.put(logits)
        for _ in range(2):
            check_balance(student.load_balancing_loss(kept, 2), logits, 2)
        if not torch.equal(student.value(kept), logits):
            raise Fail("the logits are modified")
