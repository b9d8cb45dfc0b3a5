# %% [markdown]
# # Inside modern LLMs
#
# This notebook is about two changes to the transformer you know. In Llama-3 and in Mixtral,
# attention keeps fewer keys and values (**grouped query attention**). In Mixtral, several
# feed-forward networks, the experts, stand in place of one, and each token runs through only a few
# of them (**mixture of experts**).
#
# You will build both from a few lines of PyTorch, then put them beside the code that the world
# runs: `transformers`' Llama attention and Mixtral block must give the same numbers as yours.
# On the way we check every figure that the lecture gives. Some hold, some do not.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `repeat_kv` | share one key/value head among several query heads | 2 |
# | 2 | `gqa_attention` | the attention of Llama-3, also with a cache | 4 |
# | 3 | `kv_cache_bytes` | what a conversation costs in memory | 2 |
# | 4 | `route` | choose k experts for each token | 2 |
# | 5 | `SparseMoE` | the layer of Mixtral | 5 |
# | 6 | `moe_param_counts` | why "8x7B" is 46.7B, and 12.9B active | 2 |
# | 7 | `expected_experts` | why "active" is not what a batch reads | 1 |
# | 8 | `load_balancing_loss` | keep the experts busy | 2 |
# | | | **together** | **20** |
#
# Time: about two and a half hours. Everything runs on a laptop; no cell needs more than about half
# a minute. Needed: tensors, `nn.Module`, ordinary attention.
#
# **How to work.** Replace `raise NotImplementedError` in an exercise cell, run it, then run the
# check below it. The check tells you what is wrong, not only that it is. Each exercise has three
# hints; open them one at a time, or call `hint("repeat_kv")`. Letters used throughout: $B$ batch,
# $T$ positions, $D$ head size, $d$ model width, $N$ tokens, $E$ experts, $k$ experts per token.

# %% tags=["setup"]
import math
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from course_lib import ModelConfig, SwiGLU, check, hint
from course_lib.configs import REAL_CONFIGS
from course_lib.device import one_thread, pick_device
from course_lib.pictures import LINES, figure, table

# %% [markdown]
# # Part A. Attention with fewer keys and values
#
# While a model writes, each new token looks back at all tokens before it. Their keys and values
# do not change, so they are kept: the **KV cache**. Every layer and every key/value head keeps its
# own. With 32 heads in each of 32 layers that is a lot of memory, and all of it is read again for
# every new token.
#
# The remedy: let several query heads share one key/value head (kv head, for short).
#
# - **MHA** (multi-head attention): every query head has its own key/value head.
# - **GQA** (grouped query attention): a group of query heads shares one.
# - **MQA** (multi-query attention): all query heads share a single one.

# %%
fig, axes = figure(columns=3, width=8.5, height=2.2)
for axis, (title, n_kv) in zip(
    axes, [("MHA: 8 kv heads", 8), ("GQA: 2 kv heads", 2), ("MQA: 1 kv head", 1)], strict=True
):
    for h in range(8):
        kv = h // (8 // n_kv)
        kv_x = (kv + 0.5) * 8 / n_kv - 0.5
        axis.plot([h, kv_x], [1, 0], color="black", linewidth=1)
        axis.text(h, 1.1, f"q{h}", ha="center")
        axis.plot(h, 1, marker="o", color="black", markersize=5)
    for kv in range(n_kv):
        kv_x = (kv + 0.5) * 8 / n_kv - 0.5
        axis.plot(kv_x, 0, marker="s", color="black", markersize=8)
        axis.text(kv_x, -0.3, f"kv{kv}", ha="center")
    axis.set(title=title, ylim=(-0.45, 1.35))
    axis.axis("off")

# %% [markdown] about="repeat_kv"
# **Why.** With 8 query heads and 2 kv heads, ordinary attention code no longer fits: the head axes
# differ. The simplest way is to write each kv head several times, so that the axes agree again.
# The order is everything. The wrong order has the right shape and raises no error. A model trained
# with it from scratch is no worse, since only the numbering of its heads differs. But weights
# loaded from a real checkpoint give nonsense.
#
# **Mathematics.** With $n = H_q / H_{kv}$ query heads in a group, query head $h$ reads kv head
# $\lfloor h/n \rfloor$:
#
# $$\text{out}[b, h, t, :] = x[b, \lfloor h/n \rfloor, t, :] .$$
#
# By hand: kv heads A, B and $n = 2$ give A A B B. Not A B A B.


# %% exercise="repeat_kv"
# exercise: repeat_kv
def repeat_kv(x, n_rep):
    """Write each kv head `n_rep` times in a row: A B -> A A B B.

    x: (B, Hkv, T, D), any dtype; not modified
    n_rep: int >= 1, query heads for each kv head
    Returns (B, Hkv * n_rep, T, D) of the same dtype; head h of the result is head h // n_rep of x.
    """
    ### BEGIN SOLUTION
    return x.repeat_interleave(n_rep, dim=1)
    ### END SOLUTION


# %% test="repeat_kv"
check("repeat_kv", repeat_kv)
### BEGIN HIDDEN TESTS
hidden("repeat_kv")
### END HIDDEN TESTS

# %% [markdown] about="gqa_attention"
# **Why.** This is the attention of Llama-3, Mistral and Qwen2.5. It has to work in two situations:
# when a whole text is read at once (as many queries as keys), and when one new token arrives and
# the keys of all earlier ones come from the cache (one query, many keys). Home-made attention is
# often right in the first and wrong in the second, because of the mask.
#
# **Mathematics.** For each query head $h$, with its kv head $g = \lfloor h/n \rfloor$:
#
# $$\text{out}_h = \operatorname{softmax}\!\left(\frac{Q_h K_g^\top}{\sqrt{D}} + M\right) V_g,
# \qquad M_{ij} = \begin{cases} 0 & j \le T_k - T_q + i \\ -\infty & \text{otherwise.} \end{cases}$$
#
# The queries are the **last** $T_q$ of the $T_k$ positions. The picture shows $T_q = 2$ new tokens
# after 3 tokens in the cache. Query 0 stands at position 3, so it sees the keys 0, 1, 2 and 3.
# A mask that starts in the top left corner would let it see key 0 only.

