"""Visible checks of 06_speculative_decoding. The oracles are small numbers worked out by hand, and
greedy decoding without a cache."""

import torch
import torch.nn.functional as F

from course_lib.checking import Case, visible


def _rng(seed=0):
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- acceptance_probability


@visible("acceptance_probability")
def acceptance_probability_cases(acceptance_probability):
    p, q = torch.tensor([0.7, 0.3]), torch.tensor([0.4, 0.6])
    yield Case(
        "the target likes it half as much: p = (0.7, 0.3), q = (0.4, 0.6), token 1",
        call="acceptance_probability(p, q, 1)",
        got=lambda: acceptance_probability(p, q, 1),
        expected=0.5,
        mistakes=[
            ("your ratio is q / p, cut at 1: the draft's q belongs below the line", 1.0),
            ("you multiply p and q; the rule is a ratio", 0.18),
            ("that is p: divide by q", 0.3),
            ("that is the overlap of all tokens; one token is asked", 0.7),
        ],
        unchanged=(p, q),
    )
    yield Case(
        "the target likes it better: accept always",
        call="acceptance_probability(p, q, 0)",
        got=lambda: acceptance_probability(p, q, 0),
        expected=1.0,
        mistakes=[
            ("a probability is at most 1: take the min with 1", 1.75),
            ("your ratio is q / p: the draft's q belongs below the line", 0.4 / 0.7),
        ],
        hint=2,
    )
    yield Case(
        "the result is a Python float",
        call="type(acceptance_probability(p, q, 1))",
        got=lambda: type(acceptance_probability(p, q, 1)).__name__,
        expected="float",
        hint=3,
    )
    a, b = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 0.0, 0.0])
    for token, want, what in ((1, 1.0, "p > 0: 1"), (2, 0.0, "p = 0, too: 0")):
        yield Case(
            f"q = 0 and {what}",
            call=f"acceptance_probability(p, q, {token})   # p = (0.5, 0.5, 0), q = (1, 0, 0)",
            got=lambda token=token: acceptance_probability(a, b, token),
            expected=want,
            mistakes=[("0 / 0 is nan: treat q = 0 before you divide", float("nan"))],
            hint=2,
        )


# ---------------------------------------------------------------- residual_distribution


@visible("residual_distribution")
def residual_distribution_cases(residual_distribution):
    p, q = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.2, 0.6, 0.2])
    yield Case(
        "the example by hand: p = (0.5, 0.3, 0.2), q = (0.2, 0.6, 0.2)",
        call="residual_distribution(p, q)",
        got=lambda: residual_distribution(p, q),
        expected=torch.tensor([1.0, 0.0, 0.0]),
        mistakes=[
            ("it is not normalised: divide by the sum", torch.tensor([0.3, 0.0, 0.0])),
            ("that is max(0, q - p): the target comes first", torch.tensor([0.0, 1.0, 0.0])),
            ("that is |p - q|: only the positive part counts", torch.tensor([0.5, 0.5, 0.0])),
            ("that is p: the accepted guesses have already given a part of it", p),
            (
                "a softmax does not normalise what is already a share: divide by the sum",
                torch.softmax(torch.tensor([0.3, 0.0, 0.0]), 0),
            ),
        ],
        hint=2,
        unchanged=(p, q),
    )
    p4 = torch.tensor([0.1, 0.4, 0.3, 0.2])
    q4 = torch.tensor([0.3, 0.1, 0.2, 0.4])
    yield Case(
        "two tokens are missing something: 0.3 and 0.1",
        call="residual_distribution(p, q)   # p = (0.1, 0.4, 0.3, 0.2), q = (0.3, 0.1, 0.2, 0.4)",
        got=lambda: residual_distribution(p4, q4),
        expected=torch.tensor([0.0, 0.75, 0.25, 0.0]),
        mistakes=[("it is not normalised: divide by the sum", torch.tensor([0.0, 0.3, 0.1, 0.0]))],
        hint=2,
    )
    yield Case(
        "equal distributions: p",
        call="residual_distribution(p, p.clone())",
        got=lambda: residual_distribution(p, p.clone()),
        expected=p,
        mistakes=[
            ("0 / 0 is nan: look at the sum before you divide", torch.full((3,), float("nan"))),
            ("it should be a distribution: return p", torch.zeros(3)),
        ],
        hint=3,
    )


