# %% [markdown]
# # Expert iteration
#
# Supervised fine-tuning needs solutions that somebody wrote. **Expert iteration** lets the model
# write them: sample many answers, keep those that a *verifier* calls right, fine-tune on them,
# repeat. STaR, ReST-EM and RFT are variants of this loop. You write its parts, run it on held-out
# problems beside a control that could refute it, and look at what it keeps: right answers, and
# some that are right by accident.
#
# | | exercise | what you write | points |
# |---|---|---|---|
# | 1 | `pass_at_k` | the chance that one of k samples is right | 3 |
# | 2 | `sample_solutions` | n solutions of each problem | 3 |
# | 3 | `filter_correct` | keep what is right, once | 4 |
# | 4 | `rationalize` | explain an answer that was shown | 3 |
# | 5 | `star` | the loop | 5 |
# | 6 | `majority_vote` | let the samples vote | 2 |
# | | | **together** | **20** |
#
# Time: about two and a half hours. Everything runs on a laptop, without a download. Needed: the
# masked loss (notebook 03), strict answers (notebook 04).
#
# **How to work.** Replace `raise NotImplementedError()` in an exercise cell, run it, then run the
# check below it. Each exercise has three hints; open them one at a time.

# %% tags=["setup"]
import math
import random
import statistics

import torch
import torch.nn as nn
import torch.nn.functional as F

from course_lib import check, hint
from course_lib.pictures import LINES, figure, table
from course_lib.problems import check_chain, equations, make_problems

# %% [markdown]
# # Part A. What imitation can do
#
# Our base model has read word problems, but it rarely answers one: asked for a solution it often
# goes on in another style. Let us look at what it can do *sometimes*: eight samples for each of 60
# problems that no training has seen.
#
# A text counts as right only if it ends in `####`, the right number, and then stops. That filter is
# strict on purpose: who trains on texts that run on trains a model that runs on.

# %% tags=["long"]
from course_lib.experiments import star as lab
from course_lib.models import load_base

base, tokenizer = load_base("cpu")
test = make_problems(60, "test", seed=11)
before = lab.measure(base, tokenizer, test, n=8)
print(f"right on average:            {before.pass_at_1:.3f}")
print(f"right at least once of 8:    {before.solved:.3f}")
shown = next(p for p, c in zip(test, before.right, strict=True) if 0 < c < 5)
texts = lab.generator(base, tokenizer)([lab.prompt_of(shown)] * 8, 0.8, 7)
for text in sorted(set(texts), key=lambda t: not lab.is_right(t, shown))[:3]:
    print("-" * 40, "right" if lab.is_right(text, shown) else "wrong")
    print(text[:200])

# %% [markdown]
# So there is something to work with: the second number is several times the first. They are called
# pass@1 and pass@8.
#
# ## More demonstrations
#
# The plain way up is imitation: fine-tune on solutions by somebody who can. The figure is recorded
# (means of five seeds with 95% t-intervals, each seed with its own problems; the command that made
# it is printed below it). All points have had the same number of updates.

# %%
from course_lib.experiments import star as lab

runs = lab.recorded()
fig, axis = figure(width=6.0, height=2.9)
sizes, means, halves = lab.curve(runs["arms"]["imitation"])
axis.errorbar(sizes, means, halves, capsize=4, **LINES[0])
axis.set(xscale="log", ylim=(0, 1), xlabel="demonstrations", ylabel="pass@1, held-out problems")
axis.set_xticks(sizes, sizes)
axis.minorticks_off()
print("recorded:", runs["command"])

# %% [markdown]
# > **The lecture says:** "the model can never be better than its training data".
# >
# > **What holds:** it is a good rule of thumb for one model that imitates one source. It is no law:
# > a majority of many noisy demonstrations can be better than each of them (you will see it in
# > Part D), and the loop below makes training data that is better than the model's average.