# %%
fig, axes = figure(columns=2, width=7.5, height=1.9)
for axis, title, offset in [
    (axes[0], "aligned to the end (right)", 3),
    (axes[1], "aligned to the start (wrong)", 0),
]:
    for i in range(2):
        for j in range(5):
            sees = j <= i + offset
            axis.text(j, i, "sees" if sees else "–", ha="center", va="center")
    axis.set(title=title, xlim=(-0.5, 4.5), ylim=(1.5, -0.5), xticks=range(5), yticks=range(2))
    axis.set_xticklabels([f"key {j}" for j in range(5)])
    axis.set_yticklabels([f"query {i}" for i in range(2)])


# %% exercise="gqa_attention"
# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    """Grouped query attention, with the causal mask aligned to the end.

    q: (B, Hq, Tq, D); k, v: (B, Hkv, Tk, D), of the same floating dtype; none of them modified
    causal: if True, query i sees the keys j <= Tk - Tq + i (Tq <= Tk)
    Returns (B, Hq, Tq, D) of q's dtype. Scores are scaled by 1 / sqrt(D).
    Hq == Hkv is multi-head, Hkv == 1 multi-query attention.
    Raises ValueError if Hq is not a multiple of Hkv.
    """
    ### BEGIN SOLUTION
    n_heads, n_queries, head_dim = q.shape[1:]
    n_kv_heads, n_keys = k.shape[1:3]
    if n_heads % n_kv_heads:
        raise ValueError(f"{n_heads} query heads cannot share {n_kv_heads} kv heads evenly")
    k = repeat_kv(k, n_heads // n_kv_heads)
    v = repeat_kv(v, n_heads // n_kv_heads)
    scores = q @ k.transpose(-2, -1) / math.sqrt(head_dim)
    if causal:
        sees = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device)
        sees = sees.tril(n_keys - n_queries)
        scores = scores.masked_fill(~sees, -torch.inf)
    return scores.softmax(dim=-1) @ v
    ### END SOLUTION


# %% test="gqa_attention"
check("gqa_attention", gqa_attention)
### BEGIN HIDDEN TESTS
hidden("gqa_attention")
### END HIDDEN TESTS

# %% [markdown]
# The trap is not only ours. PyTorch's own fast attention has a switch `is_causal=True`, and with
# fewer queries than keys its mask starts in the **top left** corner. For one new token after 6
# cached ones:

# %%
q, k, v = torch.randn(1, 4, 1, 16), torch.randn(1, 2, 7, 16), torch.randn(1, 2, 7, 16)
yours = gqa_attention(q, k, v)
library = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
unmasked = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
print(f"yours against is_causal=True: largest difference {(yours - library).abs().max():.2e}")
print(f"yours against no mask at all: largest difference {(yours - unmasked).abs().max():.2e}")
first_value = repeat_kv(v, 2)[:, :, :1]
print("is_causal=True gave just the value of the first key:", torch.equal(library, first_value))

# %% [markdown] about="kv_cache_bytes"
# **Why.** The cache, not the model, decides how many conversations fit on a GPU. The lecture says
# that Llama-3-8B's cache is 4 times smaller than without grouping. You will be able to say how
# many bytes that is.
#
# **Mathematics.** Each of the $L$ layers keeps, for each token and each kv head, one key and one
# value of $D$ numbers:
#
# $$\text{bytes} = 2 \cdot L \cdot H_{kv} \cdot D \cdot B \cdot T \cdot \text{bytes per element}.$$
#
# By hand: 1 layer, 2 kv heads of size 4, one sequence of 3 tokens, 2 bytes a number:
# $2 \cdot 1 \cdot 2 \cdot 4 \cdot 1 \cdot 3 \cdot 2 = 96$ bytes.


# %% exercise="kv_cache_bytes"
# exercise: kv_cache_bytes
def kv_cache_bytes(n_layers, n_kv_heads, head_dim, batch, seq_len, bytes_per_element=2):
    """Bytes that the keys and values of `batch` sequences of `seq_len` tokens take.

    All arguments are ints; bytes_per_element is 2 for bfloat16, 4 for float32, 1 for 8 bit.
    Returns an int, exact however large.
    """
    ### BEGIN SOLUTION
    keys = n_layers * n_kv_heads * head_dim * batch * seq_len
    return 2 * keys * bytes_per_element
    ### END SOLUTION


# %% test="kv_cache_bytes"
check("kv_cache_bytes", kv_cache_bytes)
### BEGIN HIDDEN TESTS
hidden("kv_cache_bytes")
### END HIDDEN TESTS

# %% [markdown]
# Now real models. "MHA" is the same model if each query head had its own kv head.
#
# > **The lecture says:** Llama-3 8B has 32 query heads and 8 KV heads, so its cache is 4× smaller.
# >
# > **We compute:** exactly 4×. The factor is query heads over kv heads; Qwen2.5 gets 6× and 7×,
# > and Llama-2-7B, which has no grouping, gets nothing.

# %%
rows = []
for name, c in REAL_CONFIGS.items():
    token = kv_cache_bytes(c.n_layers, c.n_kv_heads, c.head_dim, 1, 1)
    as_mha = kv_cache_bytes(c.n_layers, c.n_heads, c.head_dim, 1, 1)
    long_text, long_text_mha = (f"{x * 8192 / 2**30:.2f} GiB" for x in (token, as_mha))
    smaller = f"{as_mha / token:g}×"
    rows.append([name, c.n_heads, c.n_kv_heads, f"{token:,}", smaller, long_text, long_text_mha])
table(
    ["model", "q heads", "kv heads", "bytes/token", "smaller by", "8,192 tokens", "as MHA"],
    rows,
    "KV cache in bfloat16, one sequence",
)

# %% [markdown]
# Play with it: move the context and the batch until the cache is larger than the model.

# %%
from course_lib import kv_cache_explorer

kv_cache_explorer()

# %% [markdown]
# ## How much faster is it, really?
#
# A decoding step gives each sequence one new token. It must read all weights once, for the whole
# batch, and the cache of each sequence. If reading memory is all that counts, its time is
# proportional to
#
# $$\text{bytes read} = \text{weights} + B \cdot T \cdot \text{cache bytes per token}.$$
#
# So a 4× smaller cache makes a token 4× faster only when the cache is far larger than the weights.
# For Llama-3-8B, with its 16.06 GB of weights in bfloat16, the bound is about this (we count the
# input embedding in full, although a step reads only a few of its rows):

# %%
gqa_token = kv_cache_bytes(32, 8, 128, 1, 1)
mha_token = kv_cache_bytes(32, 32, 128, 1, 1)
weights = 16.06e9
rows = []
for context in (1024, 8192, 131072):
    bounds = []
    for batch in (1, 8, 64):
        tokens = batch * context
        bounds.append((weights + tokens * mha_token) / (weights + tokens * gqa_token))
    rows.append([f"{context:,} tokens"] + [f"{bound:.2f}×" for bound in bounds])
table(
    ["context", "batch 1", "batch 8", "batch 64"],
    rows,
    "Upper bound of the speed-up of decoding from 4× fewer kv heads, Llama-3-8B",
)

# %% [markdown]
# Now we measure on **your** device. Three random Llama models differ only in their kv heads. Each
# gets a real `DynamicCache` that already holds 2,048 tokens for 4 sequences, then writes one token.
# The three are timed in turn, round after round, so that a busy moment of your computer hits all of
# them; we show medians, the range, and the median of the paired ratios.
# The last columns time only attention, once with your function and once with PyTorch's own.

# %%
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

LAYERS, HEADS, HEAD_DIM, CONTEXT, BATCH = 4, 16, 32, 2048, 4


def decoder(n_kv_heads, device):
    """A random Llama with `n_kv_heads`, and a DynamicCache that already holds CONTEXT tokens."""
    config = LlamaConfig(
        hidden_size=HEADS * HEAD_DIM,
        intermediate_size=1408,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=n_kv_heads,
        vocab_size=1000,
        max_position_embeddings=2 * CONTEXT,
    )
    cache = DynamicCache(config=config)
    for layer in range(LAYERS):
        shape = (BATCH, n_kv_heads, CONTEXT, HEAD_DIM)
        cache.update(torch.randn(shape, device=device), torch.randn(shape, device=device), layer)
    return LlamaForCausalLM(config).to(device).eval(), cache


def seconds(action, device):
    """Wall time of one call of `action`; on a GPU the time until it has really finished."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


