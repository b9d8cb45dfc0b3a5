# %% [markdown]
# # LoRA parameter math
#
# Fine-tuning a model of 7 billion parameters in the plain way needs more than 100 GB of memory.
# **LoRA** (low-rank adaptation) freezes the model, trains two thin matrices beside each big one,
# and saves a file of tens of megabytes. Here you build it, from the count to the file.
#
# What you write works on real `transformers` models. In the last part it meets the `peft` library:
# the same weights must give the same outputs, the same merge and the same counts.
# On the way we check every number that the lecture gives about LoRA. Some hold, some do not.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `lora_param_count` | how many parameters LoRA trains | 3 |
# | 2 | `LoRALinear` | a linear layer with an adapter | 5 |
# | 3 | `merged_linear` | make the adapter disappear into the weight | 3 |
# | 4 | `inject_lora` | put adapters into any model | 4 |
# | 5 | `adapter_state_dict`, `load_adapter` | save and load an adapter | 2 |
# | 6 | `finetune_memory` | the bytes that fine-tuning needs | 1 |
# | 7 | `effective_rank` | how many directions a change really uses | 2 |
# | | | **together** | **20** |
#
# Time: about two and a half hours. Everything runs on a laptop; the longest cell takes half a
# minute. Needed: matrix products, `nn.Module`, what a gradient is.
#
# **How to work.** Replace `raise NotImplementedError` in an exercise cell, run it, then run the
# check below it. The check tells you what is wrong, not only that it is. Each exercise has three
# hints; open them one at a time, or call `hint("lora_param_count")`. Letters used throughout:
# $W$ a weight of shape $d_\text{out} \times d_\text{in}$, $r$ the rank, $\alpha$ a number that sets
# the strength.

# %% tags=["setup"]
import copy
import math
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from course_lib import check, hint, lora_rank_explorer
from course_lib.configs import REAL_CONFIGS, linear_shapes
from course_lib.pictures import LINES, figure, table

# %% [markdown]
# ## Two stages
#
# A language model is built in two stages. **Pre-training** predicts the next token on an enormous,
# general text: knowledge, grammar, arithmetic. **Fine-tuning** continues on a small, special text:
# a format, a style, a task. The lecture's picture: a university education, then job training.
#
# Why not just prompt? A prompt is followed most of the time, costs tokens in every request, and
# competes with everything else in the context. Fine-tuning writes the behaviour into the weights.
# That raises the question of this notebook: **into how many of them?**
#
# | method | what changes | the lecture: share trained |
# |---|---|---|
# | full fine-tuning | all parameters | 100% |
# | LoRA | small matrices beside the big ones | < 1% |
# | prompt tuning | a learned prefix of the input | < 0.01% |
#
# We will compute the last column for real models, and train all three.

# %% [markdown]
# # Part A. A small change to a matrix
#
# ## By hand
#
# Take a weight with 2 outputs and 3 inputs, and a change made of one column times one row:
#
# $$W = \begin{pmatrix} 1 & 0 & 2 \\ 0 & 1 & -1 \end{pmatrix},\quad
# B = \begin{pmatrix} 1 \\ 2 \end{pmatrix},\quad
# A = \begin{pmatrix} 1 & -1 & 0 \end{pmatrix},\quad
# BA = \begin{pmatrix} 1 & -1 & 0 \\ 2 & -2 & 0 \end{pmatrix}.$$
#
# The second row of $BA$ is twice the first: one direction only, so its **rank** is $r = 1$. LoRA
# adds $\frac{\alpha}{r} BA$. With $\alpha = 2$ the factor is 2:
#
# $$W' = W + 2 BA = \begin{pmatrix} 3 & -2 & 2 \\ 4 & -3 & -1 \end{pmatrix}.$$
#
# For $x = (1, 2, 1)$ there are two ways to the same result. Follow them on paper before you run
# the cell.
#
# - Through the new matrix: $W'x = (3 - 4 + 2,\; 4 - 6 - 1) = (1, -3)$.
# - Through the detour, without ever building $W'$: $Ax = -1$, then $B(Ax) = (-1, -2)$, times 2 is
#   $(-2, -4)$, plus $Wx = (3, 1)$ gives $(1, -3)$.

# %%
W = torch.tensor([[1.0, 0, 2], [0, 1, -1]])
B, A = torch.tensor([[1.0], [2.0]]), torch.tensor([[1.0, -1, 0]])
x, scaling = torch.tensor([1.0, 2.0, 1.0]), 2.0

print("through the new matrix:", (W + scaling * B @ A) @ x)
print("through the detour:    ", W @ x + scaling * (B @ (A @ x)))

# %% [markdown]
# At 2 × 3 there is little to gain: $B$ and $A$ hold 5 numbers, $BA$ 6. It pays when the matrix is
# large, because $W$ grows with the **product** of its sides, $A$ and $B$ with their **sum**.
# The picture is drawn to scale for a matrix of 4096 × 4096.

# %%
fig, axes = figure(columns=3, width=8.5, height=2.9)
d = 4096
for axis, r in zip(axes, (16, 64, 256), strict=True):
    gap = 300
    for x0, y0, width, height, name in [
        (0, 0, d, d, "W\n4096 × 4096"),
        (d + gap, 0, r, d, ""),
        (0, -gap - r, d, r, ""),
    ]:
        axis.fill(
            [x0, x0 + width, x0 + width, x0],
            [y0, y0, y0 + height, y0 + height],
            facecolor="#dddddd" if name else "black",
            edgecolor="black",
        )
        axis.text(x0 + width / 2, y0 + height / 2, name, ha="center", va="center")
    axis.text(d + 2 * gap + r, d / 2, "B", va="center")
    axis.text(d / 2, -2.2 * gap - r, "A", ha="center", va="top")
    axis.set(title=f"r = {r}: {2 * r * d / d**2:.1%} of W", aspect="equal")
    axis.axis("off")

# %% [markdown]
# > **The lecture says:** a $4096 \times 4096$ matrix has 16.8M parameters, its adapter with $r =
# > 16$ has $2dr = 131$K, and that is 128× fewer.
# >
# > **We compute:** $4096^2 = 16{,}777{,}216$, $2 \cdot 4096 \cdot 16 = 131{,}072$, and the ratio is
# > exactly $d / 2r = 128$. All right so far. But $2dr$ is for a **square** matrix, and most
# > matrices of a modern model are not square. That is your first exercise.