# %% [markdown] about="pass_at_k"
# **Why.** pass@1 says how good one answer is; pass@k what a search over k answers could find. The
# gap between the two is what expert iteration lives on: without it there is nothing to keep.
#
# **Mathematics.** $n$ samples were drawn and $c$ of them are right. If one took $k$ of the $n$ at
# random, how often would at least one be right?
#
# $$\text{pass@}k = 1 - \binom{n - c}{k} \Big/ \binom{n}{k}.$$
#
# That is an unbiased estimate ([Chen et al. 2021](https://arxiv.org/abs/2107.03374), *Codex*,
# section 2.1). The tempting $1 - (1 - c/n)^k$ is not: it puts each sample back before the next is
# taken, and comes out too low.
#
# By hand: $n = 4$, $c = 2$, $k = 2$. Of the 6 pairs only one holds no right sample:
# $1 - 1/6 = 0.833$. The other formula says $1 - 0.5^2 = 0.75$.


# %% exercise="pass_at_k"
# exercise: pass_at_k
def pass_at_k(n, c, k):
    """Unbiased estimate of the probability that at least one of k samples is right.

    n: int, samples that were drawn; c: int, how many of them are right; k: int, 1 <= k <= n
    Returns a float from 0 to 1. Raises ValueError if k > n or c > n.
    """
    ### BEGIN SOLUTION
    if k > n:
        raise ValueError(f"k must be at most n: {k} of {n} samples cannot be drawn")
    if c > n:
        raise ValueError(f"c must be at most n: {c} right ones among {n} samples")
    return 1.0 - math.comb(n - c, k) / math.comb(n, k)
    ### END SOLUTION


# %% test="pass_at_k"
check("pass_at_k", pass_at_k)
### BEGIN HIDDEN TESTS
hidden("pass_at_k")
### END HIDDEN TESTS


# %% [markdown]
# ## The room for improvement, as a curve

# %% tags=["long"]
ks = (1, 2, 4, 8)
rows = []
for k in ks:
    each = [pass_at_k(before.n, c, k) for c in before.right]
    rows.append([k, f"{statistics.mean(each):.3f}"])
table(["k", "pass@k of the base"], rows, caption=f"{len(test)} held-out problems, 8 samples each")

# %% [markdown]
# > **The lecture says:** 3 of 100 samples are right, then 10, 30, 60.
# >
# > **We keep the picture and measure our own numbers**: the lecture's are an illustration, no run is
# > cited for them.
#
# # Part B. The parts of the loop

# %% [markdown] about="sample_solutions"
# **Why.** Sampling is where nearly all of the time goes, and where a silly mistake costs all of the
# gain: if two samples share a seed, you have paid twice for one text.
#
# One call of `generate` answers **all** prompts (a batch is many times faster than one text after
# another). So there are $n$ calls, each with a seed of its own that depends on `seed` only, and the
# result is turned: for each prompt the list of its $n$ texts.
#
# **Mathematics.** At temperature $T$ each token is drawn from $\operatorname{softmax}(\ell / T)$,
# with $\ell$ the model's logits. $T < 1$ sharpens, $T > 1$ flattens; $T = 0$ is refused, because all
# samples would be the same.
#
# By hand: prompts `a`, `b` and $n = 3$. The calls give `[a1, b1]`, `[a2, b2]`, `[a3, b3]`; the result
# is `[[a1, a2, a3], [b1, b2, b3]]`.


# %% exercise="sample_solutions"
# exercise: sample_solutions
def sample_solutions(generate, prompts, n, temperature, seed):
    """n sampled texts for each prompt.

    generate: function (prompts, temperature, seed) -> list with one text per prompt, in order.
        The same arguments give the same texts.
    prompts: list of str; n: int >= 1; temperature: number > 0; seed: int
    Returns a list with, for each prompt in order, the list of its n texts. generate is called n
    times, each time on all prompts, with n different seeds that depend on `seed` only.
    Raises ValueError for n < 1 or temperature <= 0.
    """
    ### BEGIN SOLUTION
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, not {temperature}")
    # A string seed: the seeds of seed 0 and of seed 1 have nothing in common.
    seeds = random.Random(f"samples/{seed}").sample(range(2**31), n)
    rounds = [generate(prompts, temperature, s) for s in seeds]
    return [[texts[i] for texts in rounds] for i in range(len(prompts))]
    ### END SOLUTION


