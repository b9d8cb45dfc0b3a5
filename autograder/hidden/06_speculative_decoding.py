"""Hidden tests of 06_speculative_decoding.

Nothing here depends on the order in which a student draws. Wherever possible a draw is made
certain by a distribution with one possible token. What is left to chance is bounded: shares of
independent draws by the binomial distribution, the tokens of one text by a martingale
(`follows_target`), two texts that happen to be equal by the sum of p^2. tests/test_notebook_06.py
adds all of it up: a right answer fails in less than one of a million gradings.
"""

import copy
import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from autograder.judging import (
    Fail,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)
from course_lib.little import little_lm

DRAWS, OFF = 400, 0.088  # calls of a test of proportions, and how far off a share may be
FEW = 6  # calls with other generators that must not all agree, each among 63 tokens or more
UNLIKELY = 5e-9  # for one comparison in `follows_target`

# ---------------------------------------------------------------- acceptance_probability


def two(draw, size=None):
    """Two different distributions, float32."""
    size = size or draw.integers(5, 14)
    return (1.5 * draw.normal(size)).softmax(-1), (1.5 * draw.normal(size)).softmax(-1)


@hidden(
    "acceptance_probability",
    "min(1, p / q) for every token",
    weight=4,
    core=True,
    hint="The draft made the guess, so its probability q is below the line.",
)
def ratio_of_target_and_draft(student, draw):
    for _ in range(3):
        p, q = two(draw)
        for token in range(len(p)):
            want = min(1.0, p[token].item() / q[token].item())
            check_close(student.acceptance_probability(p, q, token), want)
    # Rare tokens, in a vocabulary larger than what a top-k filter would keep.
    p, q = two(draw, 80)
    p[3], q[3], p[5], q[5] = 1e-9, 4e-9, 4e-8, 0.1
    p, q = p / p.sum(), q / q.sum()
    for token in (3, 5, *(p / q).topk(3, largest=False).indices.tolist(), int(q.argmin())):
        want = min(1.0, p[token].item() / q[token].item())
        check_close(student.acceptance_probability(p, q, token), want, what="a rare token")


@hidden(
    "acceptance_probability",
    "a Python float, never above 1",
    hint="float(…) or .item() makes a Python float of a tensor with one element.",
)
def plain_float(student, draw):
    p, q = two(draw, 6)
    for token in range(6):
        check_type(student.acceptance_probability(p, q, token), float)
    same = student.acceptance_probability(p, p.clone(), 2)
    check_type(same, float)
    check_close(same, 1.0)


@hidden(
    "acceptance_probability",
    "q = 0 gives 1.0 if p > 0, else 0.0",
    weight=1.5,
    hint="Treat q[token] == 0 before the division. There are two cases.",
)
def draft_gives_nothing(student, draw):
    for size in (5, 9):
        p, q = two(draw, size)
        zero, both = draw.sample(range(size), 2)
        q[zero] = q[both] = p[both] = 0
        p, q = p / p.sum(), q / q.sum()
        for token, want in ((zero, 1.0), (both, 0.0)):
            got, after = student.call_and_inspect("acceptance_probability", p, q, token)
            check_type(got, float)
            check_close(got, want)
            check_equal(after[1], q, "q after the call")
        p[zero] = 1e-8
        check_close(student.acceptance_probability(p, q, zero), 1.0, what="a small p")


@hidden(
    "acceptance_probability",
    "p = 0 is never accepted; the arguments stay as they are; any float dtype",
    hint="0 / q is 0. Do not write into p or q. Every call reads p and q anew: keep no results.",
)
def target_gives_nothing(student, draw):
    p, q = two(draw, 7)
    p[3] = 0
    (got, (p_after, q_after, _)) = student.call_and_inspect("acceptance_probability", p, q, 3)
    check_close(got, 0.0)
    check_equal(p_after, p, "p after the call")
    check_equal(q_after, q, "q after the call")
    kept, other = student.put(p), student.put(q)
    student.acceptance_probability(kept, other, 3)
    student.copy(kept, q)  # p is what it holds now
    again = student.acceptance_probability(kept, other, 3)
    check_close(again, 1.0, what="a second call, after p has changed")
    p, q = (x.double() for x in two(draw, 7))
    low = int((p / q).argmin())
    check_close(student.acceptance_probability(p, q, low), (p[low] / q[low]).item(), rtol=1e-6)


# ---------------------------------------------------------------- residual_distribution


def residual(p, q):
    missing = [max(0.0, a - b) for a, b in zip(p.tolist(), q.tolist(), strict=True)]
    return torch.tensor([m / sum(missing) for m in missing])


@hidden(
    "residual_distribution",
    "max(0, p - q), normalised",
    weight=4,
    core=True,
    hint="Only what the target wants MORE of than the draft gave remains. Then divide by the sum.",
)
def residual_values(student, draw):
    for _ in range(4):
        p, q = two(draw)
        check_close(student.residual_distribution(p, q), residual(p, q), dtype=False)
    p, q = two(draw, 300)  # more than a top-k filter would keep
    check_close(student.residual_distribution(p, q), residual(p, q), dtype=False)