# %% [markdown] about="lora_param_count"
# **Why.** The count decides the size of the adapter file, the memory of the optimizer, and whether
# a run fits on your GPU. It is also the first thing that a library prints, so being able to
# recompute it is how you notice that your configuration did something else than you meant.
#
# **Mathematics.** A matrix of shape $(d_\text{out}, d_\text{in})$ gets $B$ of shape
# $(d_\text{out}, r)$ and $A$ of shape $(r, d_\text{in})$:
#
# $$n = \sum_{\text{matching modules}} \left( d_\text{out} \cdot r + r \cdot d_\text{in} \right)
# = r \sum \left( d_\text{out} + d_\text{in} \right).$$
#
# By hand: one 2 × 3 matrix with $r = 1$ gives $2 + 3 = 5$, as above.
#
# Which modules match? A target such as `q_proj` stands for every module whose full name is `q_proj`
# or ends in `.q_proj`: `model.layers.0.self_attn.q_proj` does, `model.layers.0.self_attn.fq_proj`
# does not.


# %% exercise="lora_param_count"
# exercise: lora_param_count
def lora_param_count(shapes, r, targets):
    """Number of parameters that LoRA of rank r trains.

    shapes: dict, full module name -> (out_features, in_features), ints; not modified
    r: int, the rank
    targets: list or tuple of str. A module matches when its name equals a target or ends in
        "." + target; it counts once, however many targets match it.
    Returns an int, exact however large.
    Raises ValueError if r < 1, or if no target matches anything.
    """
    ### BEGIN SOLUTION
    if r < 1:
        raise ValueError(f"the rank must be at least 1, not {r}")
    matched = [
        shape
        for name, shape in shapes.items()
        if any(name == target or name.endswith("." + target) for target in targets)
    ]
    if not matched:
        raise ValueError(f"no module is called {', '.join(targets) or 'anything'}")
    return sum(r * (d_out + d_in) for d_out, d_in in matched)
    ### END SOLUTION


# %% test="lora_param_count"
check("lora_param_count", lora_param_count)
### BEGIN HIDDEN TESTS
hidden("lora_param_count")
### END HIDDEN TESTS


# %% [markdown]
# ## A detective story: 3,407,872
#
# The lecture fine-tunes Qwen2.5-Math-1.5B with $r = 16$ on `q_proj`, `k_proj`, `v_proj` and
# `o_proj`. Its slide shows this line, and says that the saved adapter has about 13 MB:
#
# ```
# trainable: 3,407,872 (0.22%)
# ```
#
# Here are the shapes of one layer. Before you run on: **write down your own prediction.**
# There are 28 layers.

# %%
shapes = linear_shapes(REAL_CONFIGS["Qwen2.5-Math-1.5B"])
attention = ["q_proj", "k_proj", "v_proj", "o_proj"]
table(
    ["module of layer 0", "out", "in"],
    [
        [f"`{name}`", *shapes[name]]
        for name in shapes
        if name.startswith("model.layers.0.self_attn")
    ],
)
print(f"{len(shapes)} matrices in all layers")

# %%
prediction = None  # your number, for example 28 * 16 * (…)

# %% [markdown]
# **Compute**, with your function:

# %%
count = lora_param_count(linear_shapes(REAL_CONFIGS["Qwen2.5-Math-1.5B"]), 16, attention)
print(f"from the shapes: {count:,}   (your prediction: {prediction})")
print(f"as float32 in a file: {4 * count / 1e6:.2f} MB")

# %% [markdown]
# **Confirm**, with `peft` on the real architecture. The model is built on the `meta` device: every
# tensor has its shape, but no memory, so 1.5 billion parameters cost nothing.

# %% tags=["long"]
from peft import LoraConfig, get_peft_model

from course_lib.experiments.lora_parameters import meta_model

qwen = meta_model(REAL_CONFIGS["Qwen2.5-Math-1.5B"])
config = LoraConfig(r=16, lora_alpha=32, target_modules=attention, task_type="CAUSAL_LM")
get_peft_model(qwen, config).print_trainable_parameters()

# %% [markdown]
# So the slide's number belongs to something else. **Which model has exactly 3,407,872?** Search:

# %%
choices = {"q, v": ["q_proj", "v_proj"], "q, k, v, o": attention}
for name, model_config in REAL_CONFIGS.items():
    for label, targets in choices.items():
        for r in (1, 2, 4, 8, 16, 32, 64):
            if lora_param_count(linear_shapes(model_config), r, targets) == 3_407_872:
                print(f"{name}: {label} with r = {r}")

# %% [markdown]
# > **The lecture says:** 3,407,872 trainable parameters (0.22%), a file of about 13 MB.
# >
# > **We compute:** 4,358,144 (0.2815% of everything, as `peft` prints it), a file of 17.4 MB.
# > The slide's count is exactly that of Llama-3-8B with $r = 8$ on q and v, or $r = 4$ on q, k, v
# > and o. (Mixtral, and Mistral-7B, have attention matrices of the same shapes.) From that number
# > the other two follow: $3{,}407{,}872 \times 4$ bytes are 13.6 MB, and it is 0.22% of 1.54
# > billion.
# >
# > How the number came onto the slide we cannot know. That it matches another model to the last
# > digit is why one recomputes.
#
# If you got 5,505,024, you took every matrix as 1536 × 1536. The k and v matrices are 256 × 1536,
# because 12 query heads share 2 key/value heads (notebook 01).

# %% [markdown]
# ## Rank against parameters
#
# Move the rank, change the model, compare attention only with all linear layers.

# %%
lora_rank_explorer()

# %% [markdown]
# Now the lecture's table for "a 7B model", beside three real ones. All counts come from your
# function, in millions.

# %%
all_linear = [*attention, "gate_proj", "up_proj", "down_proj"]
lecture = {4: 5, 16: 20, 64: 80, 256: 320}
names = ["Llama-2-7B", "Llama-3-8B", "Qwen2.5-7B"]
rows = []
for r, claimed in lecture.items():
    counts = [
        lora_param_count(linear_shapes(REAL_CONFIGS[name]), r, targets) / 1e6
        for targets in (attention, all_linear)
        for name in names
    ]
    rows.append([r, claimed, *(f"{c:.2f}" for c in counts)])
header = ["r", "the lecture", *(f"{n}, attention" for n in names), *(f"{n}, all" for n in names)]
table(header, rows, caption="trainable parameters in millions")

