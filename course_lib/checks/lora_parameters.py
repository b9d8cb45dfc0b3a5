"""Visible checks of 02_lora_parameters. The oracles are loops over single numbers."""

import torch
from torch import nn

from course_lib.checking import Case, visible
from course_lib.configs import REAL_CONFIGS, linear_shapes


def _rng(seed):
    return torch.Generator().manual_seed(seed)


def _linear(out, inp, bias=True, seed=0, dtype=torch.float32):
    """An nn.Linear with reproducible normal values."""
    rng, linear = _rng(seed), nn.Linear(inp, out, bias=bias)
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return linear.to(dtype)


def _set(module, **values):
    """Give parameters of the student's module known values, by name."""
    own = dict(module.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            own[name].copy_(value)


def _flat(weight, bias, x):
    """W x + b for each row of x, entry by entry."""
    rows = []
    for row in x.tolist():
        rows.append(
            [
                sum(w * v for w, v in zip(line, row, strict=True))
                + (0 if bias is None else bias[i])
                for i, line in enumerate(weight.tolist())
            ]
        )
    return torch.tensor(rows)


def _product(B, A):
    """B A, entry by entry."""
    return torch.tensor([
        [sum(B[i, k].item() * A[k, j].item() for k in range(len(A))) for j in range(A.shape[1])]
        for i in range(len(B))
    ])  # fmt: skip


# ---------------------------------------------------------------- lora_param_count


@visible("lora_param_count")
def lora_param_count_cases(lora_param_count):
    small = {"q_proj": (2, 3)}
    yield Case(
        "the 2 × 3 matrix from the beginning, r = 1: 2 + 3 numbers",
        call='lora_param_count({"q_proj": (2, 3)}, 1, ["q_proj"])',
        got=lambda: lora_param_count(small, 1, ["q_proj"]),
        expected=5,
        mistakes=[
            ("6 is the size of the matrix itself; A and B have r * (out + in) numbers", 6),
            ("you counted A only (r * in); B has out * r more", 3),
            ("you counted B only (out * r); A has r * in more", 2),
            ("2 * r * in is right for a square matrix only: add out and in", 6),
            ("2 * r * out is right for a square matrix only: add out and in", 4),
        ],
        unchanged=(small,),
    )
    shapes = {
        "layers.0.q_proj": (4, 6),
        "layers.0.fq_proj": (10, 10),
        "layers.0.q_proj_norm": (7, 7),
        "layers.1.q_proj": (4, 6),
        "layers.1.v_proj": (2, 6),
    }
    want = 3 * (4 + 6) + 3 * (4 + 6)
    yield Case(
        "names match at a dot: 'fq_proj' is not 'q_proj'",
        call="lora_param_count(shapes, 3, ['q_proj'])   # layers.0.q_proj, layers.0.fq_proj, …",
        got=lambda: lora_param_count(shapes, 3, ["q_proj"]),
        expected=want,
        mistakes=[
            ("you counted fq_proj too: test for '.' + target at the end", want + 3 * 20),
            ("you counted every name that CONTAINS the target", want + 3 * 20 + 3 * 14),
            ("you counted q_proj_norm too: the name must END in the target", want + 3 * 14),
            ("you counted only one layer", want // 2),
        ],
        hint=2,
        unchanged=(shapes,),
    )
    yield Case(
        "a full name is a target, too",
        call="lora_param_count(shapes, 3, ['layers.1.q_proj', 'v_proj'])",
        got=lambda: lora_param_count(shapes, 3, ["layers.1.q_proj", "v_proj"]),
        expected=3 * (4 + 6) + 3 * (2 + 6),
        mistakes=[("only the last part of the name was compared with the target", 3 * (2 + 6))],
        hint=2,
    )
    yield Case(
        "a matrix that two targets match counts once",
        call="lora_param_count(shapes, 3, ['v_proj', '1.v_proj'])",
        got=lambda: lora_param_count(shapes, 3, ["v_proj", "1.v_proj"]),
        expected=3 * (2 + 6),
        mistakes=[("you counted layers.1.v_proj once for each target", 2 * 3 * (2 + 6))],
        hint=2,
    )
    qwen = linear_shapes(REAL_CONFIGS["Qwen2.5-Math-1.5B"])
    yield Case(
        "Qwen2.5-Math-1.5B, r = 16, q/k/v/o",
        call="lora_param_count(qwen, 16, ['q_proj', 'k_proj', 'v_proj', 'o_proj'])",
        got=lambda: lora_param_count(qwen, 16, ["q_proj", "k_proj", "v_proj", "o_proj"]),
        expected=4_358_144,
        mistakes=[
            ("every matrix was taken as 1536 × 1536; k and v are (256, 1536)", 5_505_024),
            ("that is the lecture's number, which is Llama-3-8B's with r = 4", 3_407_872),
            ("that is the sum for one layer; there are 28", 155_648),
        ],
    )
    yield Case(
        "nothing matches: say so",
        call="lora_param_count(shapes, 3, ['c_attn'])",
        got=lambda: lora_param_count(shapes, 3, ["c_attn"]),
        raises=ValueError,
        hint=3,
    )
    yield Case(
        "one target that matches is enough",
        call="lora_param_count(shapes, 3, ['c_attn', 'v_proj'])",
        got=lambda: lora_param_count(shapes, 3, ["c_attn", "v_proj"]),
        expected=3 * (2 + 6),
        hint=3,
    )
    for r in (0, -2):
        yield Case(
            f"r = {r} is refused",
            call=f"lora_param_count(shapes, {r}, ['q_proj'])",
            got=lambda r=r: lora_param_count(shapes, r, ["q_proj"]),
            raises=ValueError,
            hint=3,
        )


# ---------------------------------------------------------------- LoRALinear


@visible("LoRALinear")
def lora_linear_cases(LoRALinear):
    W, b = [[1.0, 0, 2], [0, 1, -1]], [10.0, 20.0]

    def by_hand():
        base = nn.Linear(3, 2)
        _set(base, weight=torch.tensor(W), bias=torch.tensor(b))
        return base

    def adapted(base, r, alpha, A, B, **extra):
        layer = LoRALinear(base, r, alpha, **extra)
        _set(layer, lora_A=A, lora_B=B)
        return layer

    def parameters(layer):
        own = dict(layer.named_parameters())
        for name, shape in (("lora_A", (4, 5)), ("lora_B", (3, 4))):
            if name not in own:
                return f"there is no parameter {name}: write self.{name} = nn.Parameter(…)"
            if tuple(own[name].shape) == shape[::-1]:
                return f"{name} is transposed: {tuple(own[name].shape)} in place of {shape}"
            if tuple(own[name].shape) != shape:
                return f"{name} has shape {tuple(own[name].shape)}, it should be {shape}"
            if not own[name].requires_grad:
                return f"{name} is frozen: it must be trainable"
        for name in ("base.weight", "base.bias"):
            if name not in own:
                return f"there is no parameter {name}: keep the given layer as self.base"
            if own[name].requires_grad:
                return f"{name} is still trainable: freeze all parameters of the base"
        extra = [n for n, p in own.items() if p.requires_grad and not n.startswith("lora_")]
        return f"{extra[0]} is trained, too" if extra else None

    yield Case(
        "parameters: lora_A (r, in), lora_B (out, r), a frozen base",
        call="LoRALinear(nn.Linear(5, 3), r=4, alpha=8)",
        got=lambda: LoRALinear(nn.Linear(5, 3), r=4, alpha=8),
        verify=parameters,
        hint=3,
    )

    def attributes(layer):
        if layer.scaling == 8:
            return "scaling is alpha; it should be alpha / r, here 8 / 4 = 2"
        if layer.scaling == 0.5:
            return "scaling is r / alpha; it should be alpha / r, here 8 / 4 = 2"
        wanted = {"r": 4, "alpha": 8, "scaling": 2.0}
        wrong = [n for n, v in wanted.items() if getattr(layer, n) != v]
        return (
            f"{wrong[0]} is {getattr(layer, wrong[0])!r}, not {wanted[wrong[0]]}" if wrong else None
        )

    yield Case(
        "attributes r, alpha and scaling",
        call="LoRALinear(nn.Linear(5, 3), r=4, alpha=8)",
        got=lambda: LoRALinear(nn.Linear(5, 3), r=4, alpha=8),
        verify=attributes,
        hint=3,
    )
    base = by_hand()
    yield Case(
        "the base is kept, not copied",
        call="LoRALinear(base, r=1, alpha=2).base is base",
        got=lambda: LoRALinear(base, r=1, alpha=2).base is base,
        expected=True,
        mistakes=[("layer.base is another object: write self.base = base", False)],
        hint=3,
    )
    x = torch.tensor([[1.0, 2, 1]])
    A, B = torch.tensor([[1.0, -1, 0]]), torch.tensor([[1.0], [2.0]])
    yield Case(
        "the example by hand: W x = (3, 1), B A x = (-1, -2), alpha / r = 2, bias (10, 20)",
        call="layer(x)   # r = 1, alpha = 2, x = (1, 2, 1)",
        got=lambda: adapted(by_hand(), 1, 2, A, B)(x).detach(),
        expected=torch.tensor([[11.0, 17.0]]),
        mistakes=[
            ("the update is not scaled: multiply it by alpha / r", torch.tensor([[12.0, 19.0]])),
            ("the update is scaled by r / alpha", torch.tensor([[12.5, 20.0]])),
            ("the bias of the base is missing", torch.tensor([[1.0, -3.0]])),
            ("the scaling multiplies the base's output as well", torch.tensor([[24.0, 38.0]])),
            ("the update is missing: this is base(x)", torch.tensor([[13.0, 21.0]])),
            ("the base is missing: this is the update alone", torch.tensor([[-2.0, -4.0]])),
            ("the update is subtracted", torch.tensor([[15.0, 25.0]])),
        ],
        hint=2,
    )
    wide, x4 = _linear(3, 5, seed=1), torch.randn(2, 2, 5, generator=_rng(2))
    A4, B4 = torch.randn(4, 5, generator=_rng(3)), torch.randn(3, 4, generator=_rng(4))
    update = _product(B4, A4)
    w, bias = wide.weight.detach().clone(), wide.bias.tolist()

    def expected(scale):
        return _flat(w + scale * update, bias, x4.reshape(4, 5)).reshape(2, 2, 3)

    yield Case(
        "rectangular, r = 4, alpha = 6, an input of three dimensions",
        call="layer(x)   # base 5 -> 3, x (2, 2, 5)",
        got=lambda: adapted(_linear(3, 5, seed=1), 4, 6, A4, B4)(x4).detach(),
        expected=expected(1.5),
        mistakes=[
            ("the scaling is alpha: divide by r", expected(6.0)),
            ("the scaling is missing: multiply the update by alpha / r", expected(1.0)),
            ("the scaling is r / alpha: turn it round", expected(4 / 6)),
            ("the scaling is alpha / sqrt(r), as in rsLoRA: here it is alpha / r", expected(3.0)),
            ("the scaling is applied twice", expected(2.25)),
        ],
        hint=2,
    )
    plain = _linear(3, 5, bias=False, seed=5)
    yield Case(
        "at the start the output is the base's, also without a bias",
        call="LoRALinear(base, 4, 6)(x)",
        got=lambda: LoRALinear(plain, 4, 6)(x4[0]).detach(),
        expected=_flat(plain.weight.detach(), None, x4[0]),
        hint=2,
    )

    def gradients():
        layer = LoRALinear(_linear(3, 5, seed=1), 4, 6)
        (layer(x4) ** 2).sum().backward()
        own = dict(layer.named_parameters())
        return {name: own[name].grad for name in ("lora_A", "lora_B")}

    yield Case(
        "at the start at least one factor gets gradient",
        call="(layer(x) ** 2).sum().backward()",
        got=gradients,
        verify=lambda grads: (
            None
            if any(g is not None and g.abs().sum() > 0 for g in grads.values())
            else "no gradient arrives: if A and B are both zero, each blocks the other's gradient"
        ),
        hint=2,
    )

    def dropped(train):
        layer = adapted(by_hand(), 1, 2, A, B, dropout=0.5).train(train)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return torch.cat([layer(x) for _ in range(60)]).detach()

    # dropout(x) is (0 or 2, 0 or 4, …), so A x is one of 0 - 0, 2 - 0, 0 - 4, 2 - 4.
    on_the_path = {(13.0 + 2 * a, 21.0 + 4 * a) for a in (0.0, 2.0, -4.0, -2.0)}

    def thinned(outputs):
        seen = {(round(p, 3), round(q, 3)) for p, q in outputs.tolist()}
        if len(seen) == 1:
            return "60 calls in training mode give the same output: nothing is dropped"
        if seen <= on_the_path:
            return None
        if all(q - 21 == 2 * (p - 13) for p, q in seen):
            return "dropout acts after A or B: it should act on x, before A"
        return "the base's path is thinned out, too: dropout belongs to the adapter's x only"

    yield Case(
        "in training, dropout thins out the x that enters A, and nothing else",
        call="layer.train(); layer(x)   # the example by hand, dropout = 0.5, 60 calls",
        got=lambda: dropped(True),
        verify=thinned,
        hint=1,
    )
    yield Case(
        "after eval() nothing is dropped",
        call="layer.eval(); layer(x)",
        got=lambda: dropped(False)[:1],
        expected=torch.tensor([[11.0, 17.0]]),
        hint=3,
    )
    low = _linear(3, 5, seed=1, dtype=torch.bfloat16)
    yield Case(
        "a bfloat16 base gives a bfloat16 output",
        call="LoRALinear(base, 4, 6)(x)   # base and x in bfloat16",
        got=lambda: adapted(low, 4, 6, A4, B4)(x4.bfloat16()).detach(),
        expected=expected(1.5).bfloat16(),
        rtol=3e-2,
        hint=3,
    )


# ---------------------------------------------------------------- merged_linear


class _Layer(nn.Module):
    """The attributes of a LoRALinear, where the student's own is not there yet."""

    def __init__(self, base, r, alpha):
        super().__init__()
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.base = base
        self.lora_A = nn.Parameter(torch.zeros(r, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        self.r = r
        self.alpha = alpha
        self.scaling = alpha / r


def _layer(function, base, A, B, alpha):
    """A layer with these values: the LoRALinear beside `function` if it works, else a stand-in."""
    kind = getattr(function, "__globals__", {}).get("LoRALinear", _Layer)
    for make in (kind, _Layer):
        try:
            layer = make(base, len(A), alpha)
            _set(layer, lora_A=A, lora_B=B)
            if layer.scaling == alpha / len(A):
                return layer
        except Exception:  # whatever is wrong with it is shown by its own check
            continue
    raise AssertionError("the stand-in always works")


@visible("merged_linear")
def merged_linear_cases(merged_linear):
    base = nn.Linear(3, 2)
    W, b = torch.tensor([[1.0, 0, 2], [0, 1, -1]]), torch.tensor([10.0, 20.0])
    _set(base, weight=W, bias=b)
    A, B = torch.tensor([[1.0, -1, 0]]), torch.tensor([[1.0], [2.0]])
    layer = _layer(merged_linear, base, A, B, alpha=2)
    yield Case(
        "the example by hand: W + 2 B A",
        call="merged_linear(layer).weight",
        got=lambda: merged_linear(layer).weight.detach(),
        expected=torch.tensor([[3.0, -2, 2], [4, -3, -1]]),
        mistakes=[
            ("the update is not scaled: multiply B A by alpha / r", W + B @ A),
            ("this is W itself: the update is missing", W),
            ("this is the update alone: add it to W", 2 * B @ A),
            ("the update is subtracted", W - 2 * B @ A),
        ],
        unchanged=(W, A, B),
    )
    yield Case(
        "the layer's own weight stays as it was",
        call="merged_linear(layer); layer.base.weight",
        got=lambda: (merged_linear(layer), layer.base.weight.detach())[1],
        expected=W,
        mistakes=[("you added B A to layer.base.weight itself: work on a copy", W + 2 * B @ A)],
        hint=3,
    )

    def plain(result):
        if type(result) is not nn.Linear:
            return f"it is a {type(result).__name__}, not a plain nn.Linear"
        if (result.out_features, result.in_features) != (2, 3):
            return f"it is for {result.in_features} -> {result.out_features}, not 3 -> 2"
        if result.bias is None:
            return "the bias of the base is gone"
        if not torch.equal(result.bias, b):
            return "the bias is not that of the base"
        own = {p.untyped_storage().data_ptr() for p in layer.parameters()}
        for name, parameter in result.named_parameters():
            if parameter.untyped_storage().data_ptr() in own:
                return f"its {name} shares memory with the layer: clone it"
        return None

    yield Case(
        "a plain nn.Linear with its own memory and the base's bias",
        call="merged_linear(layer)",
        got=lambda: merged_linear(layer),
        verify=plain,
        hint=2,
    )
    unbiased = _layer(merged_linear, nn.Linear(3, 2, bias=False), A, B, alpha=2)
    yield Case(
        "no bias in the base, none in the result",
        call="merged_linear(layer).bias   # base without bias",
        got=lambda: merged_linear(unbiased).bias,
        expected=None,
        hint=3,
    )
    low = _linear(40, 30, seed=1, dtype=torch.bfloat16)
    A8, B8 = torch.randn(4, 30, generator=_rng(2)), torch.randn(40, 4, generator=_rng(3))
    A8, B8 = A8.bfloat16().float(), B8.bfloat16().float()
    exact = low.weight.detach().double() + 1.5 * _product(B8, A8).double()

    def rounded(result):
        if result.dtype != torch.bfloat16:
            return f"the weight is {result.dtype}, the base's was bfloat16"
        ratio = (
            (result.double() - exact).norm() / (exact.bfloat16().double() - exact).norm()
        ).item()
        if ratio > 3:
            return "wrong weight"
        if ratio > 1.02:
            return f"{ratio:.2f} times the error of rounding once: add up in float32, then cast"
        return None

    yield Case(
        "bfloat16: added up in float32, rounded once",
        call="merged_linear(layer).weight   # base in bfloat16",
        got=lambda: merged_linear(_layer(merged_linear, low, A8, B8, alpha=6)).weight.detach(),
        verify=rounded,
        hint=2,
    )


# ---------------------------------------------------------------- inject_lora


class _Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.v_proj = nn.Linear(6, 4), nn.Linear(6, 6, bias=False)
        self.fq_proj = nn.Linear(6, 6)

    def forward(self, x):
        return x + self.v_proj(x) + self.fq_proj(x) + self.q_proj(x).sum(-1, keepdim=True)


def _model():
    """A little model: an embedding, two blocks, a norm, a head."""
    rng = _rng(0)
    model = nn.Sequential()
    model.add_module("embed", nn.Embedding(9, 6))
    model.add_module("blocks", nn.Sequential(_Block(), _Block()))
    model.add_module("norm", nn.LayerNorm(6))
    model.add_module("head", nn.Linear(6, 9))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng))
    return model


def _wrapped(model):
    """The full names of the modules that hold a lora_A."""
    return sorted(n.rpartition(".")[0] for n, _ in model.named_parameters() if "lora_A" in n)


@visible("inject_lora")
def inject_lora_cases(inject_lora):
    both = ["blocks.0.q_proj", "blocks.1.q_proj"]

    def result():
        model = _model()
        inject_lora(model, ["q_proj"], 2, 6)
        return _wrapped(model)

    yield Case(
        "q_proj of both blocks is wrapped",
        call="inject_lora(model, ['q_proj'], r=2, alpha=6)   # embed, blocks, norm, head",
        got=result,
        expected=both,
        mistakes=[
            (
                "fq_proj was wrapped, too: names match at a dot",
                sorted([*both, "blocks.0.fq_proj", "blocks.1.fq_proj"]),
            ),
            ("only the first match was wrapped", both[:1]),
            ("nothing was wrapped: setattr on the PARENT of the module", []),
        ],
        hint=2,
    )

    def at_top():
        model = _model()
        inject_lora(model, ["head", "blocks.1.v_proj"], 2, 6)
        return _wrapped(model)

    yield Case(
        "a layer of the model itself, and a full name as target",
        call="inject_lora(model, ['head', 'blocks.1.v_proj'], r=2, alpha=6)",
        got=at_top,
        expected=["blocks.1.v_proj", "head"],
        hint=2,
    )
    model = _model()
    yield Case(
        "the model itself is returned",
        call="inject_lora(model, ['q_proj'], 2, 6) is model",
        got=lambda: inject_lora(model, ["q_proj"], 2, 6) is model,
        expected=True,
        mistakes=[("you returned another object: change the given model and return it", False)],
        hint=3,
    )

    def trained():
        return inject_lora(_model(), ["q_proj"], 2, 6)

    def only_lora(model):
        lora = [(n, p) for n, p in model.named_parameters() if "lora_" in n.rpartition(".")[2]]
        frozen = [n for n, p in lora if not p.requires_grad]
        if frozen:
            return f"{frozen[0]} is frozen"
        others = [n for n, p in model.named_parameters() if p.requires_grad and n not in dict(lora)]
        return f"{others[0]} is still trained: freeze everything but lora_…" if others else None

    yield Case(
        "only lora_ parameters are trained: not the embedding, the norm, the head",
        call="[name for name, p in model.named_parameters() if p.requires_grad]",
        got=trained,
        verify=only_lora,
        hint=3,
    )
    ids = torch.tensor([[1, 5, 3], [8, 0, 2]])
    yield Case(
        "before training, the model computes what it computed",
        call="inject_lora(model, ['q_proj', 'v_proj'], 2, 6)(ids)",
        got=lambda: inject_lora(_model(), ["q_proj", "v_proj"], 2, 6)(ids).detach(),
        expected=_model()(ids).detach(),
        hint=3,
    )

    def scaled():
        model = inject_lora(_model(), ["v_proj"], 2, 6)
        return model.get_submodule("blocks.0.v_proj").scaling

    yield Case(
        "r and alpha arrive at the layers",
        call="inject_lora(model, ['v_proj'], r=2, alpha=6).blocks[0].v_proj.scaling",
        got=scaled,
        expected=3.0,
        mistakes=[("r and alpha are swapped", 2 / 6)],
        hint=3,
    )

    def twice():
        model = inject_lora(_model(), ["q_proj"], 2, 6)
        first = {n: p.detach().clone() for n, p in model.named_parameters()}
        inject_lora(model, ["q_proj"], 2, 6)
        second = dict(model.named_parameters())
        return first, second

    def unchanged(result):
        first, second = result
        if any("base.base" in n for n in second):
            return "the second call wrapped the wrapped layers again: an adapter in an adapter"
        if set(first) != set(second):
            return "the second call changed the names of the parameters"
        if any(not torch.equal(first[n], second[n]) for n in first):
            return "the second call replaced A and B: training would be lost"
        frozen = [n for n, p in second.items() if "lora_" in n and not p.requires_grad]
        return f"after the second call {frozen[0]} is frozen" if frozen else None

    yield Case(
        "a second call changes nothing",
        call="inject_lora(model, ['q_proj'], 2, 6)   # again",
        got=twice,
        verify=unchanged,
        hint=2,
    )
    for targets, title in (
        (["c_attn"], "nothing matches"),
        (["embed"], "an embedding is no nn.Linear"),
    ):
        yield Case(
            f"{title}: say so",
            call=f"inject_lora(model, {targets}, 2, 6)",
            got=lambda targets=targets: inject_lora(_model(), targets, 2, 6),
            raises=ValueError,
            hint=3,
        )


# ---------------------------------------------------------------- adapter_state_dict, load_adapter


def _adapted_model(function):
    """A model with two adapters whose values are known: full name -> value."""
    rng, model = _rng(1), nn.Module()
    model.head = nn.Linear(4, 4)
    model.block = nn.Module()
    for parent, name, out, inp in ((model, "first", 3, 5), (model.block, "second", 2, 3)):
        base = nn.Linear(inp, out)
        A = torch.randn(2, inp, generator=rng)
        B = torch.randn(out, 2, generator=rng)
        setattr(parent, name, _layer(function, base, A, B, alpha=4))
    model.head.requires_grad_(False)
    return model


def _factors(model):
    return {
        n: p.detach().clone()
        for n, p in model.named_parameters()
        if n.endswith(("lora_A", "lora_B"))
    }


@visible("adapter_state_dict")
def adapter_state_dict_cases(adapter_state_dict, load_adapter):
    model = _adapted_model(load_adapter)
    want = _factors(model)
    yield Case(
        "the lora_ tensors by full name, nothing else",
        call="adapter_state_dict(model)   # first, block.second",
        got=lambda: adapter_state_dict(model),
        expected=want,
        mistakes=[
            ("the whole model is in it: keep lora_ parameters only", dict(model.state_dict())),
            (
                "the names are not full: keep what named_parameters() gives",
                {n.rpartition(".")[2]: v for n, v in want.items()},
            ),
        ],
    )

    def saved_then_trained():
        model = _adapted_model(load_adapter)
        state = adapter_state_dict(model)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return state

    yield Case(
        "what was saved stays, although the model is trained on",
        call="state = adapter_state_dict(model); train(model); state",
        got=saved_then_trained,
        expected=want,
        mistakes=[
            (
                "the saved tensors changed with the model: detach() shares memory, add clone()",
                {n: torch.zeros_like(v) for n, v in want.items()},
            )
        ],
        hint=2,
    )
    yield Case(
        "saved tensors are detached",
        call="any(t.requires_grad for t in adapter_state_dict(model).values())",
        got=lambda: any(t.requires_grad for t in adapter_state_dict(model).values()),
        expected=False,
        hint=2,
    )
    new = {n: v + 1 for n, v in want.items()}

    def loaded(state):
        model = _adapted_model(load_adapter)
        load_adapter(model, state)
        return model

    yield Case(
        "loading puts the values in",
        call="load_adapter(model, state)",
        got=lambda: _factors(loaded(new)),
        expected=new,
        mistakes=[("the model still has its old values", want)],
        hint=3,
        unchanged=(new,),
    )

    def changed_afterwards():
        state = {n: v.clone() for n, v in new.items()}
        model = loaded(state)
        for value in state.values():
            value.zero_()
        return _factors(model)

    yield Case(
        "after loading, changing the state does not change the model",
        call="load_adapter(model, state); state[…].zero_()",
        got=changed_afterwards,
        expected=new,
        mistakes=[
            (
                "the model uses the state's own tensors: copy_ the values",
                {n: torch.zeros_like(v) for n, v in new.items()},
            )
        ],
        hint=3,
    )
    first = "first.lora_A"
    for title, state in (
        ("a missing tensor is refused", {n: v for n, v in new.items() if n != first}),
        ("an unexpected tensor is refused", {**new, "third.lora_A": new[first]}),
        ("a weight of the base is unexpected, too", {**new, "head.weight": torch.zeros(4, 4)}),
        ("a transposed tensor is refused", {**new, first: new[first].T.contiguous()}),
        ("(1, 5) for (2, 5) is refused: copy_ would stretch it", {**new, first: new[first][:1]}),
    ):
        yield Case(
            title,
            call="load_adapter(model, state)",
            got=lambda state=state: loaded(state),
            raises=(KeyError, ValueError),
            hint=2 if "copy_" in title else 3,
        )


# ---------------------------------------------------------------- finetune_memory


@visible("finetune_memory")
def finetune_memory_cases(finetune_memory):
    def want(weights, gradients, optimizer):
        parts = {"weights": weights, "gradients": gradients, "optimizer": optimizer}
        return {**parts, "total": sum(parts.values())}

    yield Case(
        "100 parameters, 10 of them trained",
        call="finetune_memory(100, 10)",
        got=lambda: finetune_memory(100, 10),
        expected=want(200, 40, 80),
        mistakes=[
            ("gradients and optimizer are counted for all parameters", want(200, 400, 800)),
            (
                "the trainable parameters are added to n_params, which includes them",
                want(220, 40, 80),
            ),
            ("frozen parameters have a weight, too", want(20, 40, 80)),
            ("only the frozen ones are counted as weights", want(180, 40, 80)),
        ],
    )
    yield Case(
        "other sizes: 1-byte weights, 2-byte gradients, 2-byte optimizer",
        call="finetune_memory(100, 10, weight_bytes=1, grad_bytes=2, optimizer_bytes=2)",
        got=lambda: finetune_memory(100, 10, weight_bytes=1, grad_bytes=2, optimizer_bytes=2),
        expected=want(100, 20, 20),
        mistakes=[("the arguments are not used", want(200, 40, 80))],
        hint=3,
    )
    yield Case(
        "nothing trained",
        call="finetune_memory(7, 0)",
        got=lambda: finetune_memory(7, 0),
        expected=want(14, 0, 0),
        hint=2,
    )


# ---------------------------------------------------------------- effective_rank


def _diagonal(*values, rows=6, columns=5):
    """A matrix with these singular values: they stand on its diagonal."""
    matrix = torch.zeros(rows, columns)
    for i, value in enumerate(values):
        matrix[i, i] = value
    return matrix


@visible("effective_rank")
def effective_rank_cases(effective_rank):
    delta = _diagonal(1.0, 3.0, 2.0)
    # Squares 9, 4, 1 of 14 in all: shares 0.643, 0.929, 1. Plain values 3, 2, 1: 0.5, 0.833, 1.
    for energy, rank, plain in ((0.6, 1, 2), (0.9, 2, 3), (0.95, 3, 3)):
        yield Case(
            f"singular values 3, 2, 1; energy {energy}",
            call=f"effective_rank(delta, {energy})   # squares 9, 4, 1: shares 0.643, 0.929, 1",
            got=lambda energy=energy: effective_rank(delta, energy),
            expected=rank,
            mistakes=[
                ("you counted from 0: the first place is rank 1", rank - 1),
                ("the singular values are not squared", plain if plain != rank else -1),
                ("you counted one too many", rank + 1),
            ],
            hint=2,
            unchanged=(delta,),
        )
    yield Case(
        "energy is 0.9 by default",
        call="effective_rank(delta)",
        got=lambda: effective_rank(delta),
        expected=2,
    )
    yield Case(
        "the zero matrix has rank 0",
        call="effective_rank(torch.zeros(4, 3))",
        got=lambda: effective_rank(torch.zeros(4, 3)),
        expected=0,
        mistakes=[
            ("0 / 0 is nan, and comparisons with nan are False: treat zero first", 1),
            ("0 / 0 is nan, and comparisons with nan are False: treat zero first", 3),
            ("0 / 0 is nan, and comparisons with nan are False: treat zero first", 4),
        ],
        hint=2,
    )
    u, v = torch.randn(7, generator=_rng(0)), torch.randn(4, generator=_rng(1))
    yield Case(
        "one column times one row has rank 1",
        call="effective_rank(torch.outer(u, v), 0.99)",
        got=lambda: effective_rank(torch.outer(u, v), 0.99),
        expected=1,
        mistakes=[("you counted from 0: the first place is rank 1", 0)],
        hint=2,
    )
    yield Case(
        "bfloat16, wide instead of tall",
        call="effective_rank(delta.T.bfloat16(), 0.9)",
        got=lambda: effective_rank(delta.T.bfloat16(), 0.9),
        expected=2,
        hint=2,
    )