@hidden(
    "residual_distribution",
    "p when p and q are equal",
    weight=1.5,
    hint="The sum of max(0, p - q) is 0 then. Look at it before you divide.",
)
def residual_of_equals(student, draw):
    p, _ = two(draw)
    check_close(student.residual_distribution(p, p.clone()), p)
    certain = F.one_hot(torch.tensor(2), 6).float()
    check_close(student.residual_distribution(certain, certain.clone()), certain)


@hidden(
    "residual_distribution",
    "nearly equal distributions, without a small number added",
    hint="An epsilon in the denominator or in the comparison makes the sum differ from 1.",
)
def residual_of_neighbours(student, draw):
    for size in (1e-3, 1e-5, 1e-8):
        p = torch.full((8,), 0.125, dtype=torch.float64)
        shift = draw.normal(8).double()
        q = p + size * (shift - shift.mean()) / shift.abs().max()
        want = (p - q).clamp(min=0)
        check_close(student.residual_distribution(p, q), want / want.sum(), rtol=1e-4)
    for _ in range(4):  # float32, where 1 - sum(min(p, q)) has no digits left
        p, _ = two(draw, 9)
        q = p.clone()
        q[2], q[6], q[7] = p[2] * (1 - 2e-6), p[6] * (1 - 3e-6), p[7] * (1 + 3e-6)
        check_close(student.residual_distribution(p, q), residual(p, q), rtol=1e-4)


@hidden(
    "residual_distribution",
    "dtype kept, zeros handled, arguments not modified",
    hint="p - q makes a new tensor; p -= q or clamp_ on p itself does not.",
)
def residual_manners(student, draw):
    p, q = two(draw, 9)
    p[1] = q[4] = 0
    p, q = p / p.sum(), q / q.sum()
    got, (p_after, q_after) = student.call_and_inspect("residual_distribution", p, q)
    check_close(got, residual(p, q))
    check_equal(p_after, p, "p after the call")
    check_equal(q_after, q, "q after the call")
    wide = student.residual_distribution(p.double(), q.double())
    check_close(wide, residual(p.double(), q.double()).double(), rtol=1e-4)


# ---------------------------------------------------------------- verify_draft


def rng(draw):
    return torch.Generator().manual_seed(draw.integers(1, 1 << 30))


def certain(*tokens, size):
    return F.one_hot(torch.tensor(tokens), size).float()


def check_tokens(got, want, what=""):
    check_type(got, list, what)
    for token in got:
        check_type(token, int, what)
    if got != want:
        raise Fail(
            f"{what}: wrong number of tokens" if len(got) != len(want) else f"{what}: wrong tokens"
        )


class Round:
    """A round in which every draw is certain: guess i has p / q = ratio[i], what its residual
    holds is the single token `spare`, and row k of p is the single token `bonus`."""

    def __init__(self, draw, k):
        self.size = draw.integers(6, 12)
        self.k = k
        *_, self.spare, self.bonus = order = draw.shuffled(range(self.size))
        guesses = [draw.choice(order[:-2]) for _ in range(k)]
        self.guesses = torch.tensor(guesses, dtype=torch.int64)
        self.ratio = [draw.uniform(0.2, 0.8) for _ in range(k)]
        self.q = torch.zeros(k, self.size)
        self.p = torch.zeros(k + 1, self.size)
        for i, guess in enumerate(self.guesses.tolist()):
            share = draw.uniform(0.3, 0.6)
            other = draw.choice([t for t in order[:-2] if t != guess])
            self.q[i, guess], self.q[i, other] = share, 1 - share
            self.p[i, guess] = share * self.ratio[i]
            self.p[i, other] = (1 - share) * 0.9  # likely, and not in the residual
            self.p[i, self.spare] = 1 - self.p[i].sum()
        self.p[k, self.bonus] = 1.0

    def u(self, draw, rejected):
        """Uniforms for which guess `rejected` (None: none) is the first to be rejected."""
        values = [r * draw.uniform(0.1, 0.9) for r in self.ratio]
        if rejected is not None:
            values[rejected] = self.ratio[rejected] + 0.9 * (1 - self.ratio[rejected])
            for i in range(rejected + 1, self.k):  # whatever comes later must not matter
                values[i] = draw.choice([0.01, 0.99])
        return torch.tensor(values)

    def want(self, rejected):
        if rejected is None:
            return [*self.guesses.tolist(), self.bonus]
        return [*self.guesses[:rejected].tolist(), self.spare]


@hidden(
    "verify_draft",
    "the first rejection emits one residual token and stops",
    weight=4,
    core=True,
    hint="Go through the guesses in order; accept iff u[i] <= p[i, token] / q[i, token]. A "
    "rejection returns what was accepted before it and one token from the residual of row i.",
)
def first_rejection(student, draw):
    for k in (4, 5, 6):
        game = Round(draw, k)
        for rejected in range(k):
            u = game.u(draw, rejected)
            got = student.verify_draft(game.guesses, game.q, game.p, u, rng(draw))
            check_tokens(got, game.want(rejected), "with a rejected guess")


@hidden(
    "verify_draft",
    "full acceptance adds a bonus token from the last row of p",
    weight=3,
    hint="If the loop ends without a rejection, draw one more token from p[k].",
)
def bonus_token(student, draw):
    for k in (1, 3, 6):
        game = Round(draw, k)
        got = student.verify_draft(game.guesses, game.q, game.p, game.u(draw, None), rng(draw))
        check_tokens(got, game.want(None), "with all guesses accepted")