# %% tags=["long"]
rows = []
for name in names:
    total = meta_model(REAL_CONFIGS[name]).num_parameters()
    for label, targets in (("attention", attention), ("all linear", all_linear)):
        shares = [
            lora_param_count(linear_shapes(REAL_CONFIGS[name]), r, targets) / total for r in lecture
        ]
        rows.append([f"{name}, {label}", f"{total:,}", *(f"{s:.2%}" for s in shares)])
table(["model", "parameters", *(f"r = {r}" for r in lecture)], rows, caption="share trained")

# %% [markdown]
# > **The lecture says:** 5M, 20M, 80M and 320M for $r$ = 4, 16, 64, 256, and "LoRA: < 1%".
# >
# > **We compute:** the column is 1.25M for each unit of rank, which fits none of the three models:
# > attention only is less (Llama-2-7B with the slide's own $2dr \cdot 4 \cdot 32$ gives 16.8M at
# > $r = 16$), all linear layers are twice as much. And "< 1%" holds for small ranks only. At
# > $r = 256$ it is 2 to 10%.
#
# The same slide calls $r = 16$ "the most common default". Look at what the library does if you say
# nothing:

# %% tags=["long"]
default = LoraConfig()
print(f"peft's defaults: r = {default.r}, lora_alpha = {default.lora_alpha}")

# %% [markdown]
# ## Is the change really of low rank?
#
# > **The lecture says:** "Observation (Aghajanyan et al., 2021): when you fine-tune, the weight
# > changes ΔW are low-rank."
#
# That is not what [the paper](https://arxiv.org/abs/2012.13255) observed. It measured the
# **intrinsic dimension**: the authors kept the model fixed, trained a few numbers only, and
# projected these at random into the space of *all* parameters. With 200 numbers, RoBERTa reached
# 90% of full fine-tuning on the task MRPC. Few numbers, yes. But a few numbers are not a low rank.
#
# > **We compute:** one single number $\theta$, multiplied by a fixed random matrix $P$. The change
# > $\Delta W = \theta P$ has dimension 1. What is its rank?

# %%
torch.manual_seed(0)
d = 64
theta = torch.tensor(0.01)  # the only number that is trained
change = theta * torch.randn(d, d)  # the random direction stays as it is
B, A = torch.randn(d, 4), torch.randn(4, d)
table(
    ["change of a 64 × 64 matrix", "numbers trained", "rank of ΔW"],
    [
        ["one number times a random direction", 1, int(torch.linalg.matrix_rank(change))],
        ["LoRA with r = 4", A.numel() + B.numel(), int(torch.linalg.matrix_rank(B @ A))],
    ],
)

# %% [markdown]
# The smallest dimension comes with the largest rank. The two ideas are different; that ΔW may be
# of low **rank** is the hypothesis which [Hu et al. (2022)](https://arxiv.org/abs/2106.09685)
# added, and on which LoRA stands. At the end of this notebook you measure it: we fine-tune all
# weights of a model and look at the ΔW.

# %% [markdown]
# # Part B. The layer

# %% [markdown] about="LoRALinear"
# **Why.** This is LoRA. Everything else in this notebook puts this layer somewhere, saves it, or
# removes it again.
#
# **Mathematics.** For an input $x$ the layer computes
#
# $$y = \underbrace{W x + b}_{\text{base, frozen}} + \frac{\alpha}{r}\, B \, A \,
# \operatorname{dropout}(x).$$
#
# Read it from the right: $A$ brings $x$ down to $r$ numbers, $B$ brings these up to
# $d_\text{out}$. The big product $BA$ is never built.
#
# > **The lecture says:** $W' = W + BA$ with $B \in \mathbb{R}^{d \times r}$,
# > $A \in \mathbb{R}^{r \times d}$.
# >
# > **The formula that libraries use:** $W' = W + \frac{\alpha}{r} BA$, with
# > $B \in \mathbb{R}^{d_\text{out} \times r}$ and $A \in \mathbb{R}^{r \times d_\text{in}}$.
# > Without $\alpha / r$ an adapter from a real file gives wrong outputs: with the lecture's own
# > settings $r = 16$, $\alpha = 32$ the change would be half as large as it was trained to be.
#
# **The start.** At first nothing may change, so $BA = 0$. There is a trap. The gradients, for one
# $x$ and without dropout, are
#
# $$\frac{\partial L}{\partial B} = \frac{\alpha}{r}\, g\, (A x)^\top, \qquad
# \frac{\partial L}{\partial A} = \frac{\alpha}{r}\, B^\top g\, x^\top,
# \qquad g = \frac{\partial L}{\partial y}.$$
#
# If both factors are zero, both gradients are zero, for ever. So **one** factor starts at zero:
# $B$, by custom. $A$ starts at random.
#
# By hand: the numbers of Part A, where $x = (1, 2, 1)$ gave $Wx = (3, 1)$ and $y = (1, -3)$.


# %% exercise="LoRALinear"
# exercise: LoRALinear
class LoRALinear(nn.Module):
    """A frozen nn.Linear with a trainable update of rank r beside it.

        y = base(x) + (alpha / r) B A dropout(x)

    base: nn.Linear (out, in), with or without bias, any float dtype; kept as it is, and frozen
    r: int >= 1; may exceed in and out. alpha: number. dropout: probability, 0 <= dropout < 1
    Attributes: base, r, alpha, scaling (= alpha / r)
    Parameters: lora_A (r, in) and lora_B (out, r), trainable, float32 or the base's dtype; at the
        start B A is zero, and at least one of the two gets gradient.
    """

    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        ### BEGIN SOLUTION
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.dropout = nn.Dropout(dropout)
        # Steps of training are small: a 16-bit factor would round many of them away.
        options = {
            "dtype": torch.promote_types(base.weight.dtype, torch.float32),
            "device": base.weight.device,
        }
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features, **options))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, **options))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        ### END SOLUTION

    def forward(self, x):
        """x (..., in), of the base's dtype -> (..., out) of the base's dtype."""
        ### BEGIN SOLUTION
        y = self.base(x)
        down = F.linear(self.dropout(x).to(self.lora_A.dtype), self.lora_A)
        return y + (self.scaling * F.linear(down, self.lora_B)).to(y.dtype)
        ### END SOLUTION


# %% test="LoRALinear"
check("LoRALinear", LoRALinear)
### BEGIN HIDDEN TESTS
hidden("LoRALinear")
### END HIDDEN TESTS


# %% [markdown]
# Watch the start. One step of training, and the gradient of each factor before and after it:

