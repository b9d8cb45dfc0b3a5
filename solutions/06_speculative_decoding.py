# %% [markdown]
# # Speculative decoding
#
# A large model writes one token at a time, and for each token all of its weights are read from
# memory once. **Speculative decoding** lets a small model guess a few tokens ahead and the large
# one check them all in a single call. The surprising part: the text has *exactly* the
# distribution that the large model alone would give. Only the time changes.
#
# You build it here, on two real (if small) models, prove that it is exact in three ways, and
# measure when it pays and when it does not. The last part looks back at the whole road, from
# pre-training to reinforcement learning.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `acceptance_probability` | how often a guess is accepted | 2 |
# | 2 | `residual_distribution` | what to draw after a rejection | 3 |
# | 3 | `verify_draft` | accept, reject, or take the bonus | 5 |
# | 4 | `speculative_generate` | the whole loop, with two caches | 6 |
# | 5 | `expected_tokens`, `speedup`, `best_k` | what it should gain | 4 |
# | | | **together** | **20** |
#
# Time: about two and a half hours. Everything runs on a laptop, without a download. Needed:
# softmax, conditional probability, what a KV cache is (notebook 01).
#
# **How to work.** Replace `raise NotImplementedError()` in an exercise cell, run it, then run the
# check below it. Each exercise has three hints; open them one at a time. Letters used throughout:
# $p$ the distribution of the **target** (the large model), $q$ that of the **draft** (the small
# one), $k$ the number of guesses in a round, $\alpha$ the probability that a guess is accepted.

# %% tags=["setup"]
import math
import statistics

import torch
import torch.nn as nn
import torch.nn.functional as F
from transformers import DynamicCache

from course_lib import check, hint
from course_lib.pictures import LINES, figure, table

# %% [markdown]
# # Part A. Why there is anything to gain
#
# For one new token a model multiplies every weight matrix with *one* vector. A GPU could do the
# same with many vectors in nearly the same time, because it waits for the weights, not for the
# arithmetic. A model of 70 billion parameters in 16 bits has 140 GB of weights; at 2 TB/s of
# memory bandwidth that is 70 ms a token, however fast the arithmetic is.
#
# So **checking six tokens costs little more than making one**. What is missing is six tokens to
# check. The draft guesses them.
#
# The same holds on a CPU for a small model, for a more homely reason: each layer costs some
# bookkeeping, whether it gets one token or six. Our target is deep and narrow for that reason
# (16 layers of width 128), the draft has one such layer. Both were trained by
# `scripts/train_pair.py` on the word problems that you know; the draft learned half of the time
# by copying the target's distributions, so that it guesses well.

# %% tags=["long"]
from course_lib.experiments import speculative_decoding as lab
from course_lib.models import load_pair

torch.set_num_threads(1)  # steps this small gain nothing from a second core
target, draft, tokenizer = load_pair()
seconds = lab.step_seconds({"target": target, "draft": draft}, {"target": [1, 2, 6], "draft": [1]})
one = seconds["target", 1]
table(
    ["one call", "parameters", "milliseconds", "in target steps"],
    [
        [f"{name}, {n} token{'s' * (n > 1)}", f"{m.num_parameters():,}",
         f"{1000 * seconds[name, n]:.1f}", f"{seconds[name, n] / one:.2f}"]
        for name, m, n in [("target", target, 1), ("target", target, 2), ("target", target, 6),
                           ("draft", draft, 1)]
    ],
)  # fmt: skip

# %% [markdown]
# Two of these prices matter for everything that follows: that of a draft step (the last line, called
# $c$), and that of checking six tokens (the third line): how little is it above 1?
#
# > **The lecture says:** "most tokens are easy", with "The capital of France is → Paris" as an
# > example. Is that so? The probability that a guess is accepted turns out to be
# > $\sum_x \min(p(x), q(x))$, the overlap of the two distributions. (You will see why.) Let us
# > compute it for each token of a text. Tokens below 60% are boxed, with their figure in per cent.

# %% tags=["long"]
text = lab.prompts(1, seed=5)[0]
ids = tokenizer(text, return_tensors="pt").input_ids
written = lab.plain_generate(target, ids, 60)[0]
overlap = lab.acceptance(target, draft, written)
words = [tokenizer.decode([i]) for i in written[1:]]
lab.show_acceptance(words, overlap.tolist())
new = overlap[ids.shape[1] - 1 :]
print(f"\nmean overlap, prompt: {overlap[: ids.shape[1] - 1].mean():.2f}, "
      f"written by the target: {new.mean():.2f}, "
      f"share of its tokens above 0.9: {(new > 0.9).float().mean():.2f}")  # fmt: skip

