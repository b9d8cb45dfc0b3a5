"""The pictures that stand in for the explorers where no widget can show.

Each is {"text/plain": words, "image/png": base64}, of the state given.
"""

import base64
import io

COLOURS = ("#D55E00", "#2b88c8", "#009E73")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


def lora_rank(sizes, name, rank):
    """The starting state of the LoRA explorer."""
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
    return _bundle(text, figure)


def kv_cache(sizes, name, rank):
    """The starting state of the KV cache explorer."""
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
    return _bundle(text, figure)


def moe_routing(sizes, name, rank):
    """The starting state of the routing explorer: a batch of 8 tokens."""
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
    return _bundle(text, figure)


def speculative(alpha, cost, check):
    """The starting state: speedup by k, from expected tokens and costs."""
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
    return _bundle(text, figure)


def star(curves, title, share):
    """title of an arm -> round -> one value a seed: means with 95% intervals over seeds."""
    from course_lib.experiments.seeds import mean_and_half

    figure, axis = _figure()
    said = []
    looks = [("o-", "#2b88c8"), ("s--", "#D55E00")]
    for (name, rounds), (style, colour) in zip(curves.items(), looks[: len(curves)], strict=True):
        if not rounds:
            continue
        points = [mean_and_half(values) for values in rounds.values()]
        means, halves = zip(*points, strict=True)
        numbers = [int(number) for number in rounds]
        axis.errorbar(numbers, means, halves, fmt=style, color=colour, capsize=3, label=name)
        said.append(f"{name}: {', '.join(f'{mean:.3g}' for mean in means)}")
    axis.set(xlabel="round", xticks=range(4), title=title)
    axis.set_ylim(0, 1 if share else None)
    axis.legend()
    return _bundle(f"{title}, by round. " + "; ".join(said), figure)


def mask(lines):
    """lines: one (role, [(token, is it learned?), ...]) for each turn."""
    width, rows = 84, []
    for role, tokens in lines:
        rows.append((role, []))
        at = 0
        for token, learned in tokens:
            shown = token.replace(" ", "·").replace("\n", "↵")
            if at + len(shown) > width:
                rows.append(("", []))
                at = 0
            rows[-1][1].append((at, shown, learned))
            at += len(shown) + 0.9
    figure, axis = _figure(height=0.5 + 0.26 * len(rows))
    axis.set(xlim=(-12, width), ylim=(len(rows) + 0.4, -0.6))
    axis.axis("off")
    box = {"boxstyle": "square,pad=0.12", "facecolor": "#d8eaf7", "edgecolor": "black", "lw": 0.8}
    for y, (role, row) in enumerate(rows):
        axis.text(-12, y, role, va="center", fontsize=9)
        for x, token, learned in row:
            look = {"weight": "bold", "bbox": box} if learned else {"color": "#444444"}
            axis.text(x, y, token, va="center", family="monospace", fontsize=8, **look)
    count = [learned for _, tokens in lines for _, learned in tokens]
    foot = f"{sum(count)} of {len(count)} tokens are learned (boxed)"
    axis.text(-12, len(rows), foot, va="center", fontsize=9)
    text = "".join(f"[{t}]" if learned else t for _, line in lines for t, learned in line)
    return _bundle(f"{foot}:\n{text}", figure)


def _figure(height=3.2):
    # Not pyplot: a figure of its own does not touch the notebook's.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, height), dpi=90, facecolor="white", layout="constrained")
    return figure, figure.add_subplot()


def _bundle(text, figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return {"text/plain": text, "image/png": base64.b64encode(buffer.getvalue()).decode()}