# %% tags=["long"]
def measure_decoding(rounds=9):
    """Times of one decoding step, in seconds: {n_kv_heads: {what: [one per round]}}, and bytes."""
    device = pick_device()
    models = {n: decoder(n, device) for n in (16, 4, 1)}
    times = {n: {"model": [], "yours": [], "library": []} for n in models}
    real_bytes = {}
    token = torch.ones(BATCH, 1, dtype=torch.long, device=device)
    q = torch.randn(BATCH, HEADS, 1, HEAD_DIM, device=device)
    for n, (_, cache) in models.items():
        real_bytes[n] = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
        formula = kv_cache_bytes(LAYERS, n, HEAD_DIM, BATCH, CONTEXT, bytes_per_element=4)
        assert real_bytes[n] == formula, "the formula must give the bytes of the real cache"
    for round_number in range(rounds + 1):
        for n, (model, cache) in models.items():
            k, v = cache.layers[0].keys, cache.layers[0].values
            step = {
                "model": lambda model=model, cache=cache: model(token, past_key_values=cache),
                "yours": lambda k=k, v=v: gqa_attention(q, k, v),
                "library": lambda k=k, v=v: F.scaled_dot_product_attention(
                    q, k, v, enable_gqa=True
                ),
            }
            for what, action in step.items():
                elapsed = seconds(action, device)
                if round_number:  # the first round warms up
                    times[n][what].append(elapsed)
            cache.crop(-1)  # forget the token just written
    return times, real_bytes


with torch.no_grad():
    decode_times, cache_bytes = measure_decoding()

rows = []
for n, label in [(16, "MHA, 16 kv heads"), (4, "GQA, 4 kv heads"), (1, "MQA, 1 kv head")]:
    row = [label, f"{cache_bytes[n] / 2**20:.1f} MiB"]
    for what in ("model", "yours", "library"):
        mine, mha = decode_times[n][what], decode_times[16][what]
        ratio = statistics.median(a / b for a, b in zip(mha, mine, strict=True))
        low, middle, high = (f(mine) * 1e3 for f in (min, statistics.median, max))
        row += [f"{middle:.1f} ({low:.1f}–{high:.1f})", f"{ratio:.2f}×"]
    rows.append(row)
header = ["", "cache", "one token, ms", "faster", "your attention, ms", "faster"]
table(
    [*header, "PyTorch's, ms", "faster"],
    rows,
    f"One decoding step on {pick_device()}: median (range) of 9 rounds. Cache bytes = formula.",
)

# %% [markdown]
# Read the table with two questions. Is the *whole token* as much faster as the cache is smaller?
# And is the *attention* alone? For a cache 4× and 16× smaller, one core of ours found in several
# runs: the token 2.1–2.5× and 2.5–3.3×, PyTorch's attention about 1.7× and 2×, yours 1.1×. Three
# things explain these numbers:
#
# - Weights are read too, and they are nearly the same for all three.
# - `repeat_kv` writes full-size keys and values to memory. The saving in storage is real, the
#   saving in reading is lost again. Fast GPU kernels read the small cache and repeat in registers.
# - `DynamicCache` copies the whole cache for each new token. That rewards a small cache, for a
#   reason that has nothing to do with attention: so the token can gain more than its attention.
#
# > **The lecture says:** quality loss is minimal, inference speedup is significant.
# >
# > **The source:** [Ainslie et al. 2023](https://arxiv.org/abs/2305.13245), *GQA*,
# > Table 1. T5-XXL was trained with MHA, then converted to GQA or MQA and trained a little longer,
# > with 5% of the original training compute.
#
# | model | seconds per sample | average quality |
# |---|---|---|
# | MHA-XXL | 1.51 | 47.2 |
# | GQA-8-XXL | 0.28 | 47.1 |
# | MQA-XXL | 0.24 | 46.6 |
# | MHA-Large (a smaller model) | 0.37 | 46.0 |
#
# So: 5.4× faster for 0.1 points, **for that model, that hardware and converted weights**.
# Llama-3-8B was trained with GQA from the start; there is no MHA twin to compare with, so nobody
# can name its loss.