# %% [markdown]
# Hard are mostly the digits of a solution: numbers that must be looked up in the text above, and the
# results of sums. There the target is sure, and the draft with its one layer is not. Easy is what
# follows from the format: `<<`, `=`, `>>`, the second half of a word. And easy is also what nobody
# can know: which name comes next, how the story goes on. There both models are unsure in the same
# way, so $p$ and $q$ overlap. So the average hides two kinds of token. Keep that in mind for Part D.

# %% [markdown]
# # Part B. The rule
#
# ## By hand
#
# A vocabulary of two tokens. The target says $p = (0.7, 0.3)$, the draft $q = (0.4, 0.6)$.
#
# - The draft guesses token 0 (in 40% of the cases). The target likes it even better: accept,
#   always. That puts $0.4$ on token 0.
# - It guesses token 1 (60%). The target likes it half as much: accept it half of the time. That
#   puts $0.6 \cdot 0.5 = 0.3$ on token 1. Exactly what the target wants there.
# - In the remaining $0.6 \cdot 0.5 = 0.3$ we have rejected and must say something else. Token 1
#   has all it should have, so all of it goes to token 0: $0.4 + 0.3 = 0.7$. Exact.
#
# Had we drawn from $p$ after the rejection, token 1 would get $0.3 + 0.3 \cdot 0.3 = 0.39$. So the
# "adjusted distribution", which the lecture mentions but does not define, is the whole secret.

# %% [markdown] about="acceptance_probability"
# **Why.** It is the coin that each guess has to pass. If it is wrong by a little, the text is not
# the target's any more, and nothing will tell you: it still reads well.
#
# **Mathematics.** The draft guessed token $x$ with probability $q(x)$, the target gives it $p(x)$:
#
# $$a(x) = \min\left(1, \frac{p(x)}{q(x)}\right).$$
#
# Averaged over the draft's guesses this is $\sum_x q(x)\,a(x) = \sum_x \min(p(x), q(x)) = \alpha$,
# the overlap from above.
#
# By hand, with the numbers from above: $a(0) = \min(1, 0.7/0.4) = 1$ and $a(1) = 0.3/0.6 = 0.5$;
# $\alpha = 0.4 + 0.3 = 0.7$.
#
# A token with $q(x) = 0$ is never guessed. So that the function is complete: 1 if $p(x) > 0$,
# else 0.