# %% test="sample_solutions"
check("sample_solutions", sample_solutions)
### BEGIN HIDDEN TESTS
hidden("sample_solutions")
### END HIDDEN TESTS


# %% [markdown] about="filter_correct"
# **Why.** The filter *is* the teacher. Nothing else in the loop knows what is right.
#
# Three steps, in this order: wrong texts go; of texts with the **same chain of equations** the first
# stays, because ten copies of one easy solution would crowd out the rest (the idea is RFT's, Yuan
# et al. 2023); at most `max_per_problem` remain, so that easy problems do not crowd out hard ones.
# `equations(text)` from the set-up cell lists a text's equations.
#
# By hand, `max_per_problem = 2`, the right answer is 6:
#
# | text | chain | |
# |---|---|---|
# | `2+3=<<2+3=5>>5 … #### 5` | | wrong: out |
# | `2*3=<<2*3=6>>6 … #### 6` | `2*3=6` | kept |
# | `Two times three: <<2*3=6>> … #### 6` | `2*3=6` | the same chain: out |
# | `3+3=<<3+3=6>>6 … #### 6` | `3+3=6` | kept |
# | `1*6=<<1*6=6>>6 … #### 6` | `1*6=6` | a third one: out |


# %% exercise="filter_correct"
# exercise: filter_correct
def filter_correct(problems, samples, is_correct, max_per_problem):
    """The sampled texts that are worth training on.

    problems: list of dicts with "question" and "answer"
    samples: list; samples[i] are the texts for problems[i]
    is_correct: function (text, problem) -> bool
    max_per_problem: int, how many texts of a problem are kept at most
    Returns a list of (i, text), in the order of the problems and of their texts: right ones only;
    of those with the same chain of <<...>> equations, in the same order, the first (a text without
    any is its own chain); then the first max_per_problem.
    """
    ### BEGIN SOLUTION
    kept = []
    for i, (problem, texts) in enumerate(zip(problems, samples, strict=True)):
        first = {}
        for text in texts:
            if is_correct(text, problem):
                first.setdefault(tuple(equations(text)) or text, text)
        kept += [(i, text) for text in list(first.values())[:max_per_problem]]
    return kept
    ### END SOLUTION


# %% test="filter_correct"
check("filter_correct", filter_correct)
### BEGIN HIDDEN TESTS
hidden("filter_correct")
### END HIDDEN TESTS


# %% [markdown]
# ## Right by accident
#
# The filter sees the final number only. Here is what it lets through on the base's own samples:
# `check_chain` computes every `<<…>>` again and tells whether the steps hold.

# %% tags=["long"]
problems = make_problems(400, "train", seed=11)
generate = lab.generator(base, tokenizer)
samples = sample_solutions(generate, [lab.prompt_of(p) for p in problems], 2, 0.9, seed=1)
kept = filter_correct(problems, samples, lab.is_right, 2)
false = [(i, text) for i, text in kept if not check_chain(text)]
print(f"{len(kept)} of {2 * len(problems)} samples kept, {len(false)} of them with a wrong step")
for i, text in false[:1]:
    print("\n" + problems[i]["question"] + "\n" + text)

# %% [markdown]
# Such **false positives** are trained on like the others. The lecture's "verifiable" means that the
# answer can be checked. The reasoning is not checked.

# %% [markdown] about="rationalize"
# **Why.** Problems that the model never solves give nothing to train on, however often they are
# sampled. STaR shows it the answer and asks for a solution that leads there. What comes out right
# is trained on **as if the answer had not been shown**.
#
# **Mathematics.** With a model $M$, a question $x$ and its answer $a$: the solution $y$ is drawn from
# $M(y \mid x, a)$ and trained on as if it came from $M(y \mid x)$.
#
# So two prompts play a part: `hint(problem)` goes to the model; the plain question, with a newline
# after it, goes into the training pair. And a model that was shown the answer can still write
# something else: the text must pass `is_correct` all the same.