# %%
torch.manual_seed(0)
layer = LoRALinear(nn.Linear(24, 16), r=4, alpha=8)
x, goal = torch.randn(64, 24), torch.randn(64, 16)
optimizer = torch.optim.SGD([layer.lora_A, layer.lora_B], lr=0.5)
rows = []
for step in range(3):
    loss = F.mse_loss(layer(x), goal)
    optimizer.zero_grad()
    loss.backward()
    norms = [p.grad.norm().item() for p in (layer.lora_A, layer.lora_B)]
    rows.append([step, f"{loss:.4f}", *(f"{n:.4f}" for n in norms)])
    optimizer.step()
table(["step", "loss", "gradient of A", "gradient of B"], rows)

# %% [markdown]
# At step 0 only $B$ learns, because $\partial L / \partial A$ holds a factor $B = 0$. From step 1
# on both do. (If you started $A$ at zero instead, the columns are swapped; that works as well.)

# %% [markdown] about="merged_linear"
# **Why.** Beside the base, the adapter costs two more matrix products for every token. After
# training you can add it to the weight once and for all. The result is an ordinary model: no new
# code, no extra latency, and every tool that reads plain models reads it.
#
# **Mathematics.** The layer is linear, so both paths become one matrix:
#
# $$W x + b + \tfrac{\alpha}{r} B A x = \Big(\underbrace{W + \tfrac{\alpha}{r} B A}_{W'}\Big) x + b
# .$$
#
# One thing is not in the formula: rounding. Weights are often bfloat16, which keeps 8 significant
# bits of a number. Add up in float32, and round **once**, at the end.
#
# By hand: $W$, $B$, $A$ from the beginning with $\alpha / r = 2$ give
# $W' = \begin{pmatrix} 3 & -2 & 2 \\ 4 & -3 & -1 \end{pmatrix}$.


# %% exercise="merged_linear"
# exercise: merged_linear
def merged_linear(layer):
    """One plain nn.Linear that computes what a LoRALinear computes (without dropout).

    layer: LoRALinear; not modified, and no memory is shared with it
    Returns an nn.Linear with weight W + (alpha / r) B A, added up in float32 or better and then
    cast to W's dtype; the bias is that of the base (or there is none).
    """
    ### BEGIN SOLUTION
    merged = copy.deepcopy(layer.base)
    wide = torch.promote_types(merged.weight.dtype, torch.float32)
    with torch.no_grad():
        update = layer.scaling * (layer.lora_B.to(wide) @ layer.lora_A.to(wide))
        merged.weight.copy_(merged.weight.to(wide) + update)
    return merged
    ### END SOLUTION


# %% test="merged_linear"
check("merged_linear", merged_linear)
### BEGIN HIDDEN TESTS
hidden("merged_linear")
### END HIDDEN TESTS


# %% [markdown]
# > **The lecture says:** merging costs no latency; the adapter "disappears" into the weights.
# >
# > **We measure** both. First the time of one layer for one token, then what disappears.

# %% tags=["long"]
torch.manual_seed(0)
layer = LoRALinear(nn.Linear(1536, 1536, bias=False), r=16, alpha=32)
nn.init.normal_(layer.lora_B, std=0.02)
kinds = {"base alone": layer.base, "base + adapter": layer, "merged": merged_linear(layer)}
x = torch.randn(1, 1536)
seconds = {name: [] for name in kinds}
with torch.no_grad():
    for _ in range(300):  # in turns, so that a busy moment of the machine hits all three
        for name, module in kinds.items():
            begun = time.perf_counter()
            module(x)
            seconds[name].append(time.perf_counter() - begun)
medians = {name: statistics.median(values[50:]) for name, values in seconds.items()}
table(
    ["layer", "median time", "relative"],
    [[n, f"{1e6 * t:.0f} µs", f"{t / medians['base alone']:.2f}"] for n, t in medians.items()],
    caption="1536 × 1536, one token",
)

# %% [markdown]
# Now exactness. The same layer in three precisions. "Output" compares the merged layer with the
# unmerged one. "Unmoved" is the share of weights which the merge left exactly as they were,
# although the adapter wanted to change them: the change was smaller than half the spacing of the
# numbers there.

# %% tags=["long"]
rows = []
for dtype in (torch.float64, torch.float32, torch.bfloat16):
    for size in (1e-1, 1e-3):
        torch.manual_seed(0)
        layer = LoRALinear(nn.Linear(512, 512, bias=False).to(dtype), r=16, alpha=32)
        change = layer.scaling * (torch.randn(512, 16) @ layer.lora_A.float())
        factor = size * layer.base.weight.float().norm() / change.norm()
        torch.manual_seed(0)
        layer.lora_B.data = (factor * torch.randn(512, 16)).to(layer.lora_B.dtype)
        x = torch.randn(64, 512, dtype=dtype)
        merged = merged_linear(layer)
        with torch.no_grad():
            gap = (merged(x) - layer(x)).float().norm() / layer(x).float().norm()
        unmoved = (merged.weight == layer.base.weight).float().mean()
        label = str(dtype).removeprefix("torch.")
        rows.append([label, f"{size:.1%} of W", f"{gap:.1e}", f"{unmoved:.1%}"])
table(["weights", "size of the change", "output: relative difference", "unmoved"], rows)

# %% [markdown]
# In float32 the merge is exact up to rounding. In bfloat16 the merged model is slightly **another**
# model than the one you evaluated, and of a small change a large part is lost: those weights do not
# move at all. So evaluate the merged model if you ship the merged model, or keep base and adapter
# apart.

# %% [markdown]
# # Part C. A whole model

# %% [markdown] about="inject_lora"
# **Why.** A model is a tree of modules, and the layers to adapt sit deep inside it. Replacing them
# in place gives any model adapters without touching its code: this is what `peft` does. Freezing
# matters as much as replacing. One norm left trainable, and your "adapter" is no longer the whole
# difference between two models.
#
# **What happens to the tree.** With target `q_proj`:
#
# ```
# layers.0.self_attn.q_proj   nn.Linear          layers.0.self_attn.q_proj        LoRALinear
#                                          ->    layers.0.self_attn.q_proj.base   the same nn.Linear
# layers.0.self_attn.k_proj   nn.Linear          layers.0.self_attn.k_proj        untouched, frozen
# ```
#
# **Mathematics.** Before, all parameters $\theta$ were trained. Afterwards $\theta$ is fixed and
# only $\varphi = \{A_m, B_m\}$ is, for the matching modules $m$. Their number is your
# `lora_param_count`.
#
# To replace a module you need its parent: the parent of `layers.0.self_attn.q_proj` is
# `layers.0.self_attn`, and a name without a dot has the model itself as its parent.
# Names match as in exercise 1.