# ---------------------------------------------------------------- verify_draft


@visible("verify_draft")
def verify_draft_cases(verify_draft):
    # Guesses 4 and 2. Row 0: p / q = 0.8 and the residual is token 0; row 1: 0.3 and token 1;
    # the bonus row is token 5.
    draft = torch.tensor([4, 2])
    q = torch.tensor([[0.0, 0, 0, 0, 1.0, 0], [0.0, 0, 1.0, 0, 0, 0]])
    p = torch.tensor([[0.2, 0, 0, 0, 0.8, 0], [0.0, 0.7, 0.3, 0, 0, 0], [0.0, 0, 0, 0, 0, 1.0]])

    def case(title, u, want, mistakes, hint=2):
        return Case(
            title,
            call=f"verify_draft(tensor([4, 2]), q, p, u={u}, generator)   # p / q = 0.8, 0.3",
            got=lambda: verify_draft(draft, q, p, torch.tensor(u), _rng()),
            expected=want,
            mistakes=mistakes,
            hint=hint,
            unchanged=(draft, q, p),
        )

    yield case(
        "first accepted, second rejected: 4 and the residual's token",
        [0.5, 0.5],
        [4, 1],
        [
            ("the rejected guess was kept", [4, 2]),
            ("a rejection gives one token of its own: draw from the residual", [4]),
            ("after a rejection the round ends: no bonus", [4, 1, 5]),
            ("u > p / q means REJECT; your comparison is the other way round", [0]),
            ("a rejection does not undo what was accepted before it", [1]),
        ],
    )
    yield case(
        "all accepted: a bonus token from the last row of p",
        [0.5, 0.2],
        [4, 2, 5],
        [("the bonus token is missing: draw it from p[k]", [4, 2])],
    )
    yield case(
        "the first rejected: nothing after it counts",
        [0.9, 0.1],
        [0],
        [
            ("stop at the first rejection: later guesses continue another text", [0, 2, 5]),
            ("stop at the first rejection: later guesses continue another text", [0, 2]),
            ("the bonus is for rounds without a rejection", [0, 5]),
            ("a rejection still gives one token", []),
        ],
    )
    yield Case(
        "k = 1",
        call="verify_draft(tensor([4]), q[:1], p[:2], u=[0.5], generator)",
        got=lambda: verify_draft(
            draft[:1], q[:1], torch.stack([p[0], p[2]]), torch.tensor([0.5]), _rng()
        ),
        expected=[4, 5],
        mistakes=[("the bonus token is missing", [4])],
    )

    def draws():
        flat = torch.full((2, 50), 0.02)
        certain = F.one_hot(torch.tensor([7]), 50).float()
        rows = torch.cat([certain, flat[1:]])
        return [
            verify_draft(torch.tensor([7]), certain, rows, torch.tensor([0.5]), _rng(s))
            for s in (1, 2, 3, 1, 2, 3)
        ]

    def same(result):
        if result[:3] != result[3:]:
            return "equal generators gave different tokens: pass generator=generator when you draw"
        if result[0] == result[1] == result[2]:
            return "the bonus is always the same token: draw it at random"
        return None

    yield Case(
        "every draw comes from the generator",
        call="verify_draft(…, generator)   # twice with each of three seeds",
        got=draws,
        verify=same,
        hint=2,
    )


# ---------------------------------------------------------------- speculative_generate


def _greedy(model, ids, n):
    """Greedy decoding without a cache."""
    with torch.inference_mode():
        for _ in range(n):
            token = model(input_ids=ids, use_cache=False).logits[:, -1].argmax(-1)
            ids = torch.cat([ids, token[:, None]], dim=1)
    return ids