@hidden(
    "verify_draft",
    "k = 1 works, accepted and rejected; k = 0 gives the bonus alone",
    hint="Nothing may assume that there is a guess, or more than one: no squeeze() without a "
    "dimension, no loop variable after the loop.",
)
def one_guess(student, draw):
    for rejected in (0, None):
        game = Round(draw, 1)
        got = student.verify_draft(game.guesses, game.q, game.p, game.u(draw, rejected), rng(draw))
        check_tokens(got, game.want(rejected), "k = 1")
    game = Round(draw, 0)
    got = student.verify_draft(game.guesses, game.q, game.p, game.u(draw, None), rng(draw))
    check_tokens(got, game.want(None), "k = 0")


@hidden(
    "verify_draft",
    "u decides, and nothing else: exactly at the ratio a guess is accepted",
    weight=1.5,
    hint="Accept iff u[i] <= p / q. u is given; do not draw numbers of your own to accept.",
)
def u_decides(student, draw):
    # Powers of two, so that p / q is exact: 0.25 / 0.5.
    q = torch.tensor([[0.5, 0.5, 0.0]])
    p = torch.tensor([[0.25, 0.25, 0.5], [0.0, 0.0, 1.0]])
    for token in (0, 1):
        for u, want in ((0.5, [token, 2]), (0.515625, [2]), (0.484375, [token, 2])):
            for _ in range(3):
                got = student.verify_draft(
                    torch.tensor([token]), q, p, torch.tensor([u]), rng(draw)
                )
                check_tokens(got, want, "near the ratio")
    # A guess that the target likes better than the draft is never rejected.
    q = torch.tensor([[0.25, 0.75, 0.0]])
    p = torch.tensor([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])
    got = student.verify_draft(torch.tensor([0]), q, p, torch.tensor([0.999]), rng(draw))
    check_tokens(got, [0, 2], "p above q")


@hidden(
    "verify_draft",
    "after a rejection the token follows the residual, in its proportions",
    weight=3,
    hint="Draw from residual_distribution(p[i], q[i]), not from p[i], and draw at random: the most "
    "likely token is not enough.",
)
def residual_proportions(student, draw):
    # The first guess is rejected; its residual is (0, 1/11, 10/11, 0). The residuals of the later
    # rows are other ones.
    q = torch.tensor([[0.8, 0.0, 0.0, 0.2], [0.1, 0.6, 0.1, 0.2]])
    p = torch.tensor([[0.25, 0.05, 0.5, 0.2], [0.25, 0.25, 0.25, 0.25], [0.1, 0.2, 0.3, 0.4]])
    generator = student.put(rng(draw))
    counts = [0] * 4
    order = draw.shuffled(range(4))  # names of the tokens
    back = {place: token for token, place in enumerate(order)}
    q, p = (x[:, [back[i] for i in range(4)]] for x in (q, p))
    for _ in range(DRAWS):
        guesses, u = torch.tensor([order[0], order[1]]), torch.tensor([0.9, 0.1])
        got = student.verify_draft(guesses, q, p, u, generator)
        check_type(got, list)
        if len(got) != 1 or type(got[0]) is not int or not 0 <= got[0] < 4:
            raise Fail("after a rejection: not one token")
        counts[back[got[0]]] += 1
    if counts[0] or counts[3]:
        raise Fail("a token was drawn that the residual gives no probability")
    if abs(counts[2] / DRAWS - 10 / 11) > OFF:
        raise Fail("the tokens after a rejection have other proportions than the residual")


@hidden(
    "verify_draft",
    "the bonus token follows p[k], in its proportions",
    weight=1.5,
    hint="Draw it from the last row of p with torch.multinomial.",
)
def bonus_proportions(student, draw):
    # The last row of q is nearly p[k], so that their residual, (0.5, 0, 0.5), is far from it.
    q = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.2, 0.8]])
    p = torch.tensor([[0.9, 0.0, 0.1], [0.1, 0.9, 0.0], [0.1, 0.0, 0.9]])
    generator = student.put(rng(draw))
    counts = [0] * 3
    for _ in range(DRAWS):
        got = student.verify_draft(torch.tensor([0, 1]), q, p, torch.tensor([0.2, 0.4]), generator)
        check_type(got, list)
        if len(got) != 3 or got[:2] != [0, 1] or got[2] not in (0, 1, 2):
            raise Fail("with all guesses accepted: wrong tokens")
        counts[got[2]] += 1
    if counts[1] or abs(counts[2] / DRAWS - 0.9) > OFF:
        raise Fail("the bonus tokens have other proportions than p[k]")