# %% exercise="acceptance_probability"
# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    """Probability that a guessed token is accepted: min(1, p / q).

    p, q: (V,) float distributions of the target and of the draft; not modified
    token: int, the guess
    Returns a Python float. Where q is 0: 1.0 if p > 0, else 0.0.
    """
    ### BEGIN SOLUTION
    wanted, guessed = float(p[token]), float(q[token])
    if guessed == 0:
        return 1.0 if wanted > 0 else 0.0
    return min(1.0, wanted / guessed)
    ### END SOLUTION


# %% test="acceptance_probability"
check("acceptance_probability", acceptance_probability)
### BEGIN HIDDEN TESTS
hidden("acceptance_probability")
### END HIDDEN TESTS


# %% [markdown] about="residual_distribution"
# **Why.** After a rejection a token must come from somewhere. The obvious idea is to draw it from
# $p$, and it is wrong.
#
# **Mathematics.** The accepted guesses have put $\min(p, q)$ into the output. To reach $p$, what is
# missing is $p - \min(p, q) = \max(0, p - q)$, and its sum $1 - \alpha$ is exactly the probability
# of a rejection. So draw from
#
# $$r(x) = \frac{\max(0,\, p(x) - q(x))}{\sum_y \max(0,\, p(y) - q(y))}.$$
#
# By hand: $p = (0.5, 0.3, 0.2)$, $q = (0.2, 0.6, 0.2)$. The differences are $(0.3, -0.3, 0)$, the
# positive part is $(0.3, 0, 0)$ and $r = (1, 0, 0)$.
#
# If $p = q$ the sum is zero. Nothing is rejected then; return $p$, so that nobody divides by zero.


# %% exercise="residual_distribution"
# exercise: residual_distribution
def residual_distribution(p, q):
    """The distribution to draw from after a rejection: max(0, p - q), normalised.

    p, q: (V,) float distributions of the target and of the draft; not modified
    Returns (V,) in p's dtype, summing to 1; p where p equals q everywhere.
    """
    ### BEGIN SOLUTION
    missing = (p - q).clamp(min=0)
    total = missing.sum()
    return missing / total if total > 0 else p.clone()
    ### END SOLUTION


# %% test="residual_distribution"
check("residual_distribution", residual_distribution)
### BEGIN HIDDEN TESTS
hidden("residual_distribution")
### END HIDDEN TESTS


# %% [markdown]
# ## First proof: count everything
#
# With a small vocabulary there is nothing to sample. Go through all guesses, weigh each with its
# probability, and add up what comes out. Beside the true rule, three plausible wrong ones.

# %%
torch.manual_seed(0)
p, q = torch.randn(2, 8).mul(1.5).softmax(-1)


def output(accept, after):
    """The exact distribution of the token that is emitted."""
    out = torch.zeros_like(p)
    for guess in range(len(p)):
        a = accept(guess)
        out[guess] += q[guess] * a
        out += q[guess] * (1 - a) * after
    return out


def rule(guess):
    return acceptance_probability(p, q, guess)


variants = {
    "min(1, p/q), then the residual": output(rule, residual_distribution(p, q)),
    "min(1, p/q), then p": output(rule, p),
    "min(1, p/q), then the target's favourite": output(rule, F.one_hot(p.argmax(), 8).float()),
    "accept always": output(lambda guess: 1.0, p),
}
table(
    ["rule", "largest difference from p", "total variation from p"],
    [
        [name, f"{(out - p).abs().max():.1e}", f"{(out - p).abs().sum() / 2:.4f}"]
        for name, out in variants.items()
    ],
)
print(f"accepted: {torch.minimum(p, q).sum():.4f} = the overlap of p and q")

# %% [markdown]
# The first line is zero up to rounding. That is no accident of these two distributions. For any $p$
# and $q$:
#
# $$\underbrace{\min(p, q)}_{\text{accepted}} + \underbrace{(1 - \alpha)}_{\text{rejected}} \cdot
# \frac{\max(0, p - q)}{1 - \alpha} = \min(p, q) + p - \min(p, q) = p .$$
#
# It is called *modified* rejection sampling: plain rejection sampling would go back to the draft
# and try again, and again.

# %% [markdown] about="verify_draft"
# **Why.** One round: the draft has guessed $k$ tokens, the target has looked at all of them in one
# call. What do we keep?
#
# **Mathematics.** The target's call gives $k + 1$ distributions: row $i$ for the place of guess
# $i$, and row $k$ for the place *after* the last guess. Go through the guesses in order:
#
# 1. accept guess $x_i$ iff $u_i \le p_i(x_i) / q_i(x_i)$, with $u_i$ uniform in $(0, 1]$;
# 2. at the first rejection draw one token from the residual of $p_i$ and $q_i$, and stop: the later
#    guesses continue a text that is not there;
# 3. if all $k$ were accepted, draw one more from row $k$: the **bonus** token.
#
# So a round gives 1 to $k + 1$ tokens, never none.
#
# > **The lecture says:** accept or reject $k$ guesses, stop at the first rejection. The bonus token
# > is not mentioned, although it is free: its distribution has been computed anyway. Leaving it
# > out costs one token in every round without a rejection. With $k = 1$ a round then never gives
# > more than one token, and nothing is gained at all.
#
# By hand: guesses $(4, 2)$, ratios $p/q = (0.8, 0.3)$. With $u = (0.5, 0.5)$: 4 is accepted, 2 is
# not; the result is 4 and one draw from the residual of row 1. With $u = (0.5, 0.2)$: both, and a
# draw from row 2. With $u = (0.9, 0.1)$: the residual of row 0, alone.


# %% exercise="verify_draft"
# exercise: verify_draft
def verify_draft(draft_tokens, q, p, u, generator):
    """The tokens that one round of speculative decoding emits.

    draft_tokens: (k,) int64, the guesses; k may be 0, then the bonus comes alone
    q: (k, V) float, the draft's distributions, p: (k + 1, V) float, the target's
    u: (k,) float, uniform numbers; guess i is accepted iff u[i] <= p / q of that guess
    generator: torch.Generator, the only source of any further randomness
    Returns a list of 1 to k + 1 Python ints. No argument is modified.
    """
    ### BEGIN SOLUTION
    guesses = draft_tokens.tolist()
    for i, guess in enumerate(guesses):
        if float(u[i]) > acceptance_probability(p[i], q[i], guess):
            residual = residual_distribution(p[i], q[i])
            return [*guesses[:i], int(torch.multinomial(residual, 1, generator=generator))]
    return [*guesses, int(torch.multinomial(p[-1], 1, generator=generator))]
    ### END SOLUTION


# %% test="verify_draft"
check("verify_draft", verify_draft)
### BEGIN HIDDEN TESTS
hidden("verify_draft")
### END HIDDEN TESTS


# %% [markdown]
# # Part C. The loop
#
# ## Two caches that must forget
#
# Both models keep the keys and values of what they have read (notebook 01). When guesses are
# rejected, they may have read tokens that are not in the text. These entries must go:
# `cache.crop(-n)` removes the last $n$.
#
# Here is one round with $k = 3$. `a` to `c` are guesses, the target accepts `a` and says `X` in
# place of `b`.
#
# ```
# text before the round        The cat
# draft has read               The cat a b      (c was guessed, but never read)
# target has read              The cat a b c    (in one call)
# text after the round         The cat a X
# both caches must hold        The cat a        (X has been read by nobody)
# ```
#
# After a round in which everything was accepted the draft lacks **two** tokens: the last guess and
# the bonus. So never count what to feed; ask the cache how much it holds.

# %% [markdown] about="speculative_generate"
# **Why.** This is the whole method, as transformers and inference servers such as vLLM offer it.
#
# **What to do**, until there are enough tokens or eos has come:
#
# 1. the draft guesses $k$ tokens, one after another, each from its own distribution $q_i$. If $m$
#    tokens are still wanted it guesses at most $m - 1$, because a round adds one more than it
#    accepts; for the very last token that is none;
# 2. the target reads the guesses and everything else it has not read in **one** call, and gives one
#    distribution more than there are guesses;
# 3. `verify_draft` decides; the tokens are appended; what comes after eos is cut off;
# 4. both caches go back to what is really in the text.
#
# **Mathematics.** The temperature $t$ divides the logits $\ell$ of *both* models:
# $p = \operatorname{softmax}(\ell / t)$, and $q$ alike. If it were applied to the target only, the text
# would still be right, but the draft would guess for another distribution and be rejected more often.
# At $t = 0$ both are one-hot at their argmax, so a guess is accepted iff the target would have taken
# the same token, and the text is that of the target's greedy decoding.
#
# The first call may read the whole prompt, or the prompt may be read before (one *prefill*); after
# it one target call per round. Recomputing without a cache is not accepted.
# (`DynamicCache` is transformers' growing cache. A model called with `past_key_values=cache` adds
# to it, and finds its positions from it; `logits_to_keep=n` gives the last $n$ rows only.)


# %% exercise="speculative_generate"
# exercise: speculative_generate
@torch.inference_mode()
def speculative_generate(
    target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator
):
    """Continue a text with the target's distribution, in fewer calls of the target.

    target, draft: transformers causal LMs with the same vocabulary
    input_ids: (1, T) int64, T >= 1; not modified
    max_new_tokens: int >= 1, never exceeded. k: int >= 1, guesses in a round
    temperature: float >= 0, for both models; 0 is greedy
    eos_id: int or None; the text ends with it
    generator: torch.Generator, the source of all randomness
    Returns (1, T + new) int64, the prompt included.
    """

    ### BEGIN SOLUTION
    def read(model, cache, ids, rows):
        """Read what the cache does not hold yet; the last `rows` distributions."""
        new = torch.tensor([ids[cache.get_seq_length() :]], device=input_ids.device)
        logits = model(
            input_ids=new, past_key_values=cache, use_cache=True, logits_to_keep=rows
        ).logits[0]
        if temperature == 0:
            return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
        return torch.softmax(logits.float() / temperature, -1)

    ids = input_ids[0].tolist()
    end = len(ids) + max_new_tokens
    target_cache, draft_cache = DynamicCache(), DynamicCache()
    while len(ids) < end:
        text, q = list(ids), []
        # A round adds one token more than it accepts.
        for _ in range(min(k, end - len(ids) - 1)):
            q.append(read(draft, draft_cache, text, 1))
            text.append(int(torch.multinomial(q[-1], 1, generator=generator)))
        guesses = torch.tensor(text[len(ids) :], dtype=torch.int64)
        p = read(target, target_cache, text, len(guesses) + 1)
        # In (0, 1]: a zero would accept what the target gives no probability at all.
        u = 1 - torch.rand(len(guesses), generator=generator, device=p.device)
        tokens = verify_draft(guesses, torch.cat([p[:0], *q]), p, u, generator)
        if eos_id in tokens:
            tokens = tokens[: tokens.index(eos_id) + 1]
            end = len(ids) + len(tokens)
        ids += tokens
        for cache in (target_cache, draft_cache):
            cache.crop(min(0, len(ids) - 1 - cache.get_seq_length()))
    return torch.tensor([ids], device=input_ids.device)
    ### END SOLUTION


# %% test="speculative_generate"
check("speculative_generate", speculative_generate)
### BEGIN HIDDEN TESTS
hidden("speculative_generate")
### END HIDDEN TESTS


# %% [markdown]
# ## Second proof: chi-square on a toy
#
# Enumeration proved the rule for *one* token. The loop has more ways to go wrong: a cache that still
# holds a rejected token changes the *next* distribution, and that shows only where it depends on the
# past. So we take two random little transformers with a vocabulary of five tokens, whose
# distributions change strongly with the context, and count how often each of the $5^3 = 125$
# continuations of three tokens comes out. The exact probability of each is known: a product of three
# probabilities of the target.


# %% tags=["long"]
def sloppy(target, draft, input_ids, max_new_tokens, k, temperature, eos_id, generator):
    """The same loop for comparison, but a rejection draws from p in place of the residual."""
    ids = input_ids
    while ids.shape[1] < input_ids.shape[1] + max_new_tokens:
        q = draft(input_ids=ids).logits[0, -1].div(temperature).softmax(-1)
        p = target(input_ids=ids).logits[0, -1].div(temperature).softmax(-1)
        token = torch.multinomial(q, 1, generator=generator)
        if torch.rand(1, generator=generator) > p[token] / q[token]:
            token = torch.multinomial(p, 1, generator=generator)
        ids = torch.cat([ids, token[None]], dim=1)
    return ids


pair = lab.toy_pair()
rows = []
with torch.inference_mode():
    for name, generate in {"yours": speculative_generate, "draws from p": sloppy}.items():
        found = lab.sequence_test(generate, pair, runs=1000)
        rows.append(
            [name, f"{found['distance']:.3f}", f"{found['noise']:.3f}", f"{found['p']:.2g}"]
        )
table(["1,000 texts of 3 tokens", "total variation", "noise alone gives", "p-value"], rows)

# %% [markdown]
# A p-value that is not tiny says: nothing here that chance would not do. The wrong rule is caught
# at once, although each of its texts would look fine.
#
# ## Third proof: greedy, token by token
#
# At temperature 0 there is no chance left. Yours, plain decoding with the target and transformers'
# own assisted generation must give the same tokens.

# %% tags=["long"]
inputs = [tokenizer(text, return_tensors="pt").input_ids for text in lab.prompts(4, seed=1)]
same = {"plain decoding": 0, "transformers, plain": 0, "transformers, assisted": 0}
for ids in inputs:
    yours = speculative_generate(target, draft, ids, 64, 4, 0.0, None, torch.Generator())
    others = [
        lab.plain_generate(target, ids, 64),
        lab.library_generate(target, ids, 64),
        lab.library_generate(target, ids, 64, draft=draft),
    ]
    for name, other in zip(same, others, strict=True):
        same[name] += torch.equal(yours, other)
table(["yours gives the same 64 tokens as", f"of {len(inputs)} prompts"], list(same.items()))

# %% [markdown]
# > **The lecture says:** the output has "exactly the same distribution".
# >
# > **What holds:** yes, in exact arithmetic. On a machine one call with six tokens adds in another
# > order than six calls with one, and the logits differ in the last digits. In 32 bits that almost
# > never changes a token; in 16 bits two nearly equal candidates can swap. That is rounding, not a
# > fault of the method; it can happen whenever the batch size changes, too.

# %% [markdown]
# # Part D. How much faster?

# %% [markdown] about="expected_tokens"
# **Why.** $k$ must be chosen. Too small, and the target is called too often; too large, and the
# draft works for the waste-paper basket.
#
# **Mathematics.** Suppose each guess is accepted with the same probability $\alpha$, independently.
# A round gives one token for sure, a second one if the first guess was accepted, …:
#
# $$E(\alpha, k) = 1 + \alpha + \alpha^2 + \dots + \alpha^k = \frac{1 - \alpha^{k+1}}{1 - \alpha},
# \qquad E(1, k) = k + 1 .$$
#
# It takes $k$ draft steps, each of them $c$ target steps long, and one target call. If checking
# $k + 1$ tokens costs as much as making one,
#
# $$\text{speedup}(\alpha, k, c) = \frac{E(\alpha, k)}{k c + 1} .$$
#
# By hand: $\alpha = 0.5$, $k = 2$: $E = 1 + 0.5 + 0.25 = 1.75$. With $c = 0.1$ the round costs
# $1.2$, so the speedup is $1.458$. With $c = 0.5$ it is $1.75 / 2 = 0.875$: slower than without.


# %% exercise="expected_tokens"
# exercise: expected_tokens
def expected_tokens(alpha, k):
    """Expected number of tokens of a round: 1 + alpha + ... + alpha^k.

    alpha: float, 0 <= alpha <= 1; k: int >= 0. Returns a float.
    Raises ValueError for anything outside.
    """
    ### BEGIN SOLUTION
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is a probability, not {alpha}")
    if k < 0:
        raise ValueError(f"k must not be negative: {k}")
    return float(sum(alpha**i for i in range(k + 1)))
    ### END SOLUTION


def speedup(alpha, k, cost):
    """Expected speedup over plain decoding: expected_tokens(alpha, k) / (k * cost + 1).

    cost: float >= 0, the time of a draft step in target steps; alpha, k as above.
    Raises ValueError for anything outside.
    """
    ### BEGIN SOLUTION
    if not cost >= 0:
        raise ValueError(f"cost must not be negative: {cost}")
    return expected_tokens(alpha, k) / (k * cost + 1)
    ### END SOLUTION


def best_k(alpha, cost, max_k=16):
    """The k in 1 ... max_k with the highest speedup, an int; the smallest of equals."""
    ### BEGIN SOLUTION
    return max(range(1, max_k + 1), key=lambda k: speedup(alpha, k, cost))
    ### END SOLUTION


# %% test="expected_tokens"
check("expected_tokens", expected_tokens, speedup, best_k)
### BEGIN HIDDEN TESTS
hidden("expected_tokens")
### END HIDDEN TESTS


# %% [markdown]
# > **The lecture says:** if 3 to 4 of 5 guesses are accepted, the speedup is about 2 to 3.
# >
# > **We compute:** which $\alpha$ gives 3 accepted guesses of 5 on average, which gives 4? And what
# > follows?


# %%
def alpha_for(accepted, k=5):
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_tokens(middle, k) < accepted + 1 else (low, middle)
    return low


costs = (0.02, 0.05, 0.1, 0.2, 0.3)
rows = []
for accepted in (3, 4):
    a = alpha_for(accepted)
    for bonus in (True, False):
        gain = [speedup(a, 5, c) * (1 if bonus else accepted / (accepted + 1)) for c in costs]
        name = f"{accepted} of 5 accepted, α = {a:.3f}" + ("" if bonus else ", only these counted")
        rows.append([name, *(f"{g:.2f}" for g in gain)])
table(["", *(f"c = {c}" for c in costs)], rows, caption="speedup with k = 5")

# %% [markdown]
# "2 to 3" is about right for a draft step that costs 0.1 to 0.2 of a target step. With a cheaper
# draft it is more, with a dearer one less. ("Only these counted" leaves out the token that the target
# adds in each round.) And an $\alpha$ of 0.83 to 0.93 is high: in the paper that
# introduced the method ([Leviathan et al. 2023](https://arxiv.org/abs/2211.17192), table 2, T5-XXL)
# it was 0.53 to 0.82. There the draft with the best $\alpha$ was *not* the fastest.
#
# ## Play with it
#
# $\alpha$, $c$ and the cost of checking in one picture. Find a pair for which every $k$ loses.

# %%
from course_lib import speculative_explorer

speculative_explorer()

# %% [markdown]
# ## Predicted and measured
#
# Now the real pair. We measure $\alpha$ on texts that the target wrote, the draft step $c$, and,
# what the formula leaves out, the cost $v$ of checking $k + 1$ tokens in units of a target step.
# The honest prediction is $E / (kc + v_{k+1})$. Then we measure.

# %% tags=["long"]
ks = list(range(1, 9))
names = {"target": target, "draft": draft}
seconds = lab.step_seconds(names, {"target": [1, *(k + 1 for k in ks)], "draft": [1]})
step = seconds["target", 1]
cost = seconds["draft", 1] / step
check_cost = {k: seconds["target", k + 1] / step for k in ks}

inputs = [tokenizer(text, return_tensors="pt").input_ids for text in lab.prompts(2, seed=2)]
texts = [lab.plain_generate(target, ids, lab.NEW_TOKENS) for ids in inputs]
agree = torch.cat(
    [
        lab.acceptance(target, draft, text[0], temperature=0)[ids.shape[1] - 1 :]
        for ids, text in zip(inputs, texts, strict=True)
    ]
)
alpha = agree.mean().item()
runs = {"plain": lambda ids: lab.plain_generate(target, ids, lab.NEW_TOKENS)}
for k in ks:
    runs[k] = lambda ids, k=k: speculative_generate(
        target, draft, ids, lab.NEW_TOKENS, k, 0.0, None, torch.Generator()
    )
times = lab.race(runs, inputs)
measured = {k: lab.faster(times, k, "plain") for k in ks}
honest = {k: expected_tokens(alpha, k) / (k * cost + check_cost[k]) for k in ks}
table(
    ["k", "checking k + 1 costs", "formula", "with that cost", "measured"],
    [
        [k, f"{check_cost[k]:.2f}", f"{speedup(alpha, k, cost):.2f}", f"{honest[k]:.2f}",
         f"{measured[k]:.2f}"]
        for k in ks
    ],
    caption=f"greedy; α = {alpha:.2f}, c = {cost:.3f}, a target step {1000 * step:.1f} ms",
)  # fmt: skip
print("best k by the formula:", best_k(alpha, cost, 8), " measured:", max(ks, key=measured.get))

# %% tags=["long"]
fig, axis = figure(width=7.5, height=3.2)
for style, (label, values) in zip(
    LINES,
    {
        "formula": [speedup(alpha, k, cost) for k in ks],
        "with the measured cost of checking": [honest[k] for k in ks],
        "measured": [measured[k] for k in ks],
    }.items(),
    strict=False,
):
    axis.plot(ks, values, **style, label=label)
axis.axhline(1, color="black", linewidth=0.8)
axis.set(xlabel="k, guesses in a round", ylabel="times plain decoding", ylim=(0, None))
_ = axis.legend(facecolor="white", framealpha=1, edgecolor="none", loc="lower right")

# %% [markdown]
# Where the three lines part:
#
# - *Formula to honest prediction*: checking $k + 1$ tokens is not free.
# - *Honest prediction to measurement*: the formula takes guesses as independent. They need not be:
#   where hard tokens come together, a long run of acceptances is likelier than $\alpha^k$, and a
#   round can give more than $E$. In texts like these the difference is small. On the other side stands
#   Python: appending, cropping, one draw per guess. And the costs are noisy, because they were not
#   measured in the same moment as the speed.
#
# ## Beside transformers
#
# The library has the same method, `generate(assistant_model=…)`. By default it guesses 20 tokens and
# stops earlier when the draft is not sure. We try two other settings; compare yours with the better
# one. Greedy and sampling, same prompts, same number of tokens.

# %% tags=["long"]
best = best_k(alpha, cost, 8)
rows = []
for temperature in (0.0, 1.0):
    runs = {
        "plain, the loop above": lambda ids, t=temperature: lab.plain_generate(
            target, ids, lab.NEW_TOKENS, t, torch.Generator()
        ),
        f"yours, k = {best}": lambda ids, t=temperature: speculative_generate(
            target, draft, ids, lab.NEW_TOKENS, best, t, None, torch.Generator()
        ),
        "transformers, plain": lambda ids, t=temperature: lab.library_generate(
            target, ids, lab.NEW_TOKENS, t
        ),
    }
    for count, schedule, sure in ((5, "constant", 0.0), (8, "constant", 0.4)):
        runs[f"transformers, assisted, {count} guesses, stops below {sure}"] = (
            lambda ids, t=temperature, count=count, schedule=schedule, sure=sure: (
                lab.library_generate(
                    target, ids, lab.NEW_TOKENS, t, draft,
                    num_assistant_tokens=count, num_assistant_tokens_schedule=schedule,
                    assistant_confidence_threshold=sure,
                )
            )
        )  # fmt: skip
    times = lab.race(runs, inputs[:2])
    for name in runs:
        rate = lab.NEW_TOKENS / statistics.median(times[name])
        gain = lab.faster(times, name, "plain, the loop above")
        rows.append([f"T = {temperature:g}: {name}", f"{rate:.0f}", f"{gain:.2f}"])
table(["", "tokens/s", "times plain"], rows)

# %% [markdown]
# `benchmarks/speculative.py` does this with more prompts and more settings of the library; its
# figures are in `docs/results.md`.
#
# # Part E. Where it loses
#
# **A bad draft.** Three drafts for the same target: ours; the embedded base of the course (four times
# as deep, and it never learned from the target); and ours with random weights.

# %% tags=["long"]
from transformers import AutoModelForCausalLM

from course_lib.models import load_base

torch.manual_seed(0)
drafts = {
    "ours, 1 layer": draft,
    "the course's base, 4 layers": load_base("cpu")[0],
    "ours, untrained": AutoModelForCausalLM.from_config(draft.config).eval(),
}
names = {"target": target, **drafts}
seconds = lab.step_seconds(names, {name: [1] for name in names})
runs = {"plain": lambda ids: lab.plain_generate(target, ids, 64)}
for name, model in drafts.items():
    runs[name] = lambda ids, model=model: speculative_generate(
        target, model, ids, 64, 4, 0.0, None, torch.Generator()
    )
times = lab.race(runs, inputs[:2])
rows = []
for name, model in drafts.items():
    same = [
        lab.acceptance(target, model, text[0], temperature=0)[ids.shape[1] - 1 :]
        for ids, text in zip(inputs, texts, strict=True)
    ]
    rows.append([
        name, f"{torch.cat(same).mean():.2f}", f"{seconds[name, 1] / seconds['target', 1]:.2f}",
        f"{lab.faster(times, name, 'plain'):.2f}",
    ])  # fmt: skip
table(["draft, k = 4, greedy", "α", "c", "times plain, measured"], rows)

# %% [markdown]
# **A large batch.** Checking is cheap only as long as the hardware has arithmetic to spare. A server
# with 32 texts in a batch already does 32 tokens per call; six times as many are then real work.

# %% tags=["long"]
rows = []
for batch in (1, 4, 16, 64):
    seconds = lab.step_seconds(
        {"target": target, "draft": draft},
        {"target": [1, 6], "draft": [1]},
        context=64,
        batch=batch,
        rounds=4,
    )
    v, c = (seconds[key] / seconds["target", 1] for key in (("target", 6), ("draft", 1)))
    gain = expected_tokens(alpha, 5) / (5 * c + v)
    rows.append([batch, f"{1000 * seconds['target', 1]:.0f} ms", f"{v:.2f}", f"{c:.3f}",
                 f"{gain:.2f}"])  # fmt: skip
table(
    ["batch", "target step", "checking 6 costs", "draft step c", "times plain, predicted"],
    rows,
    caption=f"k = 5, α = {alpha:.2f}; from measured costs",
)

# %% [markdown]
# (In a batch it is worse still: each row accepts a different number, so rows drift apart.
# transformers refuses batches with an assistant altogether.)
#
# **What changes on a GPU.** The arguments stay, the numbers move. (This notebook computes on the CPU,
# whatever else is there.)
#
# | | here (CPU, small) | GPU, 7B and more |
# |---|---|---|
# | a step is slow because | every layer has a fixed cost | every weight is read from memory |
# | checking $k+1$ costs | up to 1.5 steps, more for batches | about 1 step until arithmetic is the limit |
# | draft/target cost $c$ | about 0.1: one layer of 16, and what a call costs anyway | about the ratio of the weights' bytes |
# | published | this notebook's table | Llama-2-70B int4 with a 7B draft on an A100: 25.3 → 48.4 tokens/s, 1.9 times, with $c = 0.13$ ([gpt-fast](https://github.com/meta-pytorch/gpt-fast)) |
#
# [Chen et al. (2023)](https://arxiv.org/abs/2302.01318) report 2 to 2.5 times for
# Chinchilla 70B. [EAGLE-3](https://arxiv.org/abs/2503.01840), whose draft is a small head on the
# target's own features, reports up to 6.5 times for single texts, and 1.38 times the throughput at
# batch 64. So: great when one user waits, small in a full server.

# %% [markdown]
# # Part F. The whole road
#
# This was the last piece. Where does each stage of the lectures stand?
#
# | stage | data | the loss sees | what it gives | what it cannot |
# |---|---|---|---|---|
# | pre-training | trillions of tokens | every next token | knowledge, language, arithmetic | do as it is told, reliably |
# | SFT (03, 04) | 10³ to 10⁶ pairs | response tokens | a format, a style, a habit, stopping | see its own mistakes: it only ever sees the right path |
# | expert iteration (05) | problems and a verifier | its own correct answers | more of what it can do sometimes | learn from failures: wrong answers are thrown away |
# | RL | problems and a reward | its own answers, weighted, both signs | what no demonstration shows; avoids what fails | work without a reward that resists being gamed |
# | decoding (here) | none | nothing is trained | speed, the same distribution | give a better text |
#
# > **The lecture says:** the stages come in this order and none can be skipped.
# >
# > **What holds:** as a default, yes. As a law, no: DeepSeek-R1-Zero
# > ([DeepSeek-AI 2025](https://arxiv.org/abs/2501.12948)) was made by RL directly on a base model,
# > without SFT. It worked, but it mixed languages and was hard to read; DeepSeek-R1 has a little SFT
# > first, against that.
#
# What the lecture leaves out, and what a project often needs first:
#
# - **Retrieval.** Facts that change belong in the context, not in the weights.
# - **Constrained decoding.** If the output must be valid JSON, a grammar guarantees it; fine-tuning
#   only makes it likely.
# - **Preference tuning (DPO and relatives).** Pairs of better and worse answers, no reward model,
#   no sampling loop: between SFT and RL in cost.
# - **Evaluation first.** Without a held-out test and a baseline nobody can tell whether any of
#   this helped. Notebook 04 has the intervals.
# - **Distillation.** If a larger model can do it, its outputs are the cheapest data
#   (see its licence). Its distributions, which our draft copied, are better still.
#
# ## Which one for you?
#
# Choose a situation. The widget says what to try first, why, and what it costs.

# %%
from course_lib import method_chooser

method_chooser()

# %% [markdown]
# # What to take along
#
# - **One call of the target can check many tokens**, because a step waits for the weights, not for
#   the arithmetic.
# - **Accept with min(1, p/q), after a rejection draw from max(0, p − q), if all were accepted take
#   the bonus.** All three are needed for the exact distribution at full speed.
# - **A round gives 1 to k + 1 tokens.** Guesses are not free: the draft pays $k$ steps.
# - **Caches must forget what was rejected.** A loop that forgets to forget still writes fluent text.
# - **Whether it pays depends on three measured numbers**: $\alpha$, $c$, and the cost of checking.
#   "3 to 4 of 5, so 2 to 3 times" is true for $c$ between 0.1 and 0.2.
# - **It helps one waiting reader, not a full server.**
# - **Choose the cheapest method that solves the problem, and measure before and after.**