# %% exercise="rationalize"
# exercise: rationalize
def rationalize(problem, generate, is_correct, hint):  # noqa: F811
    """A solution found with the answer in view, to be trained on as if it had not been.

    problem: dict with "question" and "answer"
    generate: function (prompt) -> text
    is_correct: function (text, problem) -> bool
    hint: function (problem) -> the prompt that shows the gold answer
    Returns (training prompt, text), where the training prompt is the question and a newline and
    the text is as generated; None if the text is not correct.
    """
    ### BEGIN SOLUTION
    text = generate(hint(problem))
    if not is_correct(text, problem):
        return None
    return f"{problem['question']}\n", text
    ### END SOLUTION


# %% test="rationalize"
check("rationalize", rationalize)
### BEGIN HIDDEN TESTS
hidden("rationalize")
### END HIDDEN TESTS


# %% [markdown] about="star"
# **Why.** This is the loop. It has two models in it, and confusing them is the usual mistake: the
# **current** model samples and is scored; fine-tuning starts from the **base** (`restart=True`, as
# in STaR and ReST-EM) or from the current model.
#
# Why from the base, although the current model is better? Each round then trains on the newest and
# best texts only. Nothing remains of the training on the first, worst ones.
#
# **Mathematics.** With the base $M_0$, in round $t = 1, 2, \dots$:
#
# $$M_t = \operatorname{finetune}(M_0, \{(x, y) : y \sim M_{t-1}(x),\ y \text{ is right}\})$$
#
# A round may keep nothing. Then the current model stays, and the round is recorded: nothing kept,
# nothing solved, the score of the model that stayed. A curve with a hole in it must show the hole.


# %% exercise="star"
# exercise: star
def star(base, problems, n_rounds, sample, keep, finetune, evaluate, restart=True):
    """Expert iteration: sample, keep what is right, fine-tune, again.

    base: the model to start from, any object; problems: list of problems; n_rounds: int >= 0
    sample(model, problems) -> samples
    keep(problems, samples) -> list of (problem index, text)
    finetune(model, pairs) -> a new model; the one that it is given stays as it is
    evaluate(model) -> float
    restart: fine-tune from base in each round; if False, from the current model
    Returns n_rounds + 1 dicts {"round", "kept", "solved", "score"}. Round 0 is the base, with
    kept = solved = 0. kept: the number of this round's pairs; solved: their distinct problems.
    A round that keeps nothing keeps the current model, and is recorded with its score.
    """
    ### BEGIN SOLUTION
    current = base
    history = [{"round": 0, "kept": 0, "solved": 0, "score": evaluate(base)}]
    for number in range(1, n_rounds + 1):
        pairs = keep(problems, sample(current, problems))
        if pairs:
            current = finetune(base if restart else current, pairs)
        history.append(
            {
                "round": number,
                "kept": len(pairs),
                "solved": len({i for i, _ in pairs}),
                "score": evaluate(current),
            }
        )
    return history
    ### END SOLUTION


# %% test="star"
check("star", star)
### BEGIN HIDDEN TESTS
hidden("star")
### END HIDDEN TESTS


# %% [markdown]
# # Part C. Does it work?
#
# ## Live: three rounds on this machine
#
# 300 problems, 2 samples of each in a round, and 40 demonstrations that are part of every training
# set. The **control** has the same number of updates on the same 40 demonstrations alone. If the
# model's own solutions taught nothing, the two would end at the same height.

# %% tags=["long"]
drawn = make_problems(340, "train", seed=5)
demonstrations, problems = drawn[:40], drawn[40:]
shown = [(lab.prompt_of(p), p["answer"]) for p in demonstrations]
UPDATES = 60


def sample(model, problems):
    prompts = [lab.prompt_of(p) for p in problems]
    seed = len(kept_in)
    return sample_solutions(lab.generator(model, tokenizer), prompts, 2, 0.9, seed)


