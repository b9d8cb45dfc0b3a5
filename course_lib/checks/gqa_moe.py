"""Visible checks of 01_gqa_moe. The oracles are slow loops over every index, easy to believe."""

import itertools
import math

import torch
import torch.nn.functional as F

from course_lib.checking import Case, visible
from course_lib.configs import REAL_CONFIGS, ModelConfig


def _rng(seed):
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- repeat_kv


@visible("repeat_kv")
def repeat_kv_cases(repeat_kv):
    x = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    yield Case(
        "two kv heads, two query heads each: A A B B",
        call="repeat_kv(x, 2)   # x (1, 2, 1, 1): head 0 holds 1., head 1 holds 2.",
        got=lambda: repeat_kv(x, 2),
        expected=torch.tensor([1.0, 1.0, 2.0, 2.0]).view(1, 4, 1, 1),
        mistakes=[
            (
                "your result equals the heads tiled (A B A B): "
                "query head h must use kv head h // n_rep",
                x.repeat(1, 2, 1, 1),
            )
        ],
        hint=2,
        unchanged=(x,),
    )
    y = torch.randn(2, 3, 4, 5, generator=_rng(0))
    want = torch.stack([y[:, h // 4] for h in range(12)], dim=1)
    yield Case(
        "shape (2, 3, 4, 5), four query heads for each kv head",
        call="repeat_kv(y, 4)   # y (2, 3, 4, 5)",
        got=lambda: repeat_kv(y, 4),
        expected=want,
        mistakes=[
            ("your result equals the heads tiled (A B C A B C …)", y.repeat(1, 4, 1, 1)),
            (
                "you repeated along the positions (axis 2), not along the heads (axis 1)",
                y.repeat_interleave(4, dim=2),
            ),
            ("you repeated along the batch (axis 0)", y.repeat_interleave(4, dim=0)),
        ],
        hint=3,
        unchanged=(y,),
    )
    yield Case(
        "n_rep = 1 changes nothing",
        call="repeat_kv(y, 1)",
        got=lambda: repeat_kv(y, 1),
        expected=y,
    )
    z = y.to(torch.bfloat16)
    yield Case(
        "the dtype is kept",
        call="repeat_kv(y.to(torch.bfloat16), 4)",
        got=lambda: repeat_kv(z, 4),
        expected=want.to(torch.bfloat16),
        mistakes=[("the dtype is kept; the heads are tiled, as above", z.repeat(1, 4, 1, 1))],
        hint=3,
    )


# ---------------------------------------------------------------- gqa_attention


def _attention(q, k, v, causal, *, scale=None, offset=None, kv_head=None):
    """Attention one query at a time; the keyword arguments make the known mistakes."""
    batch, n_heads, n_queries, size = q.shape
    n_kv, n_keys = k.shape[1:3]
    scale = size**-0.5 if scale is None else scale
    offset = n_keys - n_queries if offset is None else offset
    kv_head = kv_head or (lambda h: h // (n_heads // n_kv))
    out = torch.zeros_like(q)
    for b, h, i in itertools.product(range(batch), range(n_heads), range(n_queries)):
        seen = min(i + offset + 1, n_keys) if causal else n_keys
        if seen <= 0:  # a wrong mask that hides everything: what a large negative score gives
            out[b, h, i] = v[b, kv_head(h)].mean(0)
            continue
        keys, values = k[b, kv_head(h), :seen], v[b, kv_head(h), :seen]
        out[b, h, i] = torch.softmax(scale * (keys @ q[b, h, i]), 0) @ values
    return out


def _zero_masked_attention(q, k, v):
    """Causal attention with forbidden scores set to 0 instead of -inf."""
    n = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(n, 1).mT / math.sqrt(q.shape[-1])
    return scores.tril(k.shape[2] - q.shape[2]).softmax(-1) @ v.repeat_interleave(n, 1)


def _unnormalised_attention(q, k, v):
    """Causal attention with weights multiplied by the mask after the softmax."""
    n = q.shape[1] // k.shape[1]
    scores = q @ k.repeat_interleave(n, 1).mT / math.sqrt(q.shape[-1])
    return scores.softmax(-1).tril(k.shape[2] - q.shape[2]) @ v.repeat_interleave(n, 1)


def _qkv(seed, batch, n_heads, n_kv, n_queries, n_keys, size):
    rng = _rng(seed)
    q = torch.randn(batch, n_heads, n_queries, size, generator=rng)
    k, v = (torch.randn(batch, n_kv, n_keys, size, generator=rng) for _ in range(2))
    return q, k, v


def _attention_mistakes(q, k, v, causal):
    n_kv, width = k.shape[1], q.shape[1] * q.shape[3]
    listed = [
        (
            "the scale is missing: divide the scores by sqrt(D)",
            lambda: _attention(q, k, v, causal, scale=1.0),
        ),
        (
            "you divide by D, not by the square root of D",
            lambda: _attention(q, k, v, causal, scale=1 / q.shape[3]),
        ),
        (
            "you scale by the width of all heads together: D is the size of one head",
            lambda: _attention(q, k, v, causal, scale=width**-0.5),
        ),
        (
            "your result equals attention with the heads tiled: "
            "query head h must use kv head h // n_rep",
            lambda: _attention(q, k, v, causal, kv_head=lambda h: h % n_kv),
        ),
        (
            "you multiply the scores by sqrt(D): divide",
            lambda: _attention(q, k, v, causal, scale=q.shape[3] ** 0.5),
        ),
        (
            "keys and values are swapped",
            lambda: _attention(q, v, k, causal),
        ),
    ]
    if causal:
        listed += [
            (
                "your mask starts in the top left corner: the queries are the LAST Tq positions, "
                "so query i sees the keys up to Tk - Tq + i",
                lambda: _attention(q, k, v, True, offset=0),
            ),
            (
                "your result is attention without a mask: with causal=True a query must not see "
                "later keys",
                lambda: _attention(q, k, v, False),
            ),
            (
                "forbidden scores are 0 before the softmax, and e^0 = 1 still counts: use -inf",
                lambda: _zero_masked_attention(q, k, v),
            ),
            (
                "you mask after the softmax, so the weights of a row no longer sum to 1: "
                "mask the scores with -inf before it",
                lambda: _unnormalised_attention(q, k, v),
            ),
        ]
        if q.shape[2] > 1:  # with one query there is no own key to miss
            listed.append(
                (
                    "a query must see its own position too: j <= Tk - Tq + i, not <",
                    lambda: _attention(q, k, v, True, offset=k.shape[2] - q.shape[2] - 1),
                )
            )
    return listed


@visible("gqa_attention")
def gqa_attention_cases(gqa_attention):
    q, k, v = _qkv(1, 2, 4, 2, 3, 3, 6)
    yield Case(
        "without a mask",
        call="gqa_attention(q, k, v, causal=False)   # q (2, 4, 3, 6), k and v (2, 2, 3, 6)",
        got=lambda: gqa_attention(q, k, v, causal=False),
        expected=_attention(q, k, v, False),
        mistakes=[
            *_attention_mistakes(q, k, v, False),
            ("you applied the causal mask although causal=False", _attention(q, k, v, True)),
        ],
        unchanged=(q, k, v),
    )
    yield Case(
        "a whole text: as many queries as keys, causal",
        call="gqa_attention(q, k, v)",
        got=lambda: gqa_attention(q, k, v),
        expected=_attention(q, k, v, True),
        mistakes=_attention_mistakes(q, k, v, True)[:-1],
        hint=2,
        unchanged=(q, k, v),
    )
    q1, k1, v1 = _qkv(2, 1, 6, 2, 2, 5, 4)
    yield Case(
        "two new tokens after three in the cache",
        call="gqa_attention(q, k, v)   # q (1, 6, 2, 4), k and v (1, 2, 5, 4)",
        got=lambda: gqa_attention(q1, k1, v1),
        expected=_attention(q1, k1, v1, True),
        mistakes=_attention_mistakes(q1, k1, v1, True),
        hint=2,
    )
    q2, k2, v2 = _qkv(3, 2, 4, 1, 1, 7, 4)
    yield Case(
        "one new token sees the whole cache (multi-query: one kv head)",
        call="gqa_attention(q, k, v)   # q (2, 4, 1, 4), k and v (2, 1, 7, 4)",
        got=lambda: gqa_attention(q2, k2, v2),
        expected=_attention(q2, k2, v2, False),
        mistakes=[m for m in _attention_mistakes(q2, k2, v2, True) if "without a mask" not in m[0]],
        hint=2,
    )
    q3, k3, v3 = _qkv(4, 1, 3, 3, 4, 4, 5)
    yield Case(
        "as many kv heads as query heads (multi-head)",
        call="gqa_attention(q, k, v)   # q, k and v (1, 3, 4, 5)",
        got=lambda: gqa_attention(q3, k3, v3),
        expected=_attention(q3, k3, v3, True),
        mistakes=_attention_mistakes(q3, k3, v3, True),
        hint=3,
    )

    def without_gradient():
        leaves = {n: x.clone().requires_grad_(True) for n, x in zip("qkv", (q, k, v), strict=True)}
        out = gqa_attention(*leaves.values())
        if not out.requires_grad:
            return list(leaves)
        gradients = torch.autograd.grad(out.sum(), list(leaves.values()), allow_unused=True)
        return [n for n, g in zip(leaves, gradients, strict=True) if g is None]

    yield Case(
        "gradient reaches q, k and v",
        call="gqa_attention(q, k, v).sum().backward()",
        got=without_gradient,
        verify=lambda names: f"no gradient reaches {', '.join(names)}" if names else None,
        hint=3,
    )
    low = [x.to(torch.bfloat16) for x in (q, k, v)]
    yield Case(
        "the dtype is kept",
        call="gqa_attention(q, k, v)   # all bfloat16",
        got=lambda: gqa_attention(*low),
        verify=lambda out: (
            None
            if out.dtype == torch.bfloat16
            else f"the result should be bfloat16, not {out.dtype}"
        ),
        hint=3,
    )
    yield Case(
        "6 query heads cannot share 4 kv heads",
        call="gqa_attention(q, k, v)   # q (1, 6, 2, 4), k and v (1, 4, 2, 4)",
        got=lambda: gqa_attention(*_qkv(5, 1, 6, 4, 2, 2, 4)),
        raises=ValueError,
        hint=3,
    )


# ---------------------------------------------------------------- kv_cache_bytes


@visible("kv_cache_bytes")
def kv_cache_bytes_cases(kv_cache_bytes):
    yield Case(
        "the example by hand: 96 bytes",
        call="kv_cache_bytes(n_layers=1, n_kv_heads=2, head_dim=4, batch=1, seq_len=3)",
        got=lambda: kv_cache_bytes(n_layers=1, n_kv_heads=2, head_dim=4, batch=1, seq_len=3),
        expected=96,
        mistakes=[
            (
                "half of it: either the values are missing (keys AND values are kept), "
                "or the 2 bytes of each number",
                48,
            ),
            ("a quarter of it: both the values and the bytes per number are missing", 24),
            ("twice of it: are the bytes counted twice, or is the default not 2?", 192),
        ],
        hint=1,
    )
    yield Case(
        "one token of Llama-3-8B",
        call="kv_cache_bytes(32, 8, 128, 1, 1)",
        got=lambda: kv_cache_bytes(32, 8, 128, 1, 1),
        expected=131072,
        mistakes=[
            ("half of it: you counted keys only, or forgot the 2 bytes of an element", 65536),
            ("a quarter of it: you forgot both the values and the bytes per element", 32768),
            ("one layer only", 4096),
        ],
        hint=2,
    )
    yield Case(
        "float32, a batch of 4 and 100 tokens",
        call="kv_cache_bytes(3, 2, 8, 4, 100, bytes_per_element=4)",
        got=lambda: kv_cache_bytes(3, 2, 8, 4, 100, bytes_per_element=4),
        expected=153600,
        mistakes=[
            ("bytes_per_element is ignored: 2 is only its default", 76800),
            ("the batch is missing", 38400),
            ("the sequence length is missing", 1536),
        ],
        hint=2,
    )
    yield Case(
        "exact for very large counts",
        call="kv_cache_bytes(126, 8, 128, 10**9 + 7, 10**9 + 9)",
        got=lambda: kv_cache_bytes(126, 8, 128, 10**9 + 7, 10**9 + 9),
        expected=2 * 126 * 8 * 128 * (10**9 + 7) * (10**9 + 9) * 2,
        hint=3,
    )


# ---------------------------------------------------------------- route


def _routed(logits, k):
    """Weights placed at their experts, (N, E), from loops: the order within a row plays no part."""
    table = torch.zeros(logits.shape)
    for n, row in enumerate(logits.tolist()):
        best = sorted(range(len(row)), key=lambda e: -row[e])[:k]
        total = sum(math.exp(row[e] - row[best[0]]) for e in best)
        for e in best:
            table[n, e] = math.exp(row[e] - row[best[0]]) / total
    return table


def _route_problem(result, logits, k):
    """What is wrong with (weights, indices), or None."""
    if not isinstance(result, tuple | list) or len(result) != 2:
        return "return two tensors: weights, indices"
    weights, indices = result
    if not isinstance(weights, torch.Tensor) or not isinstance(indices, torch.Tensor):
        return "weights and indices must both be tensors"
    shape = (len(logits), k)
    if not weights.is_floating_point() and indices.is_floating_point():
        return "the order is (weights, indices): yours are swapped"
    for name, tensor in [("weights", weights), ("indices", indices)]:
        if tensor.shape != shape:
            return f"{name} should have shape {shape}, yours {tuple(tensor.shape)}"
    if weights.dtype != torch.float32:
        return f"weights should be float32, yours are {weights.dtype}"
    if indices.dtype != torch.int64:
        return f"indices should be int64, yours are {indices.dtype}"
    if indices.min() < 0 or indices.max() >= logits.shape[1]:
        return "an index is not the number of an expert"
    want = _routed(logits, k)
    chosen = want > 0
    mine = torch.zeros_like(chosen).scatter(1, indices, True)
    if not torch.equal(mine, chosen):
        if torch.equal(mine, _routed(-logits.float(), k) > 0):
            return "you chose the experts with the SMALLEST logits"
        return "the chosen experts are not the k with the largest logits"
    got = torch.zeros(logits.shape).scatter(1, indices, weights.detach().float())

    def close(other):
        return torch.allclose(got, other, rtol=1e-4, atol=1e-5)

    if not close(want):
        everything = logits.float().softmax(-1)
        if close(everything * chosen):
            return (
                "softmax over all experts, then top-k: the first row sums to "
                f"{got[0].sum():.2f}, not to 1. Softmax over the chosen k only"
            )
        if close((everything * chosen).masked_fill(~chosen, -torch.inf).softmax(-1)):
            return "you applied the softmax twice"
        if close(logits.float() * chosen):
            return "these are the logits of the chosen experts: the softmax is missing"
        if close(chosen / k):
            return "all weights are equal: the logits of the chosen experts should decide"
        if torch.allclose(got.sum(0), chosen.any(0).float(), atol=1e-3):
            return "the weights sum to 1 over the tokens: the softmax belongs on the last axis"
        paired = torch.zeros(logits.shape).scatter(1, indices.flip(1), weights.detach().float())
        if torch.allclose(paired, want, rtol=1e-4, atol=1e-5):
            return "weights and indices are in different orders"
        if torch.allclose(got, want, rtol=3e-2):
            return (
                "the weights are imprecise: convert the logits to float32 BEFORE the softmax, "
                "not the weights after it"
            )
        return "the experts are right, their weights are not"
    return None


@visible("route")
def route_cases(route):
    hand = torch.tensor([[0.0, math.log(3.0), -5.0, math.log(6.0)]])
    hand_kept = hand.clone()  # a wrong answer may write into its argument
    yield Case(
        "the example by hand: experts 3 and 1 with 6/9 and 3/9",
        call="route(torch.tensor([[0, log 3, -5, log 6]]), 2)",
        got=lambda: route(hand, 2),
        verify=lambda result: _route_problem(result, hand_kept, 2),
        hint=2,
        unchanged=(hand,),
    )
    logits = 2 * torch.randn(5, 6, generator=_rng(0))
    logits_kept = logits.clone()
    for k, title in [(3, "three of six"), (1, "k = 1: the weight is 1"), (6, "k = E: all of them")]:
        yield Case(
            f"five tokens, {title}",
            call=f"route(logits, {k})   # logits (5, 6)",
            got=lambda k=k: route(logits, k),
            verify=lambda result, k=k: _route_problem(result, logits_kept, k),
            hint=3,
            unchanged=(logits,),
        )

    def learns():
        leaf = logits.clone().requires_grad_(True)
        weights = route(leaf, 3)[0]
        return weights.requires_grad

    yield Case(
        "the weights carry gradient back to the logits",
        call="route(logits, 3)[0].requires_grad   # logits.requires_grad is True",
        got=learns,
        expected=True,
        mistakes=[("the gradient is cut: no detach, no new tensor made from numbers", False)],
        hint=3,
    )
    low = torch.tensor([[0.5, -1.25, 3.0, 2.0]], dtype=torch.bfloat16)
    yield Case(
        "bfloat16 logits give float32 weights",
        call="route(logits, 2)   # logits (1, 4) bfloat16",
        got=lambda: route(low, 2),
        verify=lambda result: _route_problem(result, low, 2),
        hint=3,
    )


# ---------------------------------------------------------------- SparseMoE


def _moe_parts(layer):
    """The weights of a layer, each expert as three matrices."""
    names = ("w_gate", "w_up", "w_down")
    experts = [[getattr(e, n).weight.detach() for n in names] for e in layer.experts]
    return layer.gate.weight.detach(), experts


def _moe(layer, x, k, *, weigh="after", slots=None):
    """The layer's output token by token; `weigh` and `slots` make the known mistakes."""
    gate, experts = _moe_parts(layer)
    out = torch.zeros_like(x)
    for b, t in itertools.product(range(x.shape[0]), range(x.shape[1])):
        token = x[b, t]
        scores = [float(gate[e] @ token) for e in range(len(experts))]
        best = sorted(range(len(experts)), key=lambda e: -scores[e])[:k]
        top = max(scores)
        pool = range(len(experts)) if weigh == "all" else best
        total = sum(math.exp(scores[e] - top) for e in pool)
        for e in best[: slots or k]:
            w_gate, w_up, w_down = experts[e]
            weight = math.exp(scores[best[0] if weigh == "first" else e] - top) / total
            given = weight * token if weigh == "before" else token
            y = w_down @ (F.silu(w_gate @ given) * (w_up @ given))
            out[b, t] += y if weigh in ("before", "none") else weight * y
    return out


def _structure_problem(layer, d_model, d_ff, n_experts):
    """What is wrong with the sub-modules, or None."""
    from course_lib.layers import SwiGLU

    if not isinstance(layer, torch.nn.Module):
        return "SparseMoE should be an nn.Module"
    for name in ("gate", "experts"):
        if not hasattr(layer, name):
            return f"the layer has no sub-module called {name}"
    if not isinstance(layer.gate, torch.nn.Linear):
        return "gate should be an nn.Linear"
    if layer.gate.bias is not None:
        return "gate should have no bias: nn.Linear(…, bias=False)"
    if layer.gate.weight.shape != (n_experts, d_model):
        shape = tuple(layer.gate.weight.shape)
        return f"gate.weight should be {(n_experts, d_model)}, one row an expert; yours is {shape}"
    if not isinstance(layer.experts, torch.nn.ModuleList):
        return "experts should be an nn.ModuleList: a plain list hides their parameters"
    if len(layer.experts) != n_experts:
        return f"experts should hold {n_experts} experts, yours holds {len(layer.experts)}"
    if len({id(e) for e in layer.experts}) < n_experts:
        return "the same expert stands in the list several times: build one for each place"
    for expert in layer.experts:
        if not isinstance(expert, SwiGLU):
            return "each expert should be a SwiGLU(d_model, d_ff)"
        if expert.w_gate.weight.shape != (d_ff, d_model):
            return "SwiGLU takes (d_model, d_ff): the sizes of yours are different"
    return None


def _filled(layer, seed):
    """The layer with weights that are large enough to show every mistake."""
    rng = _rng(seed)
    with torch.no_grad():
        for _, parameter in sorted(layer.named_parameters()):
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=rng))
    return layer


def _moe_mistakes(layer, x, k):
    mistakes = [
        ("the weights are missing: multiply each expert's output by its weight",
         lambda: _moe(layer, x, k, weigh="none")),
        ("you weigh the input of the expert: weigh its output",
         lambda: _moe(layer, x, k, weigh="before")),
        ("the weights come from a softmax over all experts: softmax over the chosen k",
         lambda: _moe(layer, x, k, weigh="all")),
        ("only the best expert of each token contributes: add up all k",
         lambda: _moe(layer, x, k, slots=1)),
        ("every expert is weighed with slot 0: use the slot in which the row chose it",
         lambda: _moe(layer, x, k, weigh="first")),
        ("x itself is added too: start from zeros, the residual is not part of this layer",
         lambda: x + _moe(layer, x, k)),
    ]  # fmt: skip
    # With k = 1 every weight is 1, and most of these are no mistakes.
    return mistakes if k > 1 else mistakes[-1:] + mistakes[2:3]


@visible("SparseMoE")
def sparse_moe_cases(SparseMoE):
    yield Case(
        "the sub-modules gate and experts",
        call="SparseMoE(d_model=6, d_ff=10, n_experts=4, k=2)",
        got=lambda: SparseMoE(6, 10, 4, 2),
        verify=lambda layer: _structure_problem(layer, 6, 10, 4),
        hint=3,
    )
    try:
        sound = _structure_problem(SparseMoE(6, 10, 4, 2), 6, 10, 4) is None
    except Exception:
        sound = False
    if not sound:
        return  # the case above has said why; nothing more can be computed

    rng = _rng(0)
    x = torch.randn(2, 5, 6, generator=rng)
    for k in (2, 1):
        layer = _filled(SparseMoE(6, 10, 4, k), 1)
        want = _moe(layer, x, k)
        given = x.clone()
        yield Case(
            f"the weighted sum of {k} of 4 experts",
            call=f"SparseMoE(6, 10, 4, {k})(x)   # x (2, 5, 6)",
            got=lambda layer=layer, given=given: layer(given).detach(),
            expected=want,
            mistakes=[
                *_moe_mistakes(layer, x, k),
                ("the rows are mixed up: add each output to the row it came from",
                 lambda want=want: want.reshape(5, 2, 6).transpose(0, 1)),
            ],
            hint=2,
            unchanged=(given,),
        )  # fmt: skip

    layer = _filled(SparseMoE(6, 10, 4, 2), 2)
    same = torch.randn(6, generator=rng).expand(1, 3, 6).clone()
    yield Case(
        "experts that get no token do not crash it",
        call="layer(x)   # three equal tokens, so two of the four experts get nothing",
        got=lambda: layer(same).detach(),
        expected=_moe(layer, same, 2),
        mistakes=_moe_mistakes(layer, same, 2),
        hint=2,
    )

    def rows_seen():
        """How many rows each expert was given."""
        counts = [0] * 4
        hooks = []
        for e, expert in enumerate(layer.experts):

            def count(module, args, e=e):
                counts[e] += args[0].numel() // 6

            hooks.append(expert.register_forward_pre_hook(count))
        try:
            layer(x)
        finally:
            for hook in hooks:
                hook.remove()
        return counts

    scores = x.reshape(-1, 6) @ layer.gate.weight.detach().T
    want_counts = [0] * 4
    for row in scores.tolist():
        for e in sorted(range(4), key=lambda e: -row[e])[:2]:
            want_counts[e] += 1

    def dispatch_problem(counts):
        if counts == [10] * 4:
            return "every expert ran on every token: that is a dense layer, and saves nothing"
        # An answer that reads the experts' weights in place of calling them cannot be watched.
        if counts not in (want_counts, [0] * 4):
            return f"{want_counts} rows were routed to the four experts"
        return None

    yield Case(
        "an expert sees only the rows routed to it",
        call="rows given to each of the 4 experts, for x (2, 5, 6) and k = 2",
        got=rows_seen,
        verify=dispatch_problem,
        hint=2,
    )

    def router_gradient():
        layer.zero_grad()
        (layer(x) ** 2).sum().backward()
        grad = layer.gate.weight.grad
        return grad is not None and bool(grad.abs().sum() > 0)

    yield Case(
        "the router receives gradient",
        call="layer(x).square().sum().backward();  layer.gate.weight.grad is not zero",
        got=router_gradient,
        expected=True,
        mistakes=[
            ("no gradient reaches gate.weight: do not detach the weights of route", False),
        ],
        hint=3,
    )
    double = _filled(SparseMoE(6, 10, 4, 2), 3).double()
    yield Case(
        "the dtype is kept",
        call="layer.double()(x.double())",
        got=lambda: double(x.double()).detach(),
        expected=_moe(double, x.double(), 2),
        hint=3,
    )
    low = _filled(SparseMoE(6, 10, 4, 2), 3).bfloat16()
    yield Case(
        "bfloat16 too",
        call="layer.bfloat16()(x.bfloat16()).dtype",
        got=lambda: str(low(x.bfloat16()).dtype),
        expected="torch.bfloat16",
        hint=3,
    )


# ---------------------------------------------------------------- moe_param_counts


@visible("moe_param_counts")
def moe_param_counts_cases(moe_param_counts):
    tiny = ModelConfig(4, 2, 2, 1, 3, 5, 10, n_experts=3, experts_per_token=2)
    attention, router, expert = 4 * 6 + 4 * 3 + 4 * 3 + 6 * 4, 4 * 3, 3 * 4 * 5
    shared = 10 * 4 + 10 * 4 + 4 + 2 * (attention + router + 2 * 4)  # both embeddings, last norm
    want = (shared + 2 * 3 * expert, shared + 2 * 2 * expert)
    yield Case(
        "a tiny model that you can count by hand",
        call="moe_param_counts(ModelConfig(hidden_size=4, n_layers=2, n_heads=2, n_kv_heads=1, "
        "head_dim=3, d_ff=5, vocab_size=10, n_experts=3, experts_per_token=2))",
        got=lambda: moe_param_counts(tiny),
        expected=want,
        mistakes=[
            (message, (want[0] + more[0], want[1] + more[-1]))
            for message, *more in [
                ("the router is missing", -24),
                ("the router counts in full for one token too: it scores all experts", 0, -8),
                ("the output matrix is missing: untied, there are two of vocab × hidden", -40),
                ("the final norm is missing", -4),
                ("each layer has two norms, not one", -8),
                ("the two norms of a layer are missing", -16),
                ("all norms are missing", -20),
                ("a norm has one vector of hidden_size, and no bias", 16),
                ("k and v have n_kv_heads × head_dim rows, not n_heads × head_dim", 48),
                ("n_heads × head_dim is 6 here, not hidden_size = 4: q and o are 4 × 6", -32),
                ("head_dim is 3 here, not hidden_size / n_heads", -48),
                ("there are biases only with attention_bias", 24),
                ("a SwiGLU has three matrices, not two", -120, -80),
                ("active counts the k chosen experts only", 0, 120),
                ("the experts count in every layer", -180, -120),
            ]
        ]
        + [("the order is (total, active)", want[::-1])],
        hint=2,
    )  # fmt: skip
    mixtral = (46702792704, 12879925248)
    yield Case(
        "Mixtral 8x7B",
        call='moe_param_counts(REAL_CONFIGS["Mixtral-8x7B"])',
        got=lambda: moe_param_counts(REAL_CONFIGS["Mixtral-8x7B"]),
        expected=mixtral,
        mistakes=[
            ("active includes the embedding of the input",
             (mixtral[0], mixtral[1] - 32000 * 4096)),
            ("the router is missing", tuple(n - 32 * 8 * 4096 for n in mixtral)),
            ("active includes the router", (mixtral[0], mixtral[1] - 32 * 8 * 4096)),
        ],
        hint=3,
    )  # fmt: skip
    llama = 8030261248
    yield Case(
        "Llama-3-8B is dense: no router, total = active",
        call='moe_param_counts(REAL_CONFIGS["Llama-3-8B"])',
        got=lambda: moe_param_counts(REAL_CONFIGS["Llama-3-8B"]),
        expected=(llama, llama),
        mistakes=[
            ("a dense model has no router", (llama + 32 * 4096, llama + 32 * 4096)),
        ],
        hint=3,
    )
    qwen = 1543714304
    biases = 28 * (1536 + 2 * 256)
    yield Case(
        "Qwen2.5-Math-1.5B: tied embeddings, biases on q, k and v",
        call='moe_param_counts(REAL_CONFIGS["Qwen2.5-Math-1.5B"])',
        got=lambda: moe_param_counts(REAL_CONFIGS["Qwen2.5-Math-1.5B"]),
        expected=(qwen, qwen),
        mistakes=[
            (message, (qwen + more, qwen + more))
            for message, more in [
                ("tied embeddings are one matrix, count it once", 151936 * 1536),
                ("with attention_bias q, k and v have biases", -biases),
                ("o has no bias", 28 * 1536),
                ("each bias counts once", biases),
                ("the bias of k and v has n_kv_heads × head_dim entries", 28 * 2 * (1536 - 256)),
            ]
        ],
        hint=3,
    )


# ---------------------------------------------------------------- expected_experts


def _expected_by_enumeration(n_experts, k, n_tokens):
    """The mean over every possible choice of every token."""
    choices = list(itertools.combinations(range(n_experts), k))
    sizes = [len(set().union(*draw)) for draw in itertools.product(choices, repeat=n_tokens)]
    return sum(sizes) / len(sizes)


@visible("expected_experts")
def expected_experts_cases(expected_experts):
    yield Case(
        "the example by hand: 1.5",
        call="expected_experts(2, 1, 2)",
        got=lambda: expected_experts(2, 1, 2),
        expected=1.5,
        mistakes=[
            ("that counts choices, not distinct experts: two tokens may agree", 2.0),
            ("that is the number of experts NOT touched", 0.5),
            ("that is the share of the experts: multiply by E", 0.75),
        ],
        hint=1,
    )
    yield Case(
        "one token touches exactly k",
        call="expected_experts(8, 2, 1)",
        got=lambda: expected_experts(8, 2, 1),
        expected=2.0,
        mistakes=[
            ("that is for one choice per token: each token chooses k experts", 1.0),
            ("a token chooses k DIFFERENT experts: its probability to miss one is 1 - k/E, "
             "not (1 - 1/E)^k", 8 * (1 - (7 / 8) ** 2)),
        ],
        hint=2,
    )  # fmt: skip
    yield Case(
        "three tokens, 2 of 4 experts: the mean over all 216 ways",
        call="expected_experts(4, 2, 3)",
        got=lambda: expected_experts(4, 2, 3),
        expected=_expected_by_enumeration(4, 2, 3),
        mistakes=[
            ("a token chooses k DIFFERENT experts: its probability to miss one is 1 - k/E, "
             "not (1 - 1/E)^k", 4 * (1 - (3 / 4) ** 6)),
            ("that is the number NOT touched", 4 * 0.5**3),
            ("that is the share of the experts: multiply by E", 1 - 0.5**3),
        ],
        hint=3,
    )  # fmt: skip
    yield Case(
        "no tokens touch no expert",
        call="expected_experts(8, 2, 0)",
        got=lambda: expected_experts(8, 2, 0),
        expected=0.0,
    )
    yield Case(
        "the result is a float",
        call="expected_experts(8, 8, 3)",
        got=lambda: expected_experts(8, 8, 3),
        verify=lambda x: (
            None if type(x) is float and x == 8 else "expected the float 8.0: all experts, always"
        ),
    )


# ---------------------------------------------------------------- load_balancing_loss


def _balance(logits, k):
    """(loss, shares, mean probabilities) from loops."""
    n_tokens, n_experts = logits.shape
    probabilities = [torch.softmax(row, 0) for row in logits]
    share = torch.zeros(n_experts)
    for row in logits.tolist():
        for e in sorted(range(n_experts), key=lambda e: -row[e])[:k]:
            share[e] += 1 / n_tokens
    mean = sum(probabilities) / n_tokens
    return n_experts * sum(f * p for f, p in zip(share, mean, strict=True)), share, mean


def _scalar_problem(loss):
    """What is wrong with the form of a loss, or None."""
    if not isinstance(loss, torch.Tensor):
        return f"return a tensor: training needs its gradient (yours is a {type(loss).__name__})"
    if loss.shape != ():
        return f"return a scalar, a tensor of shape (); yours has shape {tuple(loss.shape)}"
    return None


@visible("load_balancing_loss")
def load_balancing_loss_cases(load_balancing_loss):
    logits = torch.randn(7, 5, generator=_rng(0))
    want, share, mean = _balance(logits, 2)
    yield Case(
        "the result is a scalar tensor",
        call="load_balancing_loss(logits, 2)   # logits (7, 5)",
        got=lambda: load_balancing_loss(logits, 2),
        verify=_scalar_problem,
        hint=3,
    )
    even = 0.01 * torch.eye(4).repeat(2, 1)
    yield Case(
        "uniform routing with k = 1 gives 1",
        call="load_balancing_loss(logits, 1)   # 8 tokens, 2 for each of 4 experts",
        got=lambda: float(load_balancing_loss(even, 1)),
        expected=1.0,
        rtol=1e-3,
        mistakes=[
            ("the factor E is missing", 0.25),
            ("one factor E too many", 4.0),
            ("divide by the number of tokens: P is a mean and f a share", 8.0),
            ("f and P are both sums: divide each by the number of tokens", 64.0),
            ("apply the softmax: P are probabilities, not logits", 0.01),
            ("the softmax runs over the tokens: it belongs on the last axis", 0.5),
            ("do not subtract k: uniform routing gives k", 0.0),
        ],
        hint=2,
    )
    one = torch.tensor([[20.0, 0.0, -1.0, -2.0]]).repeat(6, 1)
    smallest = float(4 * one[0].softmax(0)[3])
    yield Case(
        "all tokens on one expert with k = 1 give E",
        call="load_balancing_loss(logits, 1)   # six tokens, all sure of expert 0 of 4",
        got=lambda: float(load_balancing_loss(one, 1)),
        expected=4.0,
        rtol=1e-3,
        mistakes=[
            ("the factor E is missing", 1.0),
            ("one factor E too many", 16.0),
            ("you counted the experts with the SMALLEST probabilities", smallest),
        ],
        hint=2,
    )
    kept = torch.zeros(7, 5).scatter(1, logits.topk(2).indices, 1.0) * logits.softmax(-1)
    chosen_only = (kept / kept.sum(-1, keepdim=True)).mean(0)
    top_one = float(_balance(logits, 1)[1] @ mean * 5)
    yield Case(
        "seven tokens, 2 of 5 experts",
        call="load_balancing_loss(logits, 2)   # logits (7, 5)",
        got=lambda: float(load_balancing_loss(logits, 2)),
        expected=float(want),
        mistakes=[
            ("divide the counts by the number of tokens N, not by N × k", float(want) / 2),
            ("f uses only the best expert: count all k", top_one),
            ("f uses only the best expert, k times: count all k", 2 * top_one),
            (
                "P is the mean of the softmax over ALL experts, not over the chosen k",
                float(5 * share @ chosen_only),
            ),
            ("you multiplied P by itself: f counts choices", float(5 * mean @ mean)),
            ("you multiplied f by itself: P are probabilities", float(5 * share @ share)),
        ],
        hint=2,
        unchanged=(logits,),
    )

    def gradient():
        leaf = logits.clone().requires_grad_(True)
        loss = load_balancing_loss(leaf, 2)
        return torch.autograd.grad(loss, leaf)[0] if loss.requires_grad else torch.zeros(7, 5)

    leaf = logits.clone().requires_grad_(True)
    probabilities = leaf.softmax(-1)
    want_gradient = torch.autograd.grad(5 * share @ probabilities.mean(0), leaf, retain_graph=True)[
        0
    ]
    chosen = torch.zeros(7, 5).scatter(1, logits.topk(2).indices, 1.0)
    soft = (probabilities * chosen).mean(0)
    through_counts = torch.autograd.grad(
        5 * (share + soft - soft.detach()) @ probabilities.mean(0), leaf
    )[0]
    yield Case(
        "the gradient flows through the probabilities only",
        call="load_balancing_loss(logits, 2).backward();  logits.grad",
        got=gradient,
        expected=want_gradient,
        mistakes=[
            ("no gradient at all: do not detach the probabilities", torch.zeros(7, 5)),
            ("the counts carry gradient too: they must not", through_counts),
        ],
        hint=3,
    )
