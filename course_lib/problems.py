"""Word problems shaped like GSM8K, made on the spot: what the embedded model reads and solves.

A problem is ``{"question": str, "answer": str}`` as in GSM8K: a little story whose answer takes one
to three steps, each step with a calculator annotation, and a last line ``#### N``:

    Ann has 12 shells. Ann finds 7 more. Ann splits them into 2 equal piles. How many shells ...?
    Ann has 12+7=<<12+7=19>>19 shells.
    ...
    #### 19

Every result is an integer from 0 to ``LARGEST``. The splits are disjoint by construction: the split
of a problem is a hash of its chain of equations, so the same arithmetic is never a problem of two
splits, whatever story is told around it. Pure Python; a seed gives the same problems anywhere.
"""

import hashlib
import operator
import random
import re
from collections.abc import Callable, Iterator
from fractions import Fraction

LARGEST = 150
# Shares of the space of chains, in hundredths. `pretrain` is what the embedded base has read.
SPLITS = {
    "pretrain": range(0, 50),
    "train": range(50, 80),
    "validation": range(80, 90),
    "test": range(90, 100),
}

# fmt: off
NAMES = [
    "Ann", "Ben", "Carl", "Dana", "Emma", "Finn", "Gina", "Hugo", "Ida", "Jack",
    "Kate", "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tom", "Vera",
]
ITEMS = [
    "apples", "books", "cards", "coins", "eggs", "flowers",
    "marbles", "pencils", "plums", "shells", "stamps", "toys",
]
# fmt: on
CONTAINERS = ["bags", "boxes", "baskets", "jars"]

# ---------------------------------------------------------------------------------- arithmetic

# The generator divides only where nothing remains, so // is exact.
ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv}


class Chain:
    """The steps of one solution: `value` is what was computed last, `lines` tells it in words."""

    def __init__(self, value: int):
        self.value = value
        self.equations: list[str] = []
        self.lines: list[str] = []

    def step(self, left: int, sign: str, right: int, text: str) -> int:
        """Compute left sign right and write `text`, in which ``{}`` stands for the equation."""
        self.value = ARITHMETIC[sign](left, right)
        equation = f"{left}{sign}{right}"
        self.equations.append(f"{equation}={self.value}")
        self.lines.append(text.format(f"{equation}=<<{equation}={self.value}>>{self.value}"))
        return self.value


def _addend(rng: random.Random, value: int) -> int:
    return rng.randint(2, min(40, LARGEST - value))


def _subtrahend(rng: random.Random, value: int) -> int:
    return rng.randint(1, min(40, value))