def keep(problems, samples):
    kept_in.append(filter_correct(problems, samples, lab.is_right, 2))
    return kept_in[-1]


def finetune(model, pairs):
    own = [(lab.prompt_of(problems[i]), text) for i, text in pairs]
    return lab.fine_tune(model, tokenizer, own + shown, UPDATES, seed=len(kept_in))


def evaluate(model):
    found.append(lab.measure(model, tokenizer, test, n=8))
    return found[-1].pass_at_1


# %% tags=["long"]
found, kept_in = [], []
history = star(base, problems, 3, sample, keep, finetune, evaluate)
control = lab.measure(lab.fine_tune(base, tokenizer, shown, UPDATES, seed=1), tokenizer, test, n=8)
ever, rows = set(), []
for row, result, pairs in zip(history, found, [[], *kept_in], strict=True):
    solved = {i for i, _ in pairs}
    rows.append(
        [
            row["round"], row["kept"], row["solved"], len(solved - ever),
            sum(not check_chain(text) for _, text in pairs),
            f"{row['score']:.3f}",
            f"{statistics.mean(pass_at_k(8, c, 8) for c in result.right):.3f}",
            f"{result.chains:.2f}",
        ]
    )  # fmt: skip
    ever |= solved
each = statistics.mean(pass_at_k(8, c, 8) for c in control.right)
rows.append(["control", "", "", "", "", f"{control.pass_at_1:.3f}", f"{each:.3f}",
             f"{control.chains:.2f}"])  # fmt: skip
table(
    ["round", "kept", "solved", "new", "false", "pass@1", "pass@8", "chains a solved problem"],
    rows,
    caption="new: solved for the first time; false: kept with a wrong step; test problems: held out",
)

# %% [markdown]
# One seed and 60 test problems: the intervals of such a table are wide (about ±0.1 for pass@1). So
# no conclusion yet.
#
# Some problems were solved in no round. Now your `rationalize` asks for them, with the answer in
# the prompt. A small model must first learn what a shown answer is: from the 40 demonstrations,
# their answers shown. The **control** is asked once more too, without the answer.

# %% tags=["long"]
solved = {i for pairs in kept_in for i, _ in pairs}
left = [p for i, p in enumerate(problems) if i not in solved]
hinted = [(lab.prompt_with_answer(p), p["answer"]) for p in demonstrations]
rationalizer = lab.fine_tune(base, tokenizer, hinted, UPDATES, seed=1)
imitator = lab.fine_tune(base, tokenizer, shown, UPDATES, seed=1)
rows = []
for name, model, prompt in [
    ("the answer shown", rationalizer, lab.prompt_with_answer),
    ("control: not shown", imitator, lab.prompt_of),
]:
    prompts = [prompt(p) for p in left]
    texts = dict(zip(prompts, lab.generator(model, tokenizer)(prompts, 0.9, seed=1), strict=True))
    pairs = [rationalize(p, texts.__getitem__, lab.is_right, prompt) for p in left]
    kept = [pair for pair in pairs if pair]
    rows.append([name, len(left), len(kept), sum(not check_chain(text) for _, text in kept)])
table(["", "problems left", "right now", "with a wrong step"], rows)

# %% [markdown]
# Do not be surprised if the control finds as many, or more: 40 demonstrations hardly teach a model
# this small what to do with an answer. In the recorded runs, with 50, it did not help either.
#
# ## Recorded: five seeds, with controls
#
# The same loop with 800 problems and 50 demonstrations, 100 updates a round. Every seed has its own
# problems and demonstrations. `continue` fine-tunes the current model in place of the base.
# `control` has the same number of updates on the demonstrations only; it too is trained on from
# round to round.