class _Counting(torch.nn.Module):
    """A model that notes how many tokens each of its calls reads."""

    def __init__(self, model):
        super().__init__()
        self.inner, self.read = model, []
        self.config, self.generation_config = model.config, model.generation_config
        self.device = model.device

    def forward(self, input_ids=None, **kwargs):
        self.read.append(input_ids.shape[1])
        return self.inner(input_ids=input_ids, **kwargs)


@visible("speculative_generate")
def speculative_generate_cases(speculative_generate):
    from course_lib.experiments.speculative_decoding import toy_pair

    target, draft = toy_pair(vocabulary=11, seed=3)
    ids = torch.tensor([[0, 3, 1, 4]])
    want = _greedy(target, ids, 16)

    def run(n, k, temperature=0.0, eos=None, seed=0, draft=draft, target=target):
        return speculative_generate(target, draft, ids, n, k, temperature, eos, _rng(seed))

    def like(wanted):
        def verify(got):
            if not isinstance(got, torch.Tensor) or got.dim() != 2:
                return "the result must be a (1, T + new) tensor, the prompt included"
            if got.shape[1] < wanted.shape[1]:
                return f"too short: {got.shape[1]} ids in place of {wanted.shape[1]}"
            if got.shape[1] > wanted.shape[1]:
                return (
                    f"too long: {got.shape[1]} ids in place of {wanted.shape[1]}; guess at most "
                    "(tokens still wanted) - 1, and cut after eos"
                )
            wrong = (got[0] != wanted[0]).nonzero()
            if not len(wrong):
                return None
            place = int(wrong[0]) - ids.shape[1]
            return (
                f"new token {place} is the first wrong one. If it follows a rejection, a cache "
                "still holds what was rejected; if it follows a full acceptance, the draft has "
                "not read two tokens"
            )

        return verify

    for k in (2, 4):
        yield Case(
            f"temperature 0, k = {k}: the target's greedy text",
            call=f"speculative_generate(target, draft, ids, 16, {k}, 0.0, None, generator)",
            got=lambda k=k: run(16, k),
            verify=like(want),
            hint=3,
        )
    for n, k in ((1, 4), (5, 8), (7, 1)):
        yield Case(
            f"exactly {n} new, k = {k}",
            call=f"speculative_generate(target, draft, ids, {n}, {k}, 0.0, None, generator)",
            got=lambda n=n, k=k: run(n, k),
            verify=like(want[:, : 4 + n]),
            hint=2,
        )
    yield Case(
        "draft = target: everything accepted, still the same text",
        call="speculative_generate(target, target, ids, 16, 3, 0.0, None, generator)",
        got=lambda: run(16, 3, draft=target),
        verify=like(want),
        hint=3,
    )
    new = want[0, 4:].tolist()
    eos = max(set(new), key=new.index)
    yield Case(
        "stops after eos, which is included",
        call=f"speculative_generate(target, draft, ids, 16, 4, 0.0, eos_id={eos}, generator)",
        got=lambda: run(16, 4, eos=eos, draft=target),
        verify=like(want[:, : 4 + new.index(eos) + 1]),
        hint=2,
    )

    def calls():
        counted = _Counting(target), _Counting(target)
        run(40, 3, target=counted[0], draft=counted[1])
        return [counter.read for counter in counted]

    def economical(read):
        reads, guesses = read
        if len(reads) > 11:
            return (
                f"{len(reads)} target calls for 40 tokens; with draft = target and k = 3 ten "
                "rounds and a prefill will do. Is the bonus token there?"
            )
        for name, most, numbers in (("target", 4 + 11 * 4, reads), ("draft", 4 + 11 * 5, guesses)):
            if sum(numbers) > most:
                return (
                    f"the {name} read {sum(numbers)} tokens in all; at most {most} are needed: "
                    "feed it only what its cache does not hold"
                )
        return None

    yield Case(
        "one target call a round, nothing read twice",
        call="speculative_generate(target, target, ids, 40, 3, 0.0, None, generator)   # counted",
        got=calls,
        verify=economical,
        hint=1,
    )

    def reproducible():
        return [run(24, 3, 1.5, seed=s)[0].tolist() for s in (1, 2, 1)]

    yield Case(
        "temperature 1.5: the generator decides, and nothing else",
        call="speculative_generate(target, draft, ids, 24, 3, 1.5, None, generator)  # 3 seeds",
        got=reproducible,
        verify=lambda r: (
            "equal generators gave different texts: pass it to torch.rand and torch.multinomial"
            if r[0] != r[2]
            else "two seeds gave the same text: is temperature applied?"
            if r[0] == r[1]
            else None
        ),
        hint=3,
    )