# %% [markdown]
# # Part B. Mixture of experts
#
# The other half of a transformer block is the feed-forward network (FFN). It treats every token on
# its own: shuffle the tokens and the outputs are shuffled, nothing else. That is what makes it easy
# to send different tokens to different networks.
#
# The FFN of all models here is a SwiGLU. It is given, in `course_lib/layers.py`:
#
# ```python
# class SwiGLU(nn.Module):
#     def __init__(self, d_model, d_ff):
#         super().__init__()
#         self.w_gate = nn.Linear(d_model, d_ff, bias=False)
#         self.w_up = nn.Linear(d_model, d_ff, bias=False)
#         self.w_down = nn.Linear(d_ff, d_model, bias=False)
#
#     def forward(self, x):
#         return self.w_down(F.silu(self.w_gate(x)) * self.w_up(x))
# ```

# %%
ffn, x, order = SwiGLU(8, 20), torch.randn(5, 8), torch.randperm(5)
print("shuffled tokens, shuffled outputs:", torch.allclose(ffn(x[order]), ffn(x)[order], atol=1e-6))

# %% [markdown]
# > **The lecture says:** the FFN has ~8d² parameters.
# >
# > **We compute:** $3 \cdot d \cdot d_{ff}$, with $d_{ff}$ from the published configurations:

# %%
rows = []
for name, c in REAL_CONFIGS.items():
    ratio = 3 * c.hidden_size * c.d_ff / c.hidden_size**2
    what = "one expert" if c.n_experts > 1 else "the FFN"
    rows.append([f"{name}, {what}", f"{c.hidden_size:,}", f"{c.d_ff:,}", f"{ratio:.2f} d²"])
table(["", "d", "d_ff", "parameters"], rows, "Parameters of one SwiGLU against 8 d²")

# %% [markdown]
# 8d² is a design choice: with $d_{ff} = \tfrac{8}{3} d$ the three matrices of a SwiGLU have as many
# parameters as the two of the older FFN with $d_{ff} = 4d$. Llama-2-7B follows it. Newer models
# spend more on the FFN, up to 17.5 d².

# %% [markdown] about="route"
# **Why.** The router is the only new idea in a mixture of experts: a single linear layer that
# scores the experts for each token. What you do with the scores matters: a softmax over the chosen
# scores, and a choice from the softmax over all, look alike and give different weights.
#
# **Mathematics.** For one token with scores $s \in \mathbb{R}^E$, let $S$ be the $k$ experts with
# the largest scores. Then
#
# $$w_e = \frac{e^{s_e}}{\sum_{j \in S} e^{s_j}} \qquad (e \in S).$$
#
# The weights of the chosen experts sum to 1. By hand: $s = (0, \ln 3, -5, \ln 6)$ and $k = 2$
# choose experts 3 and 1 with weights $6/9$ and $3/9$.


# %% exercise="route"
# exercise: route
def route(logits, k):
    """The k best experts of each token, and their weights.

    logits: (N, E), the scores, any floating dtype; not modified
    k: int, 1 <= k <= E
    Returns (weights, indices), both (N, k): weights float32, each row sums to 1; indices int64.
    The order within a row is free, as long as weights and indices agree.
    """
    ### BEGIN SOLUTION
    best, indices = logits.float().topk(k, dim=-1)
    return best.softmax(dim=-1), indices
    ### END SOLUTION


# %% test="route"
check("route", route)
### BEGIN HIDDEN TESTS
hidden("route")
### END HIDDEN TESTS

# %% [markdown]
# There is a second road to the same weights: softmax over all experts, keep the top k, **divide by
# their sum**. That is what the Mixtral of `transformers` does. Forget the division and the layer's
# output shrinks, by a different factor for each token:

# %%
logits = 2 * torch.randn(1000, 8)
weights, indices = route(logits, 2)
everything = logits.softmax(dim=-1).gather(1, indices)
renormalised = everything / everything.sum(dim=-1, keepdim=True)
kept = everything.sum(dim=-1)
difference = (renormalised - weights).abs().max()
print(f"softmax, top-2, divide: differs from yours by at most {difference:.1e}")
print(f"softmax, top-2, no division: rows sum to {kept.min():.2f} … {kept.max():.2f} instead of 1")

# %% [markdown] about="SparseMoE"
# **Why.** This is the layer that replaces the FFN in Mixtral. The point of it is what does **not**
# happen: an expert that is not chosen for a token does no work for that token. If you run every
# expert on every token and multiply by zero, the output is the same and the benefit is gone.
#
# **Mathematics.** For each token $x$ with $(w, S) = \text{route}(W_r x, k)$:
#
# $$y = \sum_{e \in S} w_e \, \text{FFN}_e(x).$$
#
# By hand: the token of the last exercise chose experts 3 and 1, so
# $y = \tfrac23 \text{FFN}_3(x) + \tfrac13 \text{FFN}_1(x)$, and experts 0 and 2 do nothing.
#
# The choice of $S$ is a hard decision and has no gradient. The weights $w_e$ do, and through them
# the router learns.
#
# Flatten the tokens to $N$ rows and think expert by expert: *which rows chose expert 3, and in
# which of their $k$ slots?* Run the expert once on those rows, weigh the result, add it to where
# the rows came from.