# %%
names = {
    "star": "STaR, from the base each round",
    "continue": "from the current model",
    "no_demonstrations": "STaR, no demonstrations at all",
    "control": "control: demonstrations only",
}
fig, axes = figure(columns=2, width=9.5, height=3.4)
for axis, measure in zip(axes, ("pass@1", "pass@8"), strict=True):
    for style, (arm, label) in zip(LINES, names.items(), strict=True):
        rounds, means, halves = lab.curve(runs["arms"][arm], measure)
        axis.errorbar(rounds, means, halves, capsize=3, label=label, **style)
    axis.set(xlabel="round", ylabel=f"{measure}, held-out problems", ylim=(0, 1), xticks=range(4))
axes[0].legend(frameon=False, fontsize=8, loc="lower right")
print("recorded:", runs["command"], "; mean of five seeds, 95% t-intervals")

# %%
arms = runs["arms"]


def by_seed(arm, number, measure="pass@1"):
    return {seed: facts[measure] for seed, facts in arms[arm][str(number)].items()}


rows = []
for title, (one, r1), (other, r2) in [
    ("STaR, round 3, minus the control's best round (1)", ("star", 3), ("control", 1)),
    ("STaR, round 1, minus the control, round 1", ("star", 1), ("control", 1)),
    ("STaR, round 3, minus its round 1", ("star", 3), ("star", 1)),
    ("from the base minus from the current model, round 3", ("star", 3), ("continue", 3)),
    ("with rationalization minus without, round 3", ("rationalize", 3), ("star", 3)),
    ("STaR, round 3, minus imitation of 400 demonstrations", ("star", 3), ("imitation", 400)),
]:
    row = [title]
    for measure in ("pass@1", "pass@8"):
        a, b = by_seed(one, r1, measure), by_seed(other, r2, measure)
        mean, half = lab.mean_and_half([a[s] - b[s] for s in a])
        row.append(f"{mean:+.3f} ({mean - half:+.3f} to {mean + half:+.3f})")
    rows.append(row)
table(
    ["difference, paired by seed", "pass@1", "pass@8"],
    rows,
    caption="mean of five seeds and 95% t-interval",
)

# %% [markdown]
# Every arm and measure of the recorded runs, seed by seed. What would two seeds have shown?

# %%
from course_lib import star_explorer

star_explorer()

# %% [markdown]
# Read the table of differences with its intervals:
#
# - **It beats the control clearly.** The model's own right answers teach it something that more
#   passes over the demonstrations do not: those only overfit, their curve falls.
# - **The first round does nearly all of it.** An interval of "round 3 minus round 1" that reaches
#   about zero says: on this task three rounds are hardly better than one. The lecture's picture of
#   10 → 30 → 60 is not what we found.
# - **From the base or from the current model** makes no difference that we could measure here.
# - **Rationalization** did not help measurably. (The answer was shown to a model that had learned
#   from the demonstrations what a shown answer is.) In the first round it gave more texts than the
#   model's own samples, and pass@1 did not move; later it explained few of the problems that were
#   left.
# - **Against demonstrations**: 50 of them and the model's own texts end near what 400 give, in
#   pass@1, and without any demonstration the loop ends about as high (see the figure). So it saves
#   demonstrations. It did not go beyond what they give.
# - **But look at pass@8 in that last line**: it is lower, and the interval is clear of zero. Most
#   likely the 400 demonstrations are more various than what one model writes; we did not test it.
# - **pass@8 rises with pass@1** otherwise, most likely because the base knows the arithmetic and
#   lacks the habit. On harder tasks pass@k for large k can *fall* while pass@1 rises, because
#   diversity is spent (for RL: [Yue et al. 2025](https://arxiv.org/abs/2504.13837)). The last column
#   of the live table is there to watch it.
#
# ## What was kept

# %%
rows = []
for number in (1, 2, 3):
    facts = list(arms["star"][str(number)].values())
    mean = {k: statistics.mean(f[k] for f in facts) for k in (
        "kept", "solved", "new", "kept_false_positives", "chains")}  # fmt: skip
    rows.append([number, *(f"{mean[k]:.0f}" for k in ("kept", "solved", "new")),
                 f"{mean['kept_false_positives'] / mean['kept']:.1%}",
                 f"{mean['chains']:.2f}"])  # fmt: skip