# %% exercise="inject_lora"
# exercise: inject_lora
def inject_lora(model, targets, r, alpha):
    """Replace every matching nn.Linear inside `model` by a LoRALinear over it, in place.

    targets: list or tuple of str; names match as in `lora_param_count`
    Afterwards only parameters called lora_… are trainable. A layer that is already wrapped counts
    as a match and stays as it is, so that a second call changes nothing.
    Returns the model itself.
    Raises ValueError when nothing matches.
    """
    ### BEGIN SOLUTION
    found = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, LoRALinear))
        and any(name == target or name.endswith("." + target) for target in targets)
    ]
    if not found:
        raise ValueError(f"no linear layer is called {', '.join(targets) or 'anything'}")
    for name, module in found:
        if isinstance(module, nn.Linear):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, LoRALinear(module, r, alpha))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.rpartition(".")[2].startswith("lora_"))
    return model
    ### END SOLUTION


# %% test="inject_lora"
check("inject_lora", inject_lora)
### BEGIN HIDDEN TESTS
hidden("inject_lora")
### END HIDDEN TESTS


# %% [markdown]
# Now a real model: the course's own small Llama (0.85 million parameters), which has read sums and
# word problems. Before training, nothing may have changed.

# %%
from course_lib.models import load_base

base, tokenizer = load_base("cpu")
ids = tokenizer("12+7=", return_tensors="pt").input_ids
with torch.no_grad():
    before = base(input_ids=ids).logits
print(
    f"{base.num_parameters():,} parameters; after '12+7=' it expects "
    f"{tokenizer.decode(before[0, -1].argmax())!r}"
)

# %%
adapted = inject_lora(copy.deepcopy(base), ["q_proj", "v_proj"], r=4, alpha=8)
with torch.no_grad():
    difference = (adapted(input_ids=ids).logits - before).abs().max()
trainable = {n: p for n, p in adapted.named_parameters() if p.requires_grad}
shapes = {n: tuple(m.weight.shape) for n, m in base.named_modules() if isinstance(m, nn.Linear)}
print(f"largest change of the logits: {difference:.1e}")
print(f"trainable: {sum(p.numel() for p in trainable.values()):,} in {len(trainable)} tensors")
print(f"your formula: {lora_param_count(shapes, 4, ['q_proj', 'v_proj']):,}")

# %% [markdown] about="adapter_state_dict"
# **Why.** The adapter is all that you save: megabytes in place of gigabytes. One base can then
# serve many tasks, and changing the task means copying a small dict. Two mistakes are common, and
# silent. Saving **aliases**: the dict holds the model's own tensors, and the next training step
# changes what you saved. Loading **loosely**: a missing tensor is ignored, and the model answers
# with half an adapter.
#
# **Mathematics.** The model is $f(x;\, \theta, \varphi)$ with a fixed base $\theta$. All that
# training changed is $\varphi$, so $\varphi$ alone is saved, and $\varphi_1$ and $\varphi_2$ on the
# same $\theta$ are two models.
#
# **What is asked.** `adapter_state_dict` returns every parameter whose own name (the last part of
# the full one) starts with `lora_`, under its full name. `load_adapter` is strict: the names must
# agree in both directions, the shapes too. Beware of `copy_`: it stretches a (1, 5) tensor into a
# (3, 5) parameter without a word.


# %% exercise="adapter_state_dict"
# exercise: adapter_state_dict
def adapter_state_dict(model):
    """The adapter's tensors alone: dict, full parameter name -> detached copy of a lora_ parameter.

    The copies share no memory with the model.
    """
    ### BEGIN SOLUTION
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2].startswith("lora_")
    }
    ### END SOLUTION


def load_adapter(model, state):
    """Copy the tensors of `state` into the model's lora_ parameters; nothing else changes.

    model: holds lora_ parameters of the same names and shapes
    state: dict as `adapter_state_dict` gives it; not modified, no memory shared afterwards
    Strict: raises KeyError or ValueError if a tensor is missing, unexpected or misshapen.
    """
    ### BEGIN SOLUTION
    own = {
        name: parameter
        for name, parameter in model.named_parameters()
        if name.rpartition(".")[2].startswith("lora_")
    }
    if own.keys() != state.keys():
        raise KeyError(f"missing or unexpected: {', '.join(sorted(own.keys() ^ state.keys()))}")
    for name, parameter in own.items():
        if state[name].shape != parameter.shape:
            raise ValueError(f"{name} must have the shape {tuple(parameter.shape)}")
    # All is checked before the first copy: a model is never left half loaded.
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state[name])
    ### END SOLUTION


# %% test="adapter_state_dict"
check("adapter_state_dict", adapter_state_dict, load_adapter)
### BEGIN HIDDEN TESTS
hidden("adapter_state_dict")
### END HIDDEN TESTS


# %% [markdown]
# > **The lecture says:** "You can also swap adapters: same base model, different LoRA for different
# > tasks."
#
# Try it: one base, two adapters. The first learns to continue `12+7:`, the second `12+7 gives `.
# The model has seen neither. Each is trained for a few seconds and saved with your function; then
# they take turns on the same base.

# %% tags=["long"]
from course_lib.experiments.lora_parameters import accuracy, encode, sums, train

notations = {"colon": "{}+{}:", "gives": "{}+{} gives "}
drawn = sums(1400, seed=7)
texts = {
    task: [(form.format(a, b), f"{a + b}\n") for a, b in drawn] for task, form in notations.items()
}
model = inject_lora(
    copy.deepcopy(base), ["q_proj", "v_proj", "up_proj", "down_proj"], r=8, alpha=16
)
adapters = {"none": adapter_state_dict(model)}  # as initialised: nothing changes
for task in notations:
    load_adapter(model, adapters["none"])
    train(model, encode(tokenizer, texts[task][:1000]), lr=0.01, steps=50, seed=0)
    adapters[task] = adapter_state_dict(model)

rows = []
for name, state in adapters.items():
    begun = time.perf_counter()
    load_adapter(model, state)
    milliseconds = 1000 * (time.perf_counter() - begun)
    scores = [accuracy(model, encode(tokenizer, texts[task][1000:])) for task in notations]
    rows.append([name, *(f"{s:.2f}" for s in scores), f"{milliseconds:.1f} ms"])