# %% exercise="SparseMoE"
# exercise: SparseMoE
class SparseMoE(nn.Module):
    """A mixture of SwiGLU experts: each token goes through its k best experts only.

    gate: nn.Linear(d_model, n_experts) without bias, the router
    experts: nn.ModuleList of n_experts SwiGLU(d_model, d_ff)
    """

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        ### BEGIN SOLUTION
        self.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList(SwiGLU(d_model, d_ff) for _ in range(n_experts))
        ### END SOLUTION

    def forward(self, x):
        """x (B, T, d_model) -> (B, T, d_model), same dtype; x is not modified.

        An expert is called on the rows routed to it and on no others; a call on no rows is fine.
        """
        ### BEGIN SOLUTION
        rows = x.reshape(-1, x.shape[-1])
        weights, indices = route(self.gate(rows), self.k)
        weights = weights.to(x.dtype)
        out = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            out = out.index_add(0, row, weights[row, slot, None] * expert(rows[row]))
        return out.reshape(x.shape)
        ### END SOLUTION


# %% test="SparseMoE"
check("SparseMoE", SparseMoE)
### BEGIN HIDDEN TESTS
hidden("SparseMoE")
### END HIDDEN TESTS

# %% [markdown] about="moe_param_counts"
# **Why.** "8x7B" suggests 56 billion parameters, the lecture says 47 in total and 13 active. Only
# the FFN is multiplied by 8; attention, embeddings and norms are shared. With this function you can
# check any model card.
#
# **Mathematics.** Let $d$ be `hidden_size`, $H$ and $H_{kv}$ the query and kv heads, $D$ the head
# size, $V$ `vocab_size`. One layer has
#
# - attention: $W_q$ and $W_o$ with $d \cdot HD$ each, $W_k$ and $W_v$ with $d \cdot H_{kv}D$ each;
#   with `attention_bias` also a bias on q, k and v ($HD + 2 H_{kv} D$), none on o;
# - two norms of $d$;
# - a router of $d \cdot E$, only if $E > 1$;
# - $E$ experts of $3 \cdot d \cdot d_{ff}$.
#
# Outside the layers: the embedding $V \cdot d$, the output matrix of the same size (unless
# `tied_embeddings`: then it *is* the embedding), and a final norm of $d$.
#
# **Active** means: used for one token. Everything counts, but of the $E$ experts only $k$.
# $HD$ need not be $d$.
#
# By hand: $d = 4$, one layer, 2 heads and 1 kv head of size 2, $d_{ff} = 8$, $V = 10$, untied.
# Attention $16 + 16 + 8 + 8 = 48$, norms 8, an expert 96, embedding and output 80, final norm 4:
# the dense model has 236. With 4 experts of which 2 run, the router adds 16: $236 + 16 + 3 \cdot 96
# = 540$ in total, $236 + 16 + 96 = 348$ active.


# %% exercise="moe_param_counts"
# exercise: moe_param_counts
def moe_param_counts(config):
    """Parameters of a model: all of them, and those used for one token.

    config: ModelConfig(hidden_size, n_layers, n_heads, n_kv_heads, head_dim, d_ff, vocab_size,
        n_experts=1, experts_per_token=1, tied_embeddings=False, attention_bias=False)
    Returns (total, active), two ints. For a dense model (n_experts == 1) they are equal.
    """
    ### BEGIN SOLUTION
    d = config.hidden_size
    q_size = config.n_heads * config.head_dim
    kv_size = config.n_kv_heads * config.head_dim
    attention = 2 * d * q_size + 2 * d * kv_size
    if config.attention_bias:
        attention += q_size + 2 * kv_size
    router = d * config.n_experts if config.n_experts > 1 else 0
    shared = attention + router + 2 * d
    expert = 3 * d * config.d_ff
    embeddings = config.vocab_size * d * (1 if config.tied_embeddings else 2)

    def count(n_experts):
        return embeddings + d + config.n_layers * (shared + n_experts * expert)

    return count(config.n_experts), count(config.experts_per_token)
    ### END SOLUTION


# %% test="moe_param_counts"
check("moe_param_counts", moe_param_counts)
### BEGIN HIDDEN TESTS
hidden("moe_param_counts")
### END HIDDEN TESTS

# %% [markdown]
# > **The lecture says:** Llama-3-8B 8B total and active; Mixtral 47B total, 13B active.
# >
# > **We compute:** correct, both. And all of the total must sit in memory: MoE saves compute, not
# > memory.

# %%
rows = []
for name, c in REAL_CONFIGS.items():
    total, active = moe_param_counts(c)
    rows.append([name, f"{total:,}", f"{active:,}", f"{2 * total / 1e9:.1f} GB"])
table(["model", "total", "active per token", "bfloat16 weights"], rows)

# %% [markdown]
# With your function you can design models. Cut each of Mixtral's experts into four quarters and
# choose 8 of 32 instead of 2 of 8. The counts hardly move (only the router grows), but a token can
# now combine experts in many more ways. This is the idea of *fine-grained* experts.