def _factor(rng: random.Random, value: int) -> int:
    return rng.randint(2, min(9, LARGEST // value))


def _possible(value: int) -> list[str]:
    """The signs that keep a pile of `value` an integer from 0 to LARGEST, division aside."""
    if value == 0:
        return ["+"]
    return ["+"] * (value + 2 <= LARGEST) + ["-"] + ["*"] * (value * 2 <= LARGEST)


def _divisors(value: int) -> list[int]:
    return [k for k in range(2, 10) if value % k == 0 and value > k]


# ---------------------------------------------------------------------------------- stories
# A story is told in sentences while its chain grows; it returns (sentences, question, chain).


def _change(rng: random.Random, who: str, things: str, chain: Chain) -> str:
    """One more thing that happens to a pile: a sentence; the chain takes the step."""
    value = chain.value
    sign = rng.choice(_possible(value))
    told = f"{who} then has {{}} {things}."
    if sign == "+":
        n = _addend(rng, value)
        sentence = rng.choice(
            [f"{who} buys {n} more.", f"{who} finds {n} more.", f"A friend gives {who} {n} more."]
        )
    elif sign == "-":
        n = _subtrahend(rng, value)
        sentence = rng.choice(
            [f"{who} gives away {n}.", f"{who} loses {n}.", f"{who} sells {n} of them."]
        )
    else:
        n = _factor(rng, value)
        sentence = f"After a year {who} has {n} times as many."
    chain.step(value, sign, n, told)
    return sentence


def _split_up(rng: random.Random, who: str, things: str, chain: Chain) -> tuple[str, str] | None:
    """Share the pile out equally: (sentence, question), or None if no divisor fits."""
    divisors = _divisors(chain.value)
    if not divisors:
        return None
    k, place = rng.choice(divisors), rng.choice([*CONTAINERS, "friends"])
    if place == "friends":
        chain.step(chain.value, "/", k, f"Each friend gets {{}} {things}.")
        return f"{who} shares them equally among {k} friends.", f"How many {things} does each get?"
    chain.step(chain.value, "/", k, f"Each of the {place} holds {{}} {things}.")
    return f"{who} puts them equally into {k} {place}.", f"How many {things} are in each?"


def pile(rng: random.Random, steps: int):
    """A pile that grows and shrinks, perhaps shared out in the end."""
    who, things = rng.choice(NAMES), rng.choice(ITEMS)
    chain = Chain(rng.randint(3, 60))
    sentences = [f"{who} has {chain.value} {things}."]
    for _ in range(steps - 1):
        sentences.append(_change(rng, who, things, chain))
    question = f"How many {things} does {who} have now?"
    ending = _split_up(rng, who, things, chain) if rng.random() < 0.4 else None
    if ending:
        sentences.append(ending[0])
        question = ending[1]
    else:
        sentences.append(_change(rng, who, things, chain))
    return sentences, question, chain


def packs(rng: random.Random, steps: int):
    """So many boxes with so many things in each, then the pile changes."""
    who, things, container = rng.choice(NAMES), rng.choice(ITEMS), rng.choice(CONTAINERS)
    n, each = rng.randint(2, 9), rng.randint(2, 15)
    chain = Chain(n)
    sentences = [
        rng.choice(
            [
                f"{who} buys {n} {container} with {each} {things} in each.",
                f"{who} has {n} {container}. There are {each} {things} in each.",
            ]
        )
    ]
    chain.step(n, "*", each, f"{who} has {{}} {things}.")
    question = f"How many {things} does {who} have in all?"
    for _ in range(steps - 1):
        sentences.append(_change(rng, who, things, chain))
        question = f"How many {things} does {who} have now?"
    return sentences, question, chain


def wages(rng: random.Random, steps: int):
    """Money earned by the hour, then spent, tipped or saved for weeks."""
    who, job = rng.choice(NAMES), rng.choice(["babysitting", "painting", "gardening"])
    rate, hours = rng.randint(3, 15), rng.randint(2, 9)
    chain = Chain(rate)
    sentences = [f"{who} earns ${rate} an hour for {job} and works {hours} hours."]
    chain.step(rate, "*", hours, f"{who} earns ${{}}.")
    question = f"How much money does {who} earn?"
    for _ in range(steps - 1):
        value = chain.value
        divisors = _divisors(value)
        signs = [sign for sign in _possible(value) if sign != "*"]
        sign = rng.choice([*signs, "/"] if divisors else signs)
        if sign == "/":
            k = rng.choice(divisors)
            sentences.append(f"{who} shares the money equally among {k} people.")
            question = "How much money does each of them get?"
            chain.step(value, "/", k, "Each of them gets ${}.")
            break
        if sign == "+":
            n = _addend(rng, value)
            sentences.append(rng.choice([f"{who} gets a tip of ${n}.", f"{who} had ${n} before."]))
            chain.step(value, "+", n, f"{who} then has ${{}}.")
        else:
            n = _subtrahend(rng, value)
            sentences.append(
                f"{who} spends ${n} on {rng.choice(['lunch', 'a shirt', 'a game', 'a gift'])}."
            )
            chain.step(value, "-", n, f"{who} has ${{}} left.")
        question = f"How much money does {who} have now?"
    return sentences, question, chain


def two_people(rng: random.Random, steps: int):
    """The second person's pile is told by comparison; then perhaps both together."""
    (one, two), things = rng.sample(NAMES, 2), rng.choice(ITEMS)
    first = rng.randint(3, 40)
    chain = Chain(first)
    sign = rng.choice("+-*")
    n = {"+": _addend, "-": _subtrahend, "*": _factor}[sign](rng, first)
    words = {"+": f"{n} more {things} than", "-": f"{n} fewer {things} than"}
    compared = words.get(sign, f"{n} times as many {things} as")
    sentences = [f"{one} has {first} {things}.", f"{two} has {compared} {one}."]
    second = chain.step(first, sign, n, f"{two} has {{}} {things}.")
    question = f"How many {things} does {two} have?"
    if steps > 1 and first + second <= LARGEST:
        chain.step(first, "+", second, f"Together they have {{}} {things}.")
        question = f"How many {things} do {one} and {two} have together?"
    if steps > 2:
        sentences.append(f"They put them together. {_change(rng, 'The pair', things, chain)}")
        question = f"How many {things} does the pair have now?"
    return sentences, question, chain


def shop(rng: random.Random, steps: int):
    """A price told by comparison, then several are bought, then change is given."""
    who = rng.choice(NAMES)
    cheap, dear = rng.sample(["pen", "book", "ball", "cake", "lamp", "mug"], 2)
    price = rng.randint(2, 12)
    chain = Chain(price)
    sentences = [f"A {cheap} costs ${price}."]
    if rng.random() < 0.5:
        n = rng.randint(2, 15)
        sentences.append(f"A {dear} costs ${n} more than a {cheap}.")
        chain.step(price, "+", n, f"A {dear} costs ${{}}.")
    else:
        n = rng.randint(2, 5)
        sentences.append(f"A {dear} costs {n} times as much as a {cheap}.")
        chain.step(price, "*", n, f"A {dear} costs ${{}}.")
    question = f"How much does a {dear} cost?"
    if steps > 1:
        n = rng.randint(2, max(2, min(9, 100 // chain.value)))
        sentences.append(f"{who} buys {n} of the {dear}s.")
        chain.step(chain.value, "*", n, f"{who} pays ${{}}.")
        question = f"How much does {who} pay?"
    if steps > 2 and chain.value < LARGEST:
        bill = rng.randint(chain.value + 1, min(LARGEST, chain.value + 50))
        sentences.append(f"{who} gives the seller ${bill}.")
        chain.step(bill, "-", chain.value, f"{who} gets ${{}} back.")
        question = f"How much money does {who} get back?"
    return sentences, question, chain


def sharing(rng: random.Random, steps: int):
    """A pile is shared out first; then one share goes on changing."""
    who, things = rng.choice(NAMES), rng.choice(ITEMS)
    k, share = rng.randint(2, 9), rng.randint(2, 15)
    chain = Chain(k * share)
    sentences = [f"{k} friends share {k * share} {things} equally. One of them is {who}."]
    chain.step(k * share, "/", k, f"{who} gets {{}} {things}.")
    question = f"How many {things} does {who} get?"
    for _ in range(steps - 1):
        sentences.append(_change(rng, who, things, chain))
        question = f"How many {things} does {who} have now?"
    return sentences, question, chain


STORIES: tuple[Callable, ...] = (pile, packs, wages, two_people, shop, sharing)

# ---------------------------------------------------------------------------------- problems


def draw_problem(rng: random.Random) -> dict:
    """One problem of any split: {"question", "answer"}."""
    story = rng.choice(STORIES)
    sentences, question, chain = story(rng, rng.choice([1, 2, 2, 3, 3]))
    answer = "\n".join([*chain.lines, f"#### {chain.value}"])
    return {"question": " ".join([*sentences, question]), "answer": answer}


def equations(answer: str) -> list[str]:
    """What stands in the calculator annotations ``<<...>>`` of an answer, in order."""
    return re.findall(r"<<(.*?)>>", answer)


def split_of(problem: dict) -> str:
    """The one split a problem belongs to: a hash of its chain of equations, nothing else."""
    chain = ";".join(equations(problem["answer"]))
    bucket = int.from_bytes(hashlib.sha256(chain.encode()).digest()[:8], "big") % 100
    return next(name for name, buckets in SPLITS.items() if bucket in buckets)


def stream(split: str, seed: int = 0) -> Iterator[dict]:
    """Endless problems of one split; the same question may come again."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}: take one of {', '.join(SPLITS)}")
    rng = random.Random(f"{split}/{seed}")
    while True:
        problem = draw_problem(rng)
        if split_of(problem) == split:
            yield problem


def make_problems(n: int, split: str = "train", seed: int = 0) -> list[dict]:
    """n problems of `split` with n different questions; a longer list begins with the shorter."""
    seen: dict[str, dict] = {}
    problems = stream(split, seed)
    while len(seen) < n:
        problem = next(problems)
        seen.setdefault(problem["question"], problem)
    return list(seen.values())


# ---------------------------------------------------------------------------------- checking

_TOKEN = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+|//|[-+*/()%])")


def _tokens(text: str) -> list[str]:
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.replace("$", "")).strip()
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"cannot read {text[at:]!r}")
        tokens.append(match[1])
        at = match.end()
    return tokens


def _evaluate(text: str) -> Fraction:
    """The value of an expression of + - * / ( ) and per cent. Never `eval`: a model wrote it."""
    if len(text) > 200:
        raise ValueError("too long for an equation")
    tokens = [*_tokens(text), "end"]

    def take() -> str:
        return tokens.pop(0)

    def atom() -> Fraction:
        token = take()
        if token in "+-":
            value = atom()
            return -value if token == "-" else value
        if token == "(":
            value = total()
            if take() != ")":
                raise ValueError("a bracket is left open")
        elif token[0].isdigit() or token[0] == ".":
            value = Fraction(token)
        else:
            raise ValueError(f"a number is missing before {token!r}")
        while tokens[0] == "%":
            take()
            value /= 100
        return value

    def product() -> Fraction:
        value = atom()
        while tokens[0] in ("*", "/", "//"):
            sign, factor = take(), atom()
            value = value * factor if sign == "*" else value / factor
            value = Fraction(value // 1) if sign == "//" else value
        return value

    def total() -> Fraction:
        value = product()
        while tokens[0] in ("+", "-"):
            value = value + product() if take() == "+" else value - product()
        return value

    value = total()
    if tokens != ["end"]:
        raise ValueError(f"{tokens[0]!r} is not expected here")
    return value


def equation_holds(equation: str) -> bool:
    """Is ``12/5=2.4`` true? A result with decimals may be rounded or cut off at its last digit
    (GSM8K writes 10/3=3.33); an integer must be exact. False if it cannot be read."""
    left, sign, right = equation.rpartition("=")
    if not sign:
        return False
    try:
        # A chain such as 2+3=5+1=6 is read as its first and last parts agreeing with all between.
        values = [_evaluate(part) for part in left.split("=")]
        stated = _evaluate(right)
    except (ValueError, ZeroDivisionError, RecursionError):
        return False
    decimals = len(right.strip().rstrip("%").partition(".")[2])
    last_digit = Fraction(1, 10**decimals) if decimals else Fraction(0)
    return all(
        abs(value - stated) <= last_digit / 2 or 0 < abs(value) - abs(stated) < last_digit
        for value in values
    )


def check_chain(answer: str) -> bool:
    """Is every ``<<...>>`` equation of an answer true? (An answer without any has none that is
    false.) A right final number over a false chain is a false positive of a filter that only
    compares final numbers."""
    return all(equation_holds(equation) for equation in equations(answer))