table(["adapter loaded", "accuracy on `12+7:`", "accuracy on `12+7 gives `", "time to swap"], rows)
size = sum(t.nbytes for t in adapters["colon"].values())
whole = sum(p.nbytes for p in base.parameters())
print(f"an adapter: {size:,} bytes, the base: {whole:,} bytes")

# %% [markdown]
# Each adapter is good at its own notation, and with `none` the base is back as it was. (The small
# base makes the adapters look large. For Qwen2.5-Math-1.5B with $r = 16$ it is 17 MB in float32
# beside a base of 3.1 GB in bfloat16.)

# %% [markdown]
# # Part D. Memory

# %% [markdown] about="finetune_memory"
# **Why.** Whether a run fits is decided before the first step, by three piles: the weights, the
# gradients, the optimizer's state. LoRA leaves the first as it is and makes the other two nearly
# vanish. (Activations come on top. They depend on batch and length, and LoRA saves little of them.)
#
# **Mathematics.** With $n$ parameters, $t$ of them trained:
#
# $$\text{weights} = n\,w, \qquad \text{gradients} = t\,g, \qquad \text{optimizer} = t\,o .$$
#
# The defaults: $w = 2$ (bfloat16), $g = 4$ (float32), $o = 8$ (the two float32 moments of Adam).
# By hand: 100 parameters, 10 of them trained, need $200 + 40 + 80 = 320$ bytes.


# %% exercise="finetune_memory"
# exercise: finetune_memory
def finetune_memory(n_params, n_trainable, weight_bytes=2, grad_bytes=4, optimizer_bytes=8):
    """Bytes of memory that fine-tuning needs, activations aside.

    n_params: int, all parameters, trainable ones included
    n_trainable: int, 0 <= n_trainable <= n_params
    weight_bytes: int, for each parameter; grad_bytes, optimizer_bytes: int, for each trainable one
        (defaults: bfloat16 weights, float32 gradients, two float32 moments of Adam)
    Returns a dict of ints with the keys weights, gradients, optimizer and total.
    """
    ### BEGIN SOLUTION
    weights = n_params * weight_bytes
    gradients = n_trainable * grad_bytes
    optimizer = n_trainable * optimizer_bytes
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "total": weights + gradients + optimizer,
    }
    ### END SOLUTION


# %% test="finetune_memory"
check("finetune_memory", finetune_memory)
### BEGIN HIDDEN TESTS
hidden("finetune_memory")
### END HIDDEN TESTS


# %% [markdown]
# > **The lecture says:** "You can fine-tune a 7B model on a single consumer GPU (16 GB)."
#
# Let us see what is in the piles. Full fine-tuning in mixed precision commonly keeps 16 bytes for
# each parameter: weights and gradients in bfloat16, and in float32 a copy of the weights and Adam's
# two moments. In the last column (QLoRA) the matrices inside the layers are stored in 4 bits and
# everything else in 16; the constants of the 4-bit format are not counted.