# %%
fine = ModelConfig(4096, 32, 32, 8, 128, 14336 // 4, 32000, n_experts=32, experts_per_token=8)
rows = []
for name, c in [("Mixtral, 2 of 8", REAL_CONFIGS["Mixtral-8x7B"]), ("quarters, 8 of 32", fine)]:
    total, active = moe_param_counts(c)
    ways = math.comb(c.n_experts, c.experts_per_token)
    rows.append([name, f"{total / 1e9:.3f}B", f"{active / 1e9:.3f}B", f"{ways:,}"])
table(["", "total", "active", "choices for a token in each layer"], rows)

# %% [markdown] about="expected_experts"
# **Why.** "Inference costs like a 13B model" is true for one token at a time. A server runs many
# tokens at once, and each of them may choose other experts. Every expert that *any* token chose has
# to be read from memory.
#
# **Mathematics.** Let each of $n$ tokens choose $k$ different experts out of $E$, uniformly and
# independently. How many distinct experts does the batch touch, on average? By hand: $E = 2$,
# $k = 1$, $n = 2$. The two tokens agree half of the time, so the answer is
# $\tfrac12 \cdot 1 + \tfrac12 \cdot 2 = 1.5$.


# %% exercise="expected_experts"
# exercise: expected_experts
def expected_experts(n_experts, k, n_tokens):
    """Expected number of distinct experts that n_tokens touch under uniform routing.

    n_experts >= 1, 1 <= k <= n_experts, n_tokens >= 0: ints
    Each token chooses k different experts.
    Returns a float between 0 and n_experts.
    """
    ### BEGIN SOLUTION
    missed = (1 - k / n_experts) ** n_tokens
    return n_experts * (1 - missed)
    ### END SOLUTION


# %% test="expected_experts"
check("expected_experts", expected_experts)
### BEGIN HIDDEN TESTS
hidden("expected_experts")
### END HIDDEN TESTS

# %% [markdown]
# Two of your functions together give the weights that one decoding step of Mixtral reads. We also
# **simulate**: draw the experts of each token at random, 2,000 times, and count.

# %%
total, active = moe_param_counts(REAL_CONFIGS["Mixtral-8x7B"])
per_expert = (total - active) // 6  # 8 experts against 2, all layers together
always = total - 8 * per_expert
batches = [1, 2, 4, 8, 16, 32, 64]
formula = [(always + expected_experts(8, 2, n) * per_expert) / 1e9 for n in batches]


def simulated(n_tokens, trials=2000):
    """Mean number of distinct experts that n_tokens touch, over random draws."""
    chosen = torch.rand(trials, n_tokens, 8).topk(2).indices.flatten(1)
    return F.one_hot(chosen, 8).amax(dim=1).sum(dim=1).float().mean().item()


drawn = [(always + simulated(n) * per_expert) / 1e9 for n in batches]
rows = [
    [n, f"{expected_experts(8, 2, n):.2f}", f"{a:.1f}B", f"{b:.1f}B"]
    for n, a, b in zip(batches, formula, drawn, strict=True)
]
table(["tokens in the batch", "experts touched", "parameters read", "simulated"], rows)

fig, axis = figure(height=2.8)
axis.plot(batches, formula, label="formula", **LINES[0])
axis.plot(batches, drawn, label="simulated", **{**LINES[1], "linestyle": "none"})
for level, text in [(active / 1e9, "active: 12.9B"), (total / 1e9, "total: 46.7B")]:
    axis.axhline(level, color="black", linewidth=0.8, linestyle=(0, (1, 3)))
    axis.text(8, level + 0.7, text, ha="center")
axis.set_xscale("log", base=2)
axis.set(xlabel="tokens in the batch", ylabel="parameters read (billions)", ylim=(0, 53))
axis.set_xticks(batches, batches)
_ = axis.legend(loc="lower right", frameon=False)

# %% [markdown]
# > **The lecture says:** inference cost per token is ∝ 13B.
# >
# > **We compute:** the *arithmetic* is, at any batch size. The *memory traffic* is only for a
# > single sequence: with 8 tokens in the batch a step reads 42B parameters, with 32 all of them.
# > (Shared among the batch, of course: per token it still falls.)
# >
# > **The lecture also says** that Mixtral's quality is "much better" than Llama-3-8B's. No
# > measurement is given, and the two differ in data, year and training. We leave that line out.

# %% [markdown]
# Play with it: how large may a batch be until it needs every expert? Then give the router
# favourites, and watch the busiest expert. That is what the next exercise is for.

# %%
from course_lib import moe_routing_explorer

moe_routing_explorer()

# %% [markdown] about="load_balancing_loss"
# **Why.** Nothing so far stops the router from sending every token to the same two experts. The
# chosen experts learn, so they get chosen more, and the others never start. The lecture leaves out
# the remedy that nearly every trained MoE needs: a term in the loss that grows when the use is
# uneven.
#
# **Mathematics.** Over $N$ tokens let $f_e$ be the share of tokens that have expert $e$ among
# their top $k$ (so $\sum_e f_e = k$), and $P_e$ the mean of the softmax probability of $e$ over
# **all** experts:
#
# $$\mathcal{L} = E \sum_{e=1}^{E} f_e \, P_e .$$
#
# Uniform routing: $f_e = k/E$, $P_e = 1/E$, so $\mathcal{L} = k$. All tokens sure of the same
# expert, with $k = 1$: $\mathcal{L} = E$. The $f_e$ are counts divided by $N$ and have no gradient;
# the gradient flows through $P_e$ alone. This is the convention of `transformers`; with $k = 1$ it
# is the loss of the Switch Transformer ([Fedus et al. 2021](https://arxiv.org/abs/2101.03961)).


# %% exercise="load_balancing_loss"
# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    """How uneven the routing is: k when it is uniform, up to about n_experts when it collapses.

    router_logits: (N, E), floating; not modified
    k: int, experts per token
    Returns a scalar tensor; gradient flows through the probabilities, not through the counts.
    """
    ### BEGIN SOLUTION
    n_experts = router_logits.shape[-1]
    probabilities = router_logits.softmax(dim=-1)
    chosen = probabilities.topk(k, dim=-1).indices
    share = F.one_hot(chosen, n_experts).sum(dim=(0, 1)) / len(router_logits)
    return n_experts * (share * probabilities.mean(dim=0)).sum()
    ### END SOLUTION


# %% test="load_balancing_loss"
check("load_balancing_loss", load_balancing_loss)
### BEGIN HIDDEN TESTS
hidden("load_balancing_loss")
### END HIDDEN TESTS

# %% [markdown]
# ## Do experts learn topics?
#
# > **The lecture says:** "theorem" might go to a math expert, "DNA" to a biology expert.
#
# A claim that can be measured. We train a small language model made of **your** parts: your
# attention, your mixture of experts, your loss. Its texts have two topics. Each topic has its own
# words (theorem, prime, … / dna, gene, …), and both share many words that mean different things in
# each: *root*, *field*, *cell*, *tree*. If experts follow the topic, "root" in a mathematical text
# should go elsewhere than "root" in a biological one.

# %%
SHARED = ["cell", "field", "root", "tree", "base", "culture", "branch", "strain", "ring"]
SHARED += ["volume", "group", "order", "function", "form", "model"]
TOPIC_WORDS = [
    ["theorem", "proof", "lemma", "integer", "prime", "polynomial", "vector", "matrix", "axiom"],
    ["dna", "protein", "enzyme", "gene", "bacteria", "membrane", "species", "virus", "neuron"],
]
SENTENCES = [
    "the A of the S is a A .",
    "we show that each S has a A .",
    "every A in the S is the A of a S .",
    "if the S of a A is small then the A is a S .",
    "a S and a A form the A .",
]
VOCABULARY = sorted(
    {word for sentence in SENTENCES for word in sentence.split()}
    | set(SHARED)
    | set(TOPIC_WORDS[0])
    | set(TOPIC_WORDS[1])
)
WORD_ID = {word: i for i, word in enumerate(VOCABULARY)}


def make_texts(count, rng, length=40):
    """(ids (count, length), topics (count,)): mathematics (0) and biology (1) in turn."""

    def pick(words):
        return words[torch.randint(len(words), (1,), generator=rng)]

    topics = torch.arange(count) % 2
    texts = []
    for topic in topics.tolist():
        text = []
        while len(text) < length:
            for word in pick(SENTENCES).split():
                word = {"A": TOPIC_WORDS[topic], "S": SHARED}.get(word, [word])
                text.append(WORD_ID[pick(word)])
        texts.append(text[:length])
    return torch.tensor(texts), topics


ids, topics = make_texts(2, torch.Generator().manual_seed(3))
for text in ids:
    print(" ".join(VOCABULARY[i] for i in text[:24]), "…")


# %%
class TinyMoE(nn.Module):
    """One transformer block from your parts: 4 query heads on 2 kv heads, 8 experts, 2 a token."""

    def __init__(self, d_model=48, n_experts=8, k=2):
        super().__init__()
        self.embed = nn.Embedding(len(VOCABULARY), d_model)
        self.position = nn.Parameter(0.02 * torch.randn(40, d_model))
        self.q = nn.Linear(d_model, d_model, bias=False)
        self.k = nn.Linear(d_model, d_model // 2, bias=False)
        self.v = nn.Linear(d_model, d_model // 2, bias=False)
        self.o = nn.Linear(d_model, d_model, bias=False)
        self.moe = SparseMoE(d_model, 2 * d_model, n_experts, k)
        self.norms = nn.ModuleList(nn.RMSNorm(d_model) for _ in range(3))
        self.head = nn.Linear(d_model, len(VOCABULARY), bias=False)

    def forward(self, ids):
        """ids (B, T) -> (logits (B, T, V), router logits (B*T, E))."""
        B, T = ids.shape
        x = self.embed(ids) + self.position[:T]
        h = self.norms[0](x)
        q, k, v = (p(h).view(B, T, -1, 12).transpose(1, 2) for p in (self.q, self.k, self.v))
        x = x + self.o(gqa_attention(q, k, v).transpose(1, 2).reshape(B, T, -1))
        h = self.norms[1](x)
        x = x + self.moe(h)
        return self.head(self.norms[2](x)), self.moe.gate(h).flatten(0, 1)


@one_thread()  # matrices this small are no faster with more
def train_tiny(seed, balance, steps=200):
    """A trained TinyMoE; `balance` is the weight of your load_balancing_loss (0: without it)."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    ids, _ = make_texts(500, rng)
    model = TinyMoE()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-3)
    for _ in range(steps):
        batch = ids[torch.randint(len(ids), (16,), generator=rng)]
        logits, router_logits = model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        if balance:
            loss = loss + balance * load_balancing_loss(router_logits, 2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


# %% [markdown]
# How do we measure "follows"? With **mutual information**: how many bits we learn about the expert
# of a token (the one with the largest score) when we are told something. Told the *word*:
# $I(\text{expert};\text{word})$. Told the *topic* of the text: $I(\text{expert};\text{topic})$. The
# honest question is the third: told the topic when we know the word already,
# $I(\text{expert};\text{topic} \mid \text{word})$.
#
# Two controls. **Chance:** we shuffle the topic labels among the texts 20 times; what remains is
# what a finite sample gives for nothing. **Does the model know the topic at all?** We look at how
# much of the probability for the next topic word it puts on words of the right topic (50% means:
# no idea).


# %%
def information(a, b):
    """Mutual information of two integer vectors, in bits."""
    joint = torch.zeros(int(a.max()) + 1, int(b.max()) + 1, dtype=torch.float64)
    joint.index_put_((a, b), torch.ones(len(a), dtype=torch.float64), accumulate=True)
    joint /= joint.sum()
    independent = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    there = joint > 0
    return (joint[there] * (joint[there] / independent[there]).log2()).sum().item()


@torch.no_grad()
def follow(model, seed):
    """What the best expert of each token follows, on fresh texts; bits, shares and controls."""
    rng = torch.Generator().manual_seed(1000 + seed)
    ids, topics = make_texts(200, rng)
    logits, router_logits = model(ids)
    indices = route(router_logits, 2)[1]
    expert, word = router_logits.argmax(dim=-1), ids.flatten()

    def bits(topics):
        topic = topics.repeat_interleave(ids.shape[1])
        given_word = information(expert, 2 * word + topic) - information(expert, word)
        return information(expert, topic), given_word

    chance = [bits(topics[torch.randperm(len(topics), generator=rng)])[1] for _ in range(20)]
    probabilities = logits.softmax(-1)
    is_topic_word = [torch.tensor([w in words for w in VOCABULARY]) for words in TOPIC_WORDS]
    mass = torch.stack([(probabilities * m).sum(-1) for m in is_topic_word], dim=-1)
    mass = mass[:, 20:-1]  # half a text has been read
    right = mass.gather(2, topics[:, None, None].expand(-1, mass.shape[1], 1))[..., 0]
    next_id = ids[:, 21:]
    topic_next = is_topic_word[0][next_id] | is_topic_word[1][next_id]
    use = torch.bincount(indices.flatten(), minlength=8) / indices.numel()
    return {
        "word": information(expert, word),
        "topic": bits(topics)[0],
        "topic given word": bits(topics)[1],
        "chance": max(chance),
        "knows": (right / mass.sum(-1))[topic_next].mean().item(),
        "busiest": use.max().item(),
        "laziest": use.min().item(),
    }


# %% tags=["long"]
results = []
for balance in (0.0, 0.02):
    for seed in range(3):
        results.append((balance, seed, follow(train_tiny(seed, balance), seed)))

header = ["balancing loss", "seed", "word", "topic", "topic given word", "chance (max of 20)"]
table(
    [*header, "mass on right topic", "busiest expert", "laziest"],
    [
        [f"{balance:g}" if balance else "none", seed]
        + [f"{r[key]:.3f}" for key in ("word", "topic", "topic given word", "chance")]
        + [f"{r[key]:.0%}" for key in ("knows", "busiest", "laziest")]
        for balance, seed, r in results
    ],
    "What the expert of a token follows, in bits; even use would be 12.5% for each expert",
)

# %% [markdown]
# What we found (yours may differ a little): all six models know the topic, with 97% or more of the
# probability on its words. The **word** tells 1.4 to 2.2 bits of the expert (of 3 at most, for 8
# experts). The **topic** tells 0.00 to 0.07 bits. Beyond the word it tells 0.01 to 0.12 bits,
# mostly more than shuffled labels do (up to 0.02). So the router does use the topic a little,
# differently from seed to seed. But it is a faint trace: this router sorts words, not subjects.
#
# In the last two columns you see your loss at work: the busiest and the laziest expert come closer.
#
# > **What is known of the real one:** the Mixtral paper
# > ([Jiang et al. 2024](https://arxiv.org/abs/2401.04088), section 5) looked at texts from
# > different fields and reports: "Surprisingly, we do not observe obvious patterns in the
# > assignment of experts based on the topic." Ours is one tiny model with one layer, theirs a large
# > one; both say that "math expert" is a picture, not a description.

# %% [markdown]
# # Against the real thing
#
# The last test is not ours. Your code gets the random weights and inputs of `transformers`' own
# modules, and we compare outputs, losses and counts.

# %% tags=["long"]
from transformers import MixtralConfig, MixtralForCausalLM
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaRotaryEmbedding,
    apply_rotary_pos_emb,
)
from transformers.models.mixtral.modeling_mixtral import (
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)