@hidden(
    "verify_draft",
    "the generator is the only source of randomness; arguments stay as they are",
    weight=1.5,
    hint="Pass generator=generator to every draw. Equal generators must give equal tokens.",
)
def only_the_generator(student, draw):
    size = 64
    q = certain(0, size=size)
    p = torch.full((2, size), 1 / (size - 1))
    p[0, 0] = 0  # always rejected, 63 ways to go on
    for u, what in ((0.9, "rejected"), (0.9, "accepted")):
        if what == "accepted":
            p = torch.cat([q, p[1:]])
            p[1] = 1 / size
        seeds = [draw.integers(1, 1 << 30) for _ in range(FEW)]
        runs = [
            [
                student.verify_draft(
                    torch.tensor([0]), q, p, torch.tensor([u]), torch.Generator().manual_seed(s)
                )
                for s in seeds
            ]
            for _ in range(2)
        ]
        if runs[0] != runs[1]:
            raise Fail("two generators with one seed led to two results")
        if all(tokens == runs[0][0] for tokens in runs[0]):
            raise Fail("different generators always gave the same tokens")
    game = Round(draw, 4)
    given = (game.guesses, game.q, game.p, game.u(draw, 2))
    _, after = student.call_and_inspect("verify_draft", *given, rng(draw))
    for name, before, now in zip(("draft_tokens", "q", "p", "u"), given, after, strict=False):
        check_equal(now, before, f"{name} after the call")


# ---------------------------------------------------------------- speculative_generate


def llama(draw, vocabulary, layers=1) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=draw.choice([1, 2]),
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = None
    return model


def strong(draw, model, spread=0.55) -> None:
    """Give a model weights with which its distributions depend strongly on the context."""
    model.requires_grad_(False)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            scale = 1.0 if "embed" in name else spread
            parameter.copy_(scale * draw.normal(*parameter.shape))


@torch.inference_mode()
def rows(model, ids, temperature=1.0) -> torch.Tensor:
    """(T,) ids -> (T, V) float64 distributions of the next token."""
    logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].double()
    return (logits / temperature).softmax(-1)


def greedy(model, ids, n) -> list[int]:
    ids = list(ids)
    for _ in range(n):
        ids.append(int(rows(model, ids)[-1].argmax()))
    return ids


def margin(model, ids, start) -> float:
    """Smallest distance of the two likeliest tokens: rounding must not decide."""
    top = rows(model, ids)[start - 1 : -1].topk(2).values
    return float((top[:, 0] - top[:, 1]).min())


class Case:
    """A target, a draft, a prompt and the target's greedy continuation, with clear margins.

    Where it matters how a real model and its cache of several layers are used, they are Llamas;
    elsewhere models of a quarter of their cost."""

    def __init__(self, draw, n=20, length=None, same=False, llamas=False):
        size = draw.integers(7, 13)
        if llamas:
            self.target, self.draft = llama(draw, size, layers=2), llama(draw, size)
        else:
            self.target, self.draft = little_lm(size), little_lm(size)
        if same:
            self.draft = self.target
        length = length or draw.integers(4, 9)
        while True:
            for model in (self.target, self.draft):
                strong(draw, model)
            self.prompt = [draw.integers(0, size) for _ in range(length)]
            self.want = greedy(self.target, self.prompt, n)
            # A text that says one token over and over hides which place a token came from.
            changes = sum(a != b for a, b in pairwise(self.want[length - 1 :]))
            if (
                changes >= n // 2
                and margin(self.target, self.want, length) > 1e-3
                and margin(self.draft, self.want, length) > 1e-3
            ):
                break
        self.ids = torch.tensor([self.prompt])

    def rounds(self, k, n, bonus=True, begun=0) -> int:
        """Rounds of a greedy run of n tokens, of which `begun` are there already. A guess counts
        only after right ones, so one reading of the right text shows them all. bonus: a round whose
        guesses are all right gives one token more."""
        guesses = rows(self.draft, self.want).argmax(-1).tolist()  # [i] is for place i + 1
        done, count = len(self.prompt) + begun, 0
        end = len(self.prompt) + n
        while done < end:
            last = min(done + k, end - 1)
            start = done
            while done < last and guesses[done - 1] == self.want[done]:
                done += 1
            done += bonus or done < last or done == start
            count += 1
        return count


def run(student, case, n, k, temperature=0.0, eos=None, seed=1, target=None, draft=None):
    return student.speculative_generate(
        case.target if target is None else target,
        case.draft if draft is None else draft,
        case.ids,
        n,
        k,
        temperature,
        eos,
        torch.Generator().manual_seed(seed),
    )


def check_ids(got, want, what, longer=False):
    """longer: there may be more tokens. Whether a text gets too long depends on its last round, so
    that is asked in one test alone, where it always shows."""
    check_type(got, torch.Tensor, what)
    if got.dtype is not torch.int64 or got.dim() != 2 or got.shape[0] != 1:
        raise Fail(f"{what}: the result is not a (1, T + new) tensor of int64")
    if got.shape[1] < len(want):
        raise Fail(f"{what}: too few tokens")
    if got.shape[1] > len(want) and not longer:
        raise Fail(f"{what}: too many tokens")
    if got[0, : len(want)].tolist() != want:
        raise Fail(f"{what}: wrong tokens")


@hidden(
    "speculative_generate",
    "temperature 0 gives the target's greedy text, prompt included",
    weight=5,
    core=True,
    hint="If the first tokens are right and later ones are not, a cache still holds something that "
    "was rejected, or lacks the bonus token.",
)
def greedy_text(student, draw):
    for k, flat in ((2, 1), (3, 1), (5, 2**-9)):
        while True:  # until p shifted by one place shows in the first round
            case = Case(draw, 24, llamas=True)
            if rows(case.target, case.prompt)[-2].argmax() != case.want[len(case.prompt)]:
                break
        for model in (case.target, case.draft):  # nearly equal scores: 0 is no small temperature
            model.lm_head.weight.mul_(flat)
        check_ids(run(student, case, 24, k), case.want, "greedy", longer=True)