# ---------------------------------------------------------------- expected_tokens


@visible("expected_tokens")
def expected_tokens_cases(expected_tokens, speedup, best_k):
    yield Case(
        "by hand: 1 + 0.5 + 0.25",
        call="expected_tokens(0.5, 2)",
        got=lambda: expected_tokens(0.5, 2),
        expected=1.75,
        mistakes=[
            ("the sum ends one term too early: the bonus token counts", 1.5),
            ("the token that every round gives is missing: start at 1", 0.75),
            ("that is k * alpha + 1: after a rejection the round is over", 2.0),
            ("that is k * alpha: after a rejection the round is over", 1.0),
        ],
        hint=2,
    )
    yield Case(
        "alpha = 1: every guess and the bonus",
        call="expected_tokens(1.0, 4)",
        got=lambda: expected_tokens(1.0, 4),
        expected=5.0,
        mistakes=[("the bonus token is missing", 4.0)],
        hint=2,
    )
    yield Case(
        "k = 0 is plain decoding",
        call="expected_tokens(0.3, 0)",
        got=lambda: expected_tokens(0.3, 0),
        expected=1.0,
        hint=2,
    )
    yield Case(
        "speedup by hand: 1.75 / 1.2",
        call="speedup(0.5, 2, 0.1)",
        got=lambda: speedup(0.5, 2, 0.1),
        expected=1.75 / 1.2,
        mistakes=[
            ("the target's call is missing below the line", 1.75 / 0.2),
            ("the draft makes k steps, not k + 1", 1.75 / 1.3),
            ("the draft makes k steps, not one", 1.75 / 1.1),
            ("that is the number of tokens: divide by the cost", 1.75),
        ],
        hint=2,
    )
    yield Case(
        "best_k tries every k",
        call="best_k(0.8, 0.1)   # 1.64, 2.03, 2.27, 2.40, 2.46, 2.47, 2.45",
        got=lambda: best_k(0.8, 0.1),
        expected=6,
        hint=3,
    )
    yield Case(
        "max_k is included",
        call="best_k(1.0, 0.05, 7)",
        got=lambda: best_k(1.0, 0.05, 7),
        expected=7,
        mistakes=[("range(1, max_k) ends before max_k", 6)],
        hint=3,
    )
    yield Case(
        "the smallest of equals: cost 0, alpha 0",
        call="best_k(0.0, 0.0)",
        got=lambda: best_k(0.0, 0.0),
        expected=1,
        mistakes=[
            ("that is the largest: all are equal, take the first", 16),
            ("k starts at 1", 0),
        ],
        hint=3,
    )
    for call, thunk in (
        ("expected_tokens(1.2, 3)", lambda: expected_tokens(1.2, 3)),
        ("expected_tokens(-0.1, 3)", lambda: expected_tokens(-0.1, 3)),
        ("expected_tokens(0.5, -1)", lambda: expected_tokens(0.5, -1)),
        ("speedup(0.5, 3, -0.1)", lambda: speedup(0.5, 3, -0.1)),
    ):
        yield Case(f"{call} is refused", call=call, got=thunk, raises=ValueError, hint=3)