@torch.no_grad()
def against_llama():
    """Your attention inside Llama's projections, against LlamaAttention."""
    config = LlamaConfig(hidden_size=64, num_attention_heads=8, num_key_value_heads=2)
    config._attn_implementation = "sdpa"
    theirs, x = LlamaAttention(config, layer_idx=0).eval(), torch.randn(2, 11, 64)
    cos_sin = LlamaRotaryEmbedding(config)(x, torch.arange(11)[None])
    q, k, v = (
        p(x).view(2, 11, -1, 8).transpose(1, 2)
        for p in (theirs.q_proj, theirs.k_proj, theirs.v_proj)
    )
    q, k = apply_rotary_pos_emb(q, k, *cos_sin)
    yours = theirs.o_proj(gqa_attention(q, k, v).transpose(1, 2).flatten(2))
    return yours, theirs(x, cos_sin, attention_mask=None)[0]


@torch.no_grad()
def against_mixtral():
    """Your SparseMoE with the weights of a MixtralSparseMoeBlock."""
    config = MixtralConfig(
        hidden_size=32, intermediate_size=48, num_local_experts=8, num_experts_per_tok=2
    )
    config._experts_implementation = "eager"
    theirs, yours, x = MixtralSparseMoeBlock(config), SparseMoE(32, 48, 8, 2), torch.randn(2, 9, 32)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3)
    yours.gate.weight.copy_(theirs.gate.weight)
    for e, expert in enumerate(yours.experts):
        gate, up = theirs.experts.gate_up_proj[e].chunk(2)  # two matrices stored as one
        expert.w_gate.weight.copy_(gate)
        expert.w_up.weight.copy_(up)
        expert.w_down.weight.copy_(theirs.experts.down_proj[e])
    return yours(x), theirs(x)