@hidden(
    "speculative_generate",
    "never more than max_new_tokens, whatever k is; k = 1; a prompt of one token",
    weight=2,
    hint="A round adds one token more than it accepts: guess at most (tokens still wanted) - 1.",
)
def exact_length(student, draw):
    case = Case(draw, 9)
    length = len(case.prompt)
    for n, k in ((1, 4), (2, 6), (5, 9), (9, 1), (7, 3)):
        check_ids(run(student, case, n, k), case.want[: length + n], "length")
    case = Case(draw, 8, same=True)
    for n, k in ((1, 3), (6, 4), (8, 3)):
        check_ids(run(student, case, n, k), case.want[: len(case.prompt) + n], "draft = target")
    case = Case(draw, 8, length=1, llamas=True)  # which refuse an empty text
    check_ids(run(student, case, 8, 3), case.want, "a prompt of one token")


def last_of_round(i, k, n) -> int:
    """Where the round of token i ends, in n new tokens of which every guess is accepted."""
    return min(i // (k + 1) * (k + 1) + k, n - 1)


@hidden(
    "speculative_generate",
    "stops at eos, which is included; eos_id None never stops",
    weight=2,
    hint="Cut the round's tokens after the first eos, wherever in the round it is, and stop.",
)
def stops_at_eos(student, draw):
    for same in (True, False, True):
        while True:
            case = Case(draw, 20, same=same)
            length = len(case.prompt)
            new = case.want[length:]
            # Places of an eos that shows, whoever looks only at the last token of a round, ...
            shown = [
                i
                for i in range(20)
                if new.index(new[i]) == i
                and (not same or any(new[last_of_round(i, k, 20)] != new[i] for k in (1, 3, 4, 6)))
            ]
            # ... tokens that the text lacks, and what follows a prompt that begins with one.
            missing = []
            for token in set(range(case.target.config.vocab_size)) - set(new):
                begun = [token, *case.prompt[1:]]
                then = greedy(case.target, begun, 6)
                if token not in then[length:] and margin(case.target, then, length) > 1e-3:
                    missing.append((token, begun, then))
            if missing and shown:
                break
        eos = new[max(shown)]  # as late as the text allows
        want = case.want[: length + new.index(eos) + 1]
        for k in (1, 3, 4, 6):
            check_ids(run(student, case, 20, k, eos=eos), want, "with eos")
        check_ids(run(student, case, 20, 4, eos=None), case.want, "without eos", longer=True)
        token, begun, then = missing[0]
        case.ids = torch.tensor([begun])
        got = run(student, case, 6, 3, eos=token)
        check_ids(got, then, "an eos in the prompt stops nothing", longer=True)
    # 0 is a token like any other; and of two eos in one round (of 6 guesses) the first one counts.
    for zero in (True, False):
        eos = None
        while eos is None:
            case = Case(draw, 12, same=True)
            new = case.want[len(case.prompt) :]
            if zero:
                eos = 0 if 0 in new[:-1] else None
            else:
                first = [i for i in range(1, 6) if new.index(new[i]) == i]
                eos = next((new[i] for i in first if new[i + 1] == new[i] != new[6]), None)
        want = case.want[: len(case.prompt) + new.index(eos) + 1]
        check_ids(run(student, case, 12, 6, eos=eos), want, "eos 0" if zero else "two eos")


class Watched:
    """Models in the student process whose reading is counted here: tokens of each call."""

    def __init__(self, student, case):
        self.calls = {}
        self.handles = {}
        for name in ("target", "draft"):
            calls = self.calls[name] = []
            handle = self.handles[name] = student.put(getattr(case, name))

            def note(*args, calls=calls, **kwargs):
                ids = args[0] if args else next(iter(kwargs.values()), None)
                calls.append(ids.numel() if isinstance(ids, torch.Tensor) else 10**6)

            student.observe(handle.model.embed_tokens, note)


def check_economy(watched, prompt, rounds, k):
    """One target call a round after one prefill, and no token read twice but the rejected ones."""
    target, draft = watched.calls["target"], watched.calls["draft"]
    if not target:
        raise Fail("the target was never called")
    if not draft:
        raise Fail("the draft was never called")
    if len(target) > rounds + 1:
        raise Fail("too many calls of the target: one a round after one prefill, with the bonus")
    for calls, most, who in (
        (target, prompt + (rounds + 1) * (k + 1), "target"),
        (draft, prompt + (rounds + 1) * (k + 2), "draft"),
    ):
        if sum(calls) > most:
            raise Fail(f"the {who} reads the text again: use its cache")


@hidden(
    "speculative_generate",
    "one target call a round after one prefill, nothing recomputed",
    weight=3,
    core=True,
    hint="Feed each model only what its cache does not hold: ids[cache.get_seq_length():]. All "
    "guesses go to the target in one call.",
)
def economy(student, draw):
    for k in (3, 4):
        while True:
            case = Case(draw, 24, length=40)
            if _shows_economy(case, k, 24):
                break
        _watch_economy(student, case, k, 24)
    _watch_economy(student, _often_right(draw, 12, 4, 30), 4, 30)


def _often_right(draw, length, k, n):
    """A case with a draft that is often right: what it keeps of rejected guesses costs rounds."""
    while True:
        case = Case(draw, n, length=length)
        for _ in range(10):
            case.draft = copy.deepcopy(case.target)
            with torch.no_grad():
                for parameter in case.draft.parameters():
                    parameter.add_(0.09 * parameter.std() * draw.normal(*parameter.shape))
            if (
                0.3 * n <= _most_rounds(case, k, n) <= 0.6 * n
                and _shows_economy(case, k, n)
                and margin(case.draft, case.want, length) > 1e-3
                and _rounds_without_rollback(case, k, n) > _most_rounds(case, k, n) + 2
            ):
                return case


@torch.inference_mode()
def _rounds_without_rollback(case, k, n) -> int:
    """Rounds of a greedy run in which the draft's cache keeps what was rejected."""
    done, seen, count, cache = len(case.prompt), 0, 0, DynamicCache()
    end = done + n
    while done < end:
        text = case.want[:done]
        for _ in range(min(k, end - done - 1)):
            new = torch.tensor([text[seen:] or text[-1:]])
            logits = case.draft(input_ids=new, past_key_values=cache, use_cache=True).logits
            seen = len(text)
            text = [*text, int(logits[0, -1].argmax())]
        while done < len(text) and text[done] == case.want[done]:
            done += 1
        done, count = done + 1, count + 1
    return count


def _most_rounds(case, k, n) -> int:
    """Whoever takes a first token from the prefill has one round more or less."""
    return max(case.rounds(k, n), 1 + case.rounds(k, n, begun=1))


def _shows_economy(case, k, n) -> bool:
    """A missing bonus token costs no round here: another test is about that."""
    return case.rounds(k, n, bonus=False) <= _most_rounds(case, k, n)


def _watch_economy(student, case, k, n):
    watched = Watched(student, case)
    run(student, case, n, k, target=watched.handles["target"], draft=watched.handles["draft"])
    check_economy(watched, len(case.prompt), _most_rounds(case, k, n), k)


# Temperature, k, new tokens. In the long one a draft with a temperature, next to a q without one,
# takes about twice the calls of a right answer.
ALL_ACCEPTED = ((0.0, 4, 60), (0.5, 4, 60), (4.0, 9, 150), (0.0, 1, 60))


@hidden(
    "speculative_generate",
    "draft = target: every guess accepted, with a bonus token",
    weight=2,
    hint="k guesses and a bonus make k + 1 tokens a target call. The draft's cache then lacks TWO "
    "tokens. At a temperature, both models must use it.",
)
def all_accepted(student, draw):
    for temperature, k, n in ALL_ACCEPTED:
        case = Case(draw, 2, length=10, same=True)
        watched = Watched(student, case)
        got = run(
            student, case, n, k, temperature,
            target=watched.handles["target"], draft=watched.handles["draft"],
            seed=draw.integers(1, 1 << 30),
        )  # fmt: skip
        if type(got) is not torch.Tensor or got.dim() != 2 or got.shape[1] < 10 + n:
            raise Fail("no tensor, or too few tokens")
        # n tokens in rounds of k + 1, one more for a prefill; rounding is forgiven a round.
        if len(watched.calls["target"]) > n // (k + 1) + 2:
            raise Fail("draft = target: too many calls of the target")


# Temperature, k, texts, tokens of each, how much sharper the draft is made. At a low temperature a
# random model repeats itself, which tells little. Several short texts tell as much as a long one,
# and no call takes long. The second is for mistakes that show only where guesses are often rejected
# and where the temperature changes the draft a lot.
# The first has a temperature below 1, on logits made so flat that it is as if it were 1.5.
SAMPLED = ((0.3, 2, 5, 200, 1, 0.2), (4.0, 4, 8, 200, 3, 1))
LEANS = (0.2, 0.4, 0.8, 1.6)  # the first is best for the largest variance, the last for a small one
DRIFTING = 3  # of the scores, in which a text could lean one way and the next text the other way


def scores(p, q, after, temperature) -> list[torch.Tensor]:
    """Functions of the token, in [0, 1], in which a wrong answer would differ from the target.

    p, q: (N, V). after: (N, 1) in [0, 1], how unlikely the token before was as an accepted guess:
    what one uniform number for a whole round accepts next is then anything."""
    often = (2 * p < q).double()  # what a hard threshold never lets through
    favourite = F.one_hot(q.argmax(-1), q.shape[-1]).double()
    both = torch.minimum(p, q)
    rest = (p - (q.log() * temperature).softmax(-1)).clamp(min=0)
    rest = rest / rest.sum(-1, keepdim=True).clamp(min=1e-12)
    return [
        (q / p).clamp(max=1),  # leans to the draft, or away from it
        often,
        favourite,
        p,  # too sharp or too flat
        (-((q / p).log() ** 2)).exp(),  # where a residual of another draft's distribution differs
        # What a residual of the draft without its temperature gives, over what there should be.
        ((both + (1 - both.sum(-1, keepdim=True)) * rest) / p).clamp(max=2) / 2,
        after * often,
        after * favourite,
    ]


def leanings(new, p, q, temperature) -> torch.Tensor:
    """How one text leans. new: (n,) ids; p, q: (n, V) float64, what target and draft gave to each.

    (scores, 3). For a score f the differences d = f(x) - E_p f are at most 1 and have mean 0 given
    the past: their sum, the sum of their variances v given the past, and, for the first DRIFTING
    scores, the sum of a * d - (e^|a| - 1 - |a|) * v, where a is what the text leaned to so far.
    """
    accepted = (p / q).gather(1, new[:, None]).clamp(max=1)
    after = F.pad(1 - accepted[:-1], (0, 0, 1, 0))
    rows = []
    for number, f in enumerate(scores(p, q, after, temperature)):
        mean = (p * f).sum(-1)
        v = (p * f * f).sum(-1) - mean**2
        d = f.gather(1, new[:, None])[:, 0] - mean
        before, spread = (F.pad(x.cumsum(0)[:-1], (1, 0)) for x in (d, v))
        a = (before / (spread + 6)).clamp(-1.6, 1.6)
        drift = (a * d - (a.abs().exp() - 1 - a.abs()) * v).sum() * (number < DRIFTING)
        rows.append(torch.stack([d.sum(), v.sum(), drift]))
    return torch.stack(rows)


def follows_target(texts: list[torch.Tensor]) -> bool:
    """Are the tokens of these texts draws from the target's distributions? texts: their leanings.

    With V the sum of the variances, exp(a * sum d - (e^a - 1 - a) * V) has a mean of at most 1 for
    every a > 0 (Freedman 1975), and the same for -d. It is a supermartingale, so it ever exceeds
    1 / UNLIKELY with a probability under UNLIKELY (Ville 1939), whatever V turns out to be and
    however often we look: after every text, to stop at the first that tells. That is so, too, where
    a changes from token to token with what was seen before: uniform numbers that are drawn once
    for a text drift in one direction, which is another one in the next text.
    """
    total, variance, drift = torch.stack(texts).sum(0).T
    evidence = [a * total.abs() - (math.exp(a) - 1 - a) * variance for a in LEANS]
    return float(torch.stack([*evidence, drift]).max()) <= -math.log(UNLIKELY)


@hidden(
    "speculative_generate",
    "sampled text follows the target's distribution",
    weight=5,
    core=True,
    hint="Check the residual, the temperature of BOTH models, and that q[i] is the distribution "
    "guess i was drawn from. A cache that keeps rejected tokens shows here, too.",
)
def sampled_text(student, draw):
    texts = []
    for temperature, k, count, n, sharper, flat in SAMPLED:
        case = Case(draw, 2)
        with torch.no_grad():
            case.target.lm_head.weight.mul_(flat)
            case.draft.lm_head.weight.mul_(flat * sharper)
        length, others = len(case.prompt), len(texts)
        for _ in range(count):
            got = run(student, case, n, k, temperature, seed=draw.integers(1, 1 << 30))
            check_type(got, torch.Tensor)
            if got.dim() != 2 or got.shape[1] < length + n or got.dtype is not torch.int64:
                raise Fail("too few tokens, or not int64")
            got = got[:1, : length + n]  # too many tokens: see exact_length
            if got[0, :length].tolist() != case.prompt:
                raise Fail("the result does not begin with the prompt")
            if not bool(((got >= 0) & (got < case.target.config.vocab_size)).all()):
                raise Fail("tokens that are not in the vocabulary")
            p, q = (
                rows(model, got[0].tolist(), temperature)[length - 1 : -1]
                for model in (case.target, case.draft)
            )
            texts.append(leanings(got[0, length:], p, q, temperature))
            # All texts together tell more; where two settings lean to opposite sides, each alone.
            if not follows_target(texts) or not follows_target(texts[others:]):
                raise Fail("the tokens do not follow the target's distribution at this temperature")


FLAT = 0.3  # logits made so flat that two texts differ at any temperature near 1


@hidden(
    "speculative_generate",
    "randomness comes from the generator; models and input stay as they are",
    weight=1.5,
    hint="Pass the generator to torch.rand and torch.multinomial. Leave the models as they are.",
)
def generator_and_manners(student, draw):
    case = Case(draw, 2)
    for model in (case.target, case.draft):
        model.lm_head.weight.mul_(FLAT)
    seeds = [draw.integers(1, 1 << 30) for _ in range(2)]
    # Uniform numbers from elsewhere may lead to the same decisions once; four times hardly.
    texts = [run(student, case, 30, 3, 1.5, seed=s).tolist() for s in (*seeds, *[seeds[0]] * 3)]
    first, other, *again = texts
    if any(text != first for text in again):
        raise Fail("two generators with one seed led to two texts")
    if other == first:
        raise Fail("different generators gave the same text")
    generator = student.put(torch.Generator().manual_seed(seeds[0]))
    texts = [
        student.speculative_generate(case.target, case.draft, case.ids, 30, 3, 1.5, None, generator)
        for _ in range(2)
    ]
    if texts[0].tolist() == texts[1].tolist():
        raise Fail("two calls with one generator gave the same text: it is not drawn from")
    given = student.put(case.ids)
    target = student.put(case.target)
    student.speculative_generate(target, case.draft, given, 12, 2, 0.0, None, torch.Generator())
    check_equal(student.value(given), case.ids, "input_ids after the call")
    state = student.parameters(target)
    for name, parameter in case.target.named_parameters():
        if not torch.equal(state[name][0], parameter):
            raise Fail("the target's weights were changed")


# ---------------------------------------------------------------- expected_tokens


def series(alpha, k):
    return math.fsum(alpha**i for i in range(k + 1))


@hidden(
    "expected_tokens",
    "expected tokens of a round: 1 + alpha + … + alpha^k",
    weight=3,
    core=True,
    hint="The bonus token counts: a round with k guesses gives up to k + 1 tokens.",
)
def expectation(student, draw):
    for _ in range(8):
        alpha, k = draw.uniform(0.05, 0.98), draw.integers(1, 12)
        check_close(student.expected_tokens(alpha, k), series(alpha, k), rtol=1e-6)


@hidden(
    "expected_tokens",
    "the ends: alpha = 0, alpha = 1, alpha near 1, k = 0",
    weight=1.5,
    hint="(1 - alpha^(k+1)) / (1 - alpha) is 0 / 0 at alpha = 1, where the answer is k + 1.",
)
def ends(student, draw):
    k = draw.integers(5, 12)
    check_close(student.expected_tokens(1.0, k), float(k + 1), rtol=1e-9)
    check_close(student.expected_tokens(1, k), float(k + 1), rtol=1e-9)
    check_close(student.expected_tokens(0.0, k), 1.0, rtol=1e-9)
    check_close(student.expected_tokens(draw.uniform(0.1, 0.9), 0), 1.0, rtol=1e-6)
    check_close(student.expected_tokens(1 - 1e-6, k), series(1 - 1e-6, k), rtol=1e-6)


@hidden(
    "expected_tokens",
    "speedup: expected tokens over k * cost + 1",
    weight=2,
    hint="A round takes k draft steps of `cost` each, and one target call.",
)
def speedups(student, draw):
    for _ in range(6):
        alpha, k, cost = draw.uniform(0.1, 0.98), draw.integers(1, 10), draw.uniform(0.01, 1.3)
        check_close(student.speedup(alpha, k, cost), series(alpha, k) / (k * cost + 1), rtol=1e-6)
    check_close(student.speedup(1.0, 4, 0.25), 2.5, rtol=1e-9)
    check_close(student.speedup(0.7, 3, 0.0), series(0.7, 3), rtol=1e-6)
    check_close(student.speedup(0.7, 0, 0.4), 1.0, rtol=1e-9)


@hidden(
    "expected_tokens",
    "best_k: the k with the highest speedup, from 1 to max_k",
    weight=2,
    hint="Try all of 1 … max_k, both ends included. The result is an int.",
)
def best(student, draw):
    checked = 0
    while checked < 12:
        alpha, cost = draw.uniform(0.2, 0.99), draw.uniform(0.005, 0.5)
        most = draw.integers(3, 24)
        gains = [series(alpha, k) / (k * cost + 1) for k in range(1, most + 1)]
        top = sorted(gains)[-2:]
        close = top[1] - top[0] < 3e-4 and gains.index(top[0]) < gains.index(top[1])
        if top[1] > 1 and top[1] - top[0] > 1e-6 and (close or checked < 8):
            got = student.best_k(alpha, cost, most)
            check_equal(got, 1 + gains.index(max(gains)))
            checked += 1
    # The draft is called k times: with a call more in the cost the best would be 3.
    check_equal(student.best_k(draw.uniform(0.8, 0.82), draw.uniform(0.48, 0.5)), 2)
    check_equal(student.best_k(1.0, 0.05, 7), 7, "max_k is included")
    check_equal(student.best_k(1.0, 0.05), 16, "without max_k")
    check_equal(student.best_k(1.0, 0.05, 40), 40, "a max_k above 16")
    check_equal(student.best_k(0.9, 0.1, 1), 1)
    check_equal(student.best_k(0.9, 0.1, max_k=2), 2)


@hidden(
    "expected_tokens",
    "the smallest k of equals; a k even where all of them lose",
    hint="With alpha = 0 and cost = 0 every k gives 1: take 1. best_k never returns 0.",
)
def smallest_of_equals(student, draw):
    check_equal(student.best_k(0.0, 0.0), 1)
    check_equal(student.best_k(0.0, 0.0, 9), 1)
    check_equal(student.best_k(draw.uniform(0.01, 0.2), 2.0), 1)
    check_equal(student.best_k(1.0, 1.0), 1)  # (k + 1) / (k + 1), exactly


@hidden(
    "expected_tokens",
    "ValueError outside 0 <= alpha <= 1, k < 0, cost < 0, in every function",
    weight=2,
    hint="Check in expected_tokens and let the others call it; cost is checked in speedup.",
)
def refusals(student, draw):
    low, high = -draw.uniform(0.01, 1), 1 + draw.uniform(0.01, 1)
    for alpha in (low, high):
        check_raises("ValueError", student.expected_tokens, alpha, 3)
        check_raises("ValueError", student.speedup, alpha, 3, 0.1)
        check_raises("ValueError", student.best_k, alpha, 0.1)
    check_raises("ValueError", student.expected_tokens, 0.5, -1)
    check_raises("ValueError", student.speedup, 0.5, -2, 0.1)
    check_raises("ValueError", student.speedup, 0.5, 3, -0.1)
    check_raises("ValueError", student.best_k, 0.5, -0.1)