table(
    [
        "round",
        "kept",
        "solved of 800",
        "for the first time",
        "with a wrong step",
        "chains a solved test problem",
    ],
    rows,
    caption="STaR, recorded, means of five seeds",
)

# %% [markdown]
# From the second round on, about one kept text in sixteen reaches the right number by a wrong step.
# It is trained on as well.
#
# # Part D. Voting
#
# The samples of one problem can also be put to use without any training.

# %% [markdown] about="majority_vote"
# **Why.** If wrong answers scatter and right ones agree, the most common answer is better than a
# single sample. It needs no verifier at all ([Wang et al. 2023](https://arxiv.org/abs/2203.11171)
# call it *self-consistency*), and it is the honest baseline for every method that spends samples.
#
# **Mathematics.** $\hat a = \arg\max_a \, \#\{i : a_i = a\}$.
#
# `None` stands for "no answer found" and has no vote. Answers are compared with `==`: 5, 5.0 and
# `Decimal("5.00")` are one. Of equals the one that was seen first wins. Nobody votes: `None`.
#
# By hand: `[7, None, 5, 5.0, 7, None]` gives 7: two votes each, and 7 was seen first.


# %% exercise="majority_vote"
# exercise: majority_vote
def majority_vote(answers):
    """The most common answer, or None if there is none.

    answers: list of answers, compared with ==; None stands for no answer and has no vote.
    Of answers with equally many votes the one that was seen first wins.
    """
    ### BEGIN SOLUTION
    candidates, votes = [], []
    for answer in answers:
        if answer is None:
            continue
        # == and not a dict: answers need not be hashable.
        for at, candidate in enumerate(candidates):
            if candidate == answer:
                votes[at] += 1
                break
        else:
            candidates.append(answer)
            votes.append(1)
    return candidates[votes.index(max(votes))] if votes else None
    ### END SOLUTION


# %% test="majority_vote"
check("majority_vote", majority_vote)
### BEGIN HIDDEN TESTS
hidden("majority_vote")
### END HIDDEN TESTS


# %% [markdown]
# ## Eight samples and a vote


# %% tags=["long"]
def answer_of(text):
    return lab.final_number(text) if "####" in text else None


tuned = lab.fine_tune(base, tokenizer, shown, UPDATES, seed=1)
texts = sample_solutions(
    lab.generator(tuned, tokenizer), [lab.prompt_of(p) for p in test], 8, 0.8, seed=3
)
gold = [lab.final_number(p["answer"]) for p in test]
single = statistics.mean(
    answer_of(text) == g for own, g in zip(texts, gold, strict=True) for text in own
)
vote = statistics.mean(
    majority_vote([answer_of(t) for t in own]) == g for own, g in zip(texts, gold, strict=True)
)
found_once = statistics.mean(
    g in [answer_of(t) for t in own] for own, g in zip(texts, gold, strict=True)
)
table(
    ["the control model", ""],
    [
        ["a single sample", f"{single:.3f}"],
        ["majority of 8", f"{vote:.3f}"],
        ["right at least once of 8 (needs a verifier)", f"{found_once:.3f}"],
    ],
)

# %% [markdown]
# And here is the promised counterexample to "never better than its training data": three noisy
# teachers, each right in 70% of the cases, their errors independent. A student that learned to say
# what most of them say is right more often than each.

# %%
rng = random.Random(0)
n, right = 20_000, 0
for _ in range(n):
    votes = [0 if rng.random() < 0.7 else rng.randint(1, 9) for _ in range(3)]
    right += majority_vote(votes) == 0
print(f"each teacher: 0.70, the majority of three: {right / n:.3f}")

# %% [markdown]
# # Part E. Another verifier: running code
#
# For code the verifier is a set of unit tests. `course_lib/code_verifier.py` runs a function in a
# process of its own, with limits of time and memory. It is enough against accidents of a model and
# **no protection against malice**; its docstring says what it does not stop.

