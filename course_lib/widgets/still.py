"""The pictures that stand in for the explorers where no widget can show."""

import base64
import io

COLOURS = ("#D55E00", "#2b88c8", "#009E73")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def lora_rank(sizes, name, rank):
    """(text, PNG in base64) of the starting state of the LoRA explorer."""
    figure, axis = _figure()
    ranks = [2**i for i in range(9)]
    sets = {
        "q, k, v, o": [m for m in sizes["modules"] if m[0] in ATTENTION],
        "all linear": [m for m in sizes["modules"] if m[0] != "gate"],
    }
    said = []
    looks = (("o-", "#2b88c8"), ("s--", "#CC79A7"))
    for (label, modules), (style, colour) in zip(sets.items(), looks, strict=True):
        # A pair of factors adds one row of length `in` and one column of length `out` a rank.
        edge = sizes["n_layers"] * sum((rows + cols) * n for _, rows, cols, n in modules)
        axis.loglog(ranks, [edge * r for r in ranks], style, color=colour, label=label)
        said.append(f"{edge * rank:,} on {label}")
    lecture = {4: 5e6, 16: 20e6, 64: 80e6, 256: 320e6}
    axis.loglog(
        *zip(*lecture.items(), strict=True),
        "x",
        color="#D55E00",
        markersize=8,
        label="the lecture's",
    )
    axis.set_xticks(ranks, ranks)
    axis.set(xlabel="rank r", ylabel="trainable parameters", title=f"LoRA on {name}")
    axis.minorticks_off()
    axis.legend()
    text = f"LoRA on {name}, r = {rank}: " + "; ".join(said) + " trainable parameters"
    return text, _png(figure)


def kv_cache(sizes, name, rank):
    """(text, PNG in base64) of the starting state of the KV cache explorer."""
    figure, axis = _figure()
    tokens, two_bytes = 8192, 2
    heads = {
        f"MHA, {sizes['n_heads']} kv heads": sizes["n_heads"],
        f"{name}, {sizes['n_kv_heads']} kv heads": sizes["n_kv_heads"],
        "MQA, 1 kv head": 1,
    }
    # What one head adds at one position, keys then values, in all layers.
    head = sizes["head_dim"] * two_bytes * sizes["n_layers"]
    amounts = [(head * n + head * n) * tokens / 2**30 for n in heads.values()]
    bars = axis.barh(list(heads), amounts, color=COLOURS, hatch=["", "//", ".."], edgecolor="k")
    axis.bar_label(bars, [f"{a:.3g} GiB" for a in amounts], padding=3)
    axis.invert_yaxis()
    axis.set_xlim(right=1.25 * max(amounts))
    axis.set(xlabel="GiB", title=f"KV cache of {name}, one sequence of {tokens:,} tokens, bf16")
    text = f"KV cache, one sequence of {tokens:,} tokens, bf16: "
    text += ", ".join(f"{k} {a:.3g} GiB" for k, a in zip(heads, amounts, strict=True))
    return text, _png(figure)


def moe_routing(sizes, name, rank):
    """(text, PNG in base64) of the starting state of the routing explorer: a batch of 8 tokens."""
    import random

    draw = random.Random(28)
    experts, k, most = sizes["n_experts"], sizes["experts_per_token"], 256
    batches = [2**i for i in range(9)]
    needed = dict.fromkeys(batches, 0.0)
    for _ in range(30):
        touched = set()
        for token in range(1, most + 1):
            touched |= set(draw.sample(range(experts), k))
            if token in needed:
                needed[token] += len(touched) / 30
    figure, axis = _figure()
    axis.semilogx(batches, list(needed.values()), "o-", color=COLOURS[2], base=2)
    axis.axhline(experts, linestyle=":", color="k")
    axis.set_xticks(batches, batches)
    axis.set(
        xlabel="tokens in the batch",
        ylabel="experts needed",
        ylim=(0, experts * 1.08),
        title=f"{name}: {k} of {experts} experts for each token",
    )
    text = f"{name}, {k} of {experts} experts for each token: "
    text += ", ".join(f"{n} tokens need {needed[n]:.1f}" for n in (1, 8, 32))
    return text, _png(figure)


def speculative(alpha, cost, check):
    """(text, PNG in base64) of the starting state: speedup by k, from expected tokens and costs."""
    ks = range(1, 13)
    gains = [sum(alpha**i for i in range(k + 1)) / (k * cost + 1 + k * check) for k in ks]
    best = max(ks, key=lambda k: gains[k - 1])
    figure, axis = _figure()
    bars = axis.bar(ks, gains, color="#9ecae1", edgecolor="black", linewidth=0.8)
    bars[best - 1].set_linewidth(2.5)
    axis.axhline(1, linestyle=":", color="k")
    axis.set_xticks(ks)
    axis.set(
        xlabel="k, guesses in a round",
        ylabel="times plain decoding",
        title=f"α = {alpha:g}, draft step {cost:g}, checking one more {check:g}",
    )
    text = (
        f"α = {alpha:g}, c = {cost:g}: best k = {best}, {gains[best - 1]:.2f} times plain decoding"
    )
    return text, _png(figure)


def _figure():
    # Not pyplot: a figure of its own does not touch the notebook's.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), dpi=90, facecolor="white", layout="constrained")
    return figure, figure.add_subplot()


def _png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode()