def against_balance():
    """Your loss on random router logits, against load_balancing_loss_func."""
    logits = torch.randn(100, 8)
    return load_balancing_loss(logits, 2), load_balancing_loss_func((logits,), 8, 2)


rows = []
for what, compare in [
    ("gqa_attention in LlamaAttention", against_llama),
    ("SparseMoE against MixtralSparseMoeBlock", against_mixtral),
    ("load_balancing_loss", against_balance),
]:
    yours, theirs = compare()
    difference = ((yours - theirs).abs().max() / theirs.abs().max()).item()
    rows.append([what, f"{difference:.1e}", "same" if difference < 1e-4 else "DIFFERENT"])

with torch.device("meta"):  # shapes without memory: all of Mixtral in a second
    mixtral = MixtralForCausalLM(MixtralConfig())
counted = sum(p.numel() for p in mixtral.parameters())
yours = moe_param_counts(REAL_CONFIGS["Mixtral-8x7B"])[0]
rows.append(
    [
        "moe_param_counts, Mixtral 8x7B",
        f"{abs(yours - counted)}",
        "same" if yours == counted else "DIFFERENT",
    ]
)
caption = "Largest relative difference; for counts, the difference itself"
table(["yours against transformers", "difference", ""], rows, caption)

# %% [markdown]
# # What to take along
#
# - **GQA** shares key/value heads: query head $h$ reads head $\lfloor h/n \rfloor$. The cache
#   shrinks by exactly $H_q / H_{kv}$; the speed-up depends on how much of the reading is cache,
#   and on the kernel.
# - **Causal masks belong to the end.** With a cache there are fewer queries than keys, and a mask
#   from the top left corner is silently wrong.
# - **Routing** is top-k, then softmax over the k. Softmax first is the same only with
#   renormalisation.
# - **MoE saves arithmetic, not memory**, and at serving batch sizes not memory traffic either:
#   Mixtral reads 12.9B parameters for one token, 42B for eight.
# - **8d² is a convention** (8.06 … 17.5 in five models), and **experts are not subjects**, neither
#   in our small model nor, as its authors report, in Mixtral.
# - Without a **balancing loss** some experts can starve.
#
# Next: `02_lora_parameters` changes such a model by training less than one percent of it.