# %% tags=["long"]
from course_lib.code_verifier import passes_tests

tests = "assert mean([2, 4]) == 3\nassert mean([5]) == 5\nassert mean([]) == 0"
answers = {
    "right": "def mean(x):\n    return sum(x) / len(x) if x else 0",
    "forgets the empty list": "def mean(x):\n    return sum(x) / len(x)",
    "does not end": "def mean(x):\n    while True:\n        pass",
    "wins without solving": "def mean(x):\n    return {2: 3, 1: 5}.get(len(x), 0)",
}
table(
    ["candidate", "passes", "why not"],
    [
        [name, verdict.passed, verdict.why]
        for name, code in answers.items()
        for verdict in [passes_tests(code, tests, seconds=2)]
    ],
)

# %% [markdown]
# The last one is a false positive again: it knows the tests, not the task. A verifier that is
# trained against for many rounds will be gamed wherever it can be.
#
# # Part F. The published figures
#
# > **The lecture shows:** GPT-J 12% → STaR 25%, Llama-2 7B + SFT 41% → ReST-EM 49% → 55%, from
# > "Zelikman et al.; Singh et al.". Hardly one of these is in those papers.
#
# | model | method | GSM8K | source |
# |---|---|---|---|
# | GPT-J 6B | few-shot chain of thought | 3.1% | [Zelikman et al. 2022](https://arxiv.org/abs/2203.14465) (STaR), table 2 |
# | GPT-J 6B | direct fine-tuning | 5.8% | the same |
# | GPT-J 6B | STaR, without / with rationalization | 10.1% / 10.7% | the same |
# | Llama-2 7B | SFT | 41.6% | [Yuan et al. 2023](https://arxiv.org/abs/2308.01825) (RFT) |
# | Llama-2 7B | RFT on 100 own samples a problem | 47.5% | the same |
# | Llama-2 7B | RFT, samples of larger models too | 50.3% to 51.2% | the same; partly distillation |
#
# [Singh et al. 2024](https://arxiv.org/abs/2312.06585) (ReST-EM) trained PaLM 2 on MATH and on code
# problems (APPS), not Llama.
#
# | | STaR | ReST-EM | RFT |
# |---|---|---|---|
# | samples of a problem in a round | one, greedy | many, at a temperature | 100, at temperature 0.7 |
# | unsolved problems | rationalization | left out | left out |
# | repetitions | – | capped | one of each chain of equations |
# | fine-tuning starts from | the original model | the original model | the original model |
# | rounds | many | a few | one |
#
# Our loop is a mixture: sampling as in ReST-EM, the deduplication of RFT, and a few demonstrations in
# every training set.
#
# > **The lecture says:** "each round pushes past the SFT ceiling". Ours did in the first round
# > against its control. In general it may stop or reverse: false positives pile up, diversity goes.
#
# > **The lecture says:** the filter is binary, RL has a continuous reward. Much of today's RL on
# > mathematics uses the same binary reward; what it adds is that *wrong* answers count, negatively.

# %% [markdown]
# # A larger model
#
# The functions above know nothing of the model. With a GPU, take `load_base("gpu")`, the real GSM8K
# (`load_gsm8k`), `lab.fine_tune(..., rank=16, lr=2e-4)` for LoRA, and, if vLLM is installed,
# `lab.vllm_generator(model, tokenizer, folder)` in place of `lab.generator`. We had no GPU to run
# it on.

# %% [markdown]
# # What to take along
#
# - **Expert iteration lives on the gap** between pass@1 and pass@k.
# - **The filter is the teacher.** It sees the answer, not the reasoning: count the false positives.
# - **Deduplicate by chain, cap by problem**, or the easy ones take over.
# - **Sample from the current model.** Fine-tune the base, as the papers do; fine-tuning the current
#   model made no difference that we could measure.
# - **A control with the same updates** decides whether the loop taught anything. Here it did, in one
#   round; the further rounds added little.
# - **Vote first.** A majority costs no training and is the baseline to beat.