# %% tags=["long"]
rows = []
for name in names:
    n_params = meta_model(REAL_CONFIGS[name]).num_parameters()
    shapes = linear_shapes(REAL_CONFIGS[name])
    n_adapter = lora_param_count(shapes, 16, attention)
    full = finetune_memory(n_params, n_params, grad_bytes=2, optimizer_bytes=12)
    lora = finetune_memory(n_params, 0)  # the frozen base …
    adapter = finetune_memory(n_adapter, n_adapter, weight_bytes=4)  # … and float32 adapters
    four_bit = sum(out * inp for out, inp in shapes.values())  # half a byte in place of two
    total = lora["total"] + adapter["total"]
    piles = [full["total"], lora["weights"], adapter["total"], total, total - four_bit * 3 // 2]
    rows.append([name, *(f"{pile / 1e9:.2f}" for pile in piles)])
table(
    ["GB", "full fine-tuning", "base in bfloat16", "adapter, all three", "LoRA", "QLoRA"],
    rows,
    caption="before activations; r = 16 on q, k, v, o",
)

# %% [markdown]
# > **We compute:** a "16 GB" card has 16 GiB = 17.2 GB. The bfloat16 base of Llama-2-7B alone takes
# > 13.5 GB, so LoRA leaves about 3.4 GB for activations: batch 1 with checkpointing, at the border.
# > Llama-3-8B leaves less than 1 GB, and one copy of the logits of 1,024 tokens
# > ($1024 \cdot 128{,}256 \cdot 4$ bytes = 0.53 GB) takes more than half of that. With a base in 4
# > bits all three fit. So: **yes, with QLoRA**.
#
# Prompt tuning trains even less: $p$ vectors of the embedding's width, $p \cdot d$ numbers.

# %% tags=["long"]
rows = []
for name, model_config in REAL_CONFIGS.items():
    if model_config.n_experts == 1:
        n_params = meta_model(model_config).num_parameters()
        width = model_config.hidden_size
        rows.append([name, f"{n_params / 1e9:.2f}B", width, f"{100 * width / n_params:.5%}"])
n_params, width = base.num_parameters(), base.config.hidden_size
rows.append(
    ["the course's model", f"{n_params / 1e9:.5f}B", width, f"{100 * width / n_params:.5%}"]
)
table(["model", "parameters", "width", "share of 100 prompt tokens"], rows)

# %% [markdown]
# > **The lecture says:** prompt tuning trains less than 0.01%.
# >
# > **We compute:** with 100 tokens that holds from about 1.5 billion parameters on. In a small
# > model the same prefix is a larger share. ([Lester et al. (2021)](https://arxiv.org/abs/2104.08691)
# > count 20,480 parameters for 5 tokens of T5-XXL, whose width is 4096: $5 \cdot 4096$.)

# %% [markdown]
# # Part E. Three ways to learn, and what each forgets
#
# Now all three methods on the same small model and the same **new task**: a notation that the model
# has never seen. It knows sums as `12+7=19`. It is to learn `12+7:19`. Its answer counts when
# greedy decoding would write exactly the right number.
#
# We also ask what it **forgets**: the old notation `12+7=`, on the same held-out sums, and the
# loss on word problems in GSM8K's format. 1,000 sums are for training, 400 others for testing,
# drawn anew for each of three seeds. Each method has its own learning rate, the best of three
# tried on a further seed.
#
# **Predict first.** Which method learns the new notation best? Which forgets most? LoRA trains
# matrices in every layer; does it forget at all?

# %% tags=["long"]
from peft import PromptTuningConfig

from course_lib.experiments.lora_parameters import (
    accuracy,
    encode,
    mean_loss,
    sums,
    train,
    word_problems,
)


def full_fine_tuning(model):
    return model.requires_grad_(True)


def lora(model):
    config = LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(model, config)


def prompt_tuning(model):
    return get_peft_model(model, PromptTuningConfig(num_virtual_tokens=8, task_type="CAUSAL_LM"))


def new_notation(a, b):
    return f"{a}+{b}:", f"{a + b}\n"


def old_notation(a, b):
    return f"\n{a}+{b}=", f"{a + b}\n"


methods = {
    "full fine-tuning": (full_fine_tuning, 2e-3),
    "LoRA, r = 8, all linear": (lora, 1e-2),
    "prompt tuning, 8 tokens": (prompt_tuning, 0.3),
}
problems = word_problems(tokenizer, 60)
results = {name: [] for name in ["before training", *methods]}
for seed in range(3):
    drawn = sums(1400, seed)
    training = encode(tokenizer, [new_notation(a, b) for a, b in drawn[:1000]])
    test_new = encode(tokenizer, [new_notation(a, b) for a, b in drawn[1000:]])
    test_old = encode(tokenizer, [old_notation(a, b) for a, b in drawn[1000:]])
    for name in results:
        torch.manual_seed(seed)
        model, took = copy.deepcopy(base), None
        if name in methods:
            prepare, rate = methods[name]
            model = prepare(model)
            took = train(model, training, rate, steps=60, seed=seed)
        scores = [accuracy(model, test_new), accuracy(model, test_old), mean_loss(model, problems)]
        results[name].append((scores, took))
        if name == "full fine-tuning":
            tuned = model  # kept for the last part


# %% tags=["long"]
def spread(values, form):
    """Mean, and lowest to highest over the seeds."""
    return f"{statistics.mean(values):{form}} ({min(values):{form}} … {max(values):{form}})"


rows, costs = [], []
for name, runs in results.items():
    new, old, loss = zip(*(scores for scores, _ in runs), strict=True)
    rows.append([name, spread(new, ".2f"), spread(old, ".2f"), spread(loss, ".3f")])
    if name in methods:
        took = runs[0][1]
        share = took.n_trainable / base.num_parameters()
        step = statistics.median(t.step_seconds for _, t in runs)
        bytes_taken, milliseconds = f"{took.state_bytes:,}", f"{1000 * step:.0f} ms"
        costs.append([name, f"{took.n_trainable:,}", f"{share:.2%}", bytes_taken, milliseconds])
header = ["method", "new notation, accuracy", "old notation, accuracy", "word problems, loss"]
table(header, rows, caption="mean (lowest … highest) of three seeds, 400 test sums each")
table(
    ["method", "trained", "of the base", "bytes of gradients and Adam", "time per step"],
    costs,
    caption="what it took",
)

# %% tags=["long"]
fig, axis = figure(width=7.5, height=3.4)
styles = [{"color": "#555555", "marker": "X"}, *LINES]
for style, (name, runs) in zip(styles, results.items(), strict=False):
    new, old = zip(*(scores[:2] for scores, _ in runs), strict=True)
    axis.plot(old, new, linestyle="", color=style["color"], marker=style["marker"], label=name)
axis.set(xlabel="old notation, accuracy", ylabel="new notation, accuracy")
axis.set(xlim=(0, 1), ylim=(-0.03, 1))
_ = axis.legend(loc="center left", frameon=False)

# %% [markdown]
# **What we saw**, on two CPU cores (yours may differ a little; the tables above are your own run):
#
# - *The new task.* Full fine-tuning and LoRA both went from 0.00 to about three sums in four (0.73
#   and 0.78). Their ranges over the seeds overlap: no winner, but LoRA trained an eleventh of the
#   numbers.
# - *Prompt tuning* stayed near zero. Our guess: eight learned tokens can only steer a model towards
#   what it can do already, and this small one cannot do enough.
# - *Forgetting.* All three got worse at the old notation: from 0.78 to 0.71 with full fine-tuning
#   and with LoRA, to 0.64 with prompt tuning. On word problems the loss rose by 0.11, 0.05 and
#   0.04. So LoRA forgets too, and here in one of two measures less than full fine-tuning.
# - *Cost.* Gradients and Adam shrink with the trained share, 11-fold. The time for a step does not
#   shrink: forward and backward still go through the whole model, and in a model this small the
#   two extra products of each layer cost more than is saved.
#
# What this does **not** show: one tiny model, one easy task, three seeds. Rank 8 is 9% of this
# model, where r = 16 is 0.3% of a real one.

# %% [markdown]
# # Part F. How many directions does a change need?

# %% [markdown] about="effective_rank"
# **Why.** LoRA's hypothesis is that the change of a weight needs few directions. We have just
# fine-tuned all weights of a model without any such limit, so we can look: is its $\Delta W$ of low
# rank? The exact rank is no help, since noise alone makes it full. Better: how many directions hold
# 90% of the change?
#
# **Mathematics.** With the singular values $\sigma_1 \ge \sigma_2 \ge \dots$ of $\Delta W$, the
# **energy** of the matrix is $\sum_i \sigma_i^2 = \|\Delta W\|_F^2$, and
#
# $$\operatorname{rank}_e(\Delta W) = \min\Big\{ r : \sum_{i \le r} \sigma_i^2 \ge e \sum_i
# \sigma_i^2 \Big\} .$$
#
# The best approximation of rank $r$ keeps exactly the first $r$ directions (Eckart–Young), so this
# is the smallest $r$ at which an adapter *could* hold the share $e$ of the change.
#
# By hand: $\sigma = (3, 2, 1)$ has squares 9, 4, 1, together 14. The shares are 0.643, 0.929, 1. So
# $\operatorname{rank}_{0.6} = 1$ and $\operatorname{rank}_{0.9} = 2$. Zero has rank 0.


# %% exercise="effective_rank"
# exercise: effective_rank
def effective_rank(delta, energy=0.9):
    """The smallest r whose r largest squared singular values hold at least `energy` of their sum.

    delta: (rows, columns), any float dtype, 16-bit ones too; not modified
    energy: float, 0 < energy < 1
    Returns an int, 0 for a matrix of zeros.
    """
    ### BEGIN SOLUTION
    squares = torch.linalg.svdvals(delta.double()) ** 2
    if squares.sum() == 0:
        return 0
    held = squares.cumsum(0) / squares.sum()
    return int((held < energy).sum()) + 1
    ### END SOLUTION


# %% test="effective_rank"
check("effective_rank", effective_rank)
### BEGIN HIDDEN TESTS
hidden("effective_rank")
### END HIDDEN TESTS


# %% [markdown]
# Now measure the $\Delta W$ of full fine-tuning (seed 2 of the experiment). A number alone means
# little, so each matrix has a **control**: a random matrix of the same shape.

# %% tags=["long"]
rows, changes = [], {}
for kind in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
    ranks, controls = [], []
    for (name, before), after in zip(base.named_parameters(), tuned.parameters(), strict=True):
        if f".{kind}." in name:
            change = (after - before).detach()
            control = torch.randn(change.shape, generator=torch.Generator().manual_seed(0))
            ranks.append(effective_rank(change, 0.9))
            controls.append(effective_rank(control, 0.9))
            changes[kind] = (change, control)
    shape = " × ".join(str(n) for n in change.shape)
    rows.append([kind, shape, min(change.shape), ranks, controls])
table(["matrix", "shape", "full rank", "rank at 90% energy, layers 0 to 3", "random matrix"], rows)

fig, axes = figure(columns=2, width=8.5, height=3.0)
for axis, kind in zip(axes, ("v_proj", "down_proj"), strict=True):
    change, control = changes[kind]
    for style, matrix, label in zip(LINES, (change, control), ("ΔW", "random"), strict=False):
        squares = torch.linalg.svdvals(matrix) ** 2
        shares = (squares.cumsum(0) / squares.sum()).tolist()
        axis.plot(range(1, len(shares) + 1), shares, **style, markevery=10, label=label)
    axis.axhline(0.9, color="black", linewidth=0.8)
    axis.set(title=f"{kind}, last layer", xlabel="directions kept", ylabel="energy held")
    axis.legend(frameon=False, loc="lower right")

# %% [markdown]
# **What we saw** (read each number beside its control): 90% of a change sits in 5 to 35 directions,
# where a random matrix of the same shape needs 43 to 94. So the change is far from random, and the
# hypothesis holds in this sense: few directions hold most of it.
#
# But "few" is no fixed number. The matrices of the feed-forward network need about twice as many
# directions as those of attention (they are larger, and so are their controls), and rank 8 could
# hold 90% of a few of the 28 matrices only. Yet LoRA with $r = 8$ has learned the task as well as
# full fine-tuning (Part E). What a change *holds* is not what the task *needs*.
#
# One small model, one task, one seed: this shows how to measure it, not what a 7B model does.

# %% [markdown]
# # Yours against peft
#
# The last test of your layer: the library that everyone uses. Same base, same $A$ and $B$.

# %% tags=["long"]
from peft.tuners.lora import LoraLayer

torch.manual_seed(0)
targets = ["q_proj", "v_proj", "down_proj"]
yours = inject_lora(copy.deepcopy(base), targets, r=4, alpha=12).eval()
config = LoraConfig(r=4, lora_alpha=12, target_modules=targets, task_type="CAUSAL_LM")
theirs = get_peft_model(copy.deepcopy(base), config).eval()
state = {n: 0.05 * torch.randn_like(t) for n, t in adapter_state_dict(yours).items()}
load_adapter(yours, state)
with torch.no_grad():
    for name, module in theirs.base_model.model.named_modules():
        if isinstance(module, LoraLayer):
            module.lora_A["default"].weight.copy_(state[f"{name}.lora_A"])
            module.lora_B["default"].weight.copy_(state[f"{name}.lora_B"])

ids = tokenizer("Ann has 12 shells. Ann finds 7 more.", return_tensors="pt").input_ids
with torch.no_grad():
    pairs = {"logits with adapters": (yours(input_ids=ids).logits, theirs(input_ids=ids).logits)}
    for name in state:
        if name.endswith("lora_A"):
            place = name.removesuffix(".lora_A")
            linear = merged_linear(yours.get_submodule(place))
            parent, _, child = place.rpartition(".")
            setattr(yours.get_submodule(parent), child, linear)
    theirs = theirs.merge_and_unload()
    pairs["logits after the merge"] = (yours(input_ids=ids).logits, theirs(input_ids=ids).logits)
    weights = [m.model.layers[0].mlp.down_proj.weight for m in (yours, theirs)]
    pairs["merged weight of down_proj"] = tuple(weights)
rows = []
for what, (mine, library) in pairs.items():
    difference = ((mine - library).abs().max() / library.abs().max()).item()
    rows.append([what, f"{difference:.1e}", "same" if difference < 1e-4 else "DIFFERENT"])

for name, model_config in REAL_CONFIGS.items():
    if model_config.n_experts == 1:
        config = LoraConfig(r=16, target_modules=attention, task_type="CAUSAL_LM")
        counted = get_peft_model(meta_model(model_config), config).get_nb_trainable_parameters()[0]
        yours = lora_param_count(linear_shapes(model_config), 16, attention)
        verdict = "same" if yours == counted else "DIFFERENT"
        rows.append([f"parameters, {name}, r = 16", f"{abs(yours - counted)}", verdict])
caption = "largest relative difference; for counts, the difference itself"
table(["yours against peft", "difference", ""], rows, caption=caption)

# %% [markdown]
# # What to take along
#
# - **An adapter of rank $r$ has $r (d_\text{out} + d_\text{in})$ parameters.** Matrices are not
# square: with grouped heads k and v are much smaller than q and o. Qwen2.5-Math-1.5B with
# $r = 16$ on q, k, v, o has 4,358,144, not 3,407,872.
# - **The update is $\frac{\alpha}{r} BA$.** Without the factor an adapter from a file is wrong.
# - **One factor starts at zero, not both.**
# - **Merging is exact up to rounding.** In bfloat16 that makes a slightly different model: evaluate
# the one that you ship.
# - **Freeze everything else, save copies, load strictly.** These mistakes are silent.
# - **LoRA makes gradients and optimizer small, not the weights.** 7B on 16 GB needs a 4-bit base.
# - **Intrinsic dimension is not rank.** One trained number can change a matrix in all directions.
# - **Everything that learns forgets**, adapters too. Measure the old task beside the new one.
#
# Next: `03_sft_masking` asks what the model should learn from, and what not.
