"""Hidden tests of 05_star.

Models are plain values, and the functions that an answer is given run here, in the judge: what was
called with what cannot be invented. Expected values come from slow definitions (all subsets, whole
histories), never from the answer.
"""

import contextlib
import itertools
from decimal import Decimal
from fractions import Fraction

from autograder.judging import (
    Fail,
    StudentError,
    Undefined,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)

# fmt: off
WORDS = [
    "so", "then", "she", "has", "the", "boxes", "together", "and", "each", "of", "them", "costs",
    "more", "than", "what", "paid", "for", "lunch", "which", "leaves", "half", "to", "his", "pens",
]
# fmt: on


def words(draw, low=2, high=6):
    return " ".join(draw.choice(WORDS) for _ in range(draw.integers(low, high)))


def problem(draw, number=None):
    """A row like GSM8K's."""
    a, b = draw.integers(2, 90), draw.integers(2, 90)
    answer = f"{words(draw)} {a}+{b}=<<{a}+{b}={a + b}>>{a + b}.\n#### {a + b}"
    return {"question": f"{words(draw).capitalize()} {number}, {a} and {b}?", "answer": answer}


# ---------------------------------------------------------------- pass_at_k


def by_counting(n, c, k):
    """Share of the k-subsets of n samples that hold one of the c right ones."""
    subsets = list(itertools.combinations(range(n), k))
    return sum(any(i < c for i in s) for s in subsets) / len(subsets)


@hidden(
    "pass_at_k",
    "the share of all k-subsets that hold a right sample",
    weight=4,
    core=True,
    hint="1 - C(n - c, k) / C(n, k): the samples are taken without putting any back.",
)
def counted(student, draw):
    # As many wrong ones as drawn, one less, or up to three more.
    for more in draw.shuffled((-1, 0, 1, 2, 3)):
        c, k = draw.integers(2, 6), draw.integers(2, 5)
        n = c + k + more
        check_close(student.pass_at_k(n, c, k), by_counting(n, c, k))


@hidden(
    "pass_at_k",
    "the ends: no right one, all right, k = 1, k = n, fewer wrong ones than k",
    weight=2,
    hint="math.comb(n - c, k) is 0 when fewer than k samples are wrong.",
)
def ends(student, draw):
    n = draw.integers(6, 12)
    for c, k in [(0, 3), (n, 2), (2, 1), (1, n), (0, n), (n - 1, 2), (n - 2, 4), (0, 1), (n, n)]:
        got = student.pass_at_k(n, c, k)
        check_type(got, float)
        check_close(got, by_counting(n, c, k), atol=1e-9)


@hidden(
    "pass_at_k",
    "large numbers of samples, a float from 0 to 1",
    weight=2,
    hint="math.comb is exact; a product of floats must not run over.",
)
def large(student, draw):
    for n, k in ((200, 100), (1000, 500), (1200, 600), (3000, 10)):
        c = draw.integers(1, 4)
        wrong = Fraction(1)
        for i in range(k):
            wrong *= Fraction(n - c - i, n - i)
        got = student.pass_at_k(n, c, k)
        check_type(got, float)
        check_close(got, float(1 - wrong))
        if not 0 <= got <= 1:
            raise Fail("not between 0 and 1")
    for _ in range(3):  # far less than single precision or a rounding leaves
        n = draw.integers(80_000, 120_000)
        check_close(student.pass_at_k(n, 1, 1), 1 / n)


@hidden(
    "pass_at_k",
    "ValueError for k > n and for c > n",
    weight=2,
    hint="Check both before you compute.",
)
def refused(student, draw):
    n = draw.integers(3, 20)
    for c, k in [(1, n + 1), (0, n + 3), (n, n + 1), (n + 1, 1), (n + 2, n), (n + 1, n + 2)]:
        check_raises("ValueError", student.pass_at_k, n, c, k)


# ---------------------------------------------------------------- sample_solutions


class Model:
    """generate, and what it was asked. Its texts tell the prompt, the temperature and the seed."""

    def __init__(self):
        self.calls = []

    def __call__(self, prompts, temperature, seed):
        self.calls.append((list(prompts), temperature, seed))
        return [f"{prompt}|{temperature}|{seed}" for prompt in prompts]


def sampled(student, prompts, n, temperature, seed):
    model = Model()
    result = student.sample_solutions(model.__call__, prompts, n, temperature, seed)
    return result, model.calls


@hidden(
    "sample_solutions",
    "for each prompt, in order, the list of its n texts",
    weight=3,
    core=True,
    hint="Each call gives one text per prompt; the result has one list per prompt.",
)
def table(student, draw):
    for count, n in ((draw.integers(4, 7), 3), (1, draw.integers(2, 5)), (2, 1)):
        prompts = [f"{words(draw)} {i}" for i in range(count)]
        got, calls = sampled(student, prompts, n, 0.7, draw.integers(1, 99))
        check_type(got, list)
        check_equal([len(texts) for texts in got], [n] * count, "texts of each prompt")
        for texts in got:
            check_type(texts, list)
        said = [{f"{p}|{t}|{s}" for _, t, s in calls} for p in prompts]
        for texts, own in zip(got, said, strict=True):
            if any(text not in own for text in texts):
                raise Fail("a text is not what generate gave for that prompt")
            if len(set(texts)) != n:
                raise Fail("a sample was taken twice")


@hidden(
    "sample_solutions",
    "n calls on all prompts in order, n different seeds, the temperature as given",
    weight=3,
    hint="One call a sample, on all prompts; the same seed again gives the same texts again.",
)
def calls_of_generate(student, draw):
    prompts = [f"{words(draw)} {i}" for i in range(draw.integers(3, 6))]
    for own in (draw.integers(1, 1000), 0):
        n, temperature = draw.integers(3, 30), draw.uniform(0.2, 1.6)
        _, calls = sampled(student, prompts, n, temperature, own)
        check_equal(len(calls), n, "the number of calls")
        for asked, at, seed in calls:
            check_equal(asked, prompts, "the prompts of a call")
            check_close(at, temperature, what="the temperature")
            check_type(seed, int, "a seed")
        if len({seed for _, _, seed in calls}) != n:
            raise Fail("two calls had the same seed")


@hidden(
    "sample_solutions",
    "the seeds depend on `seed`, and on nothing else",
    weight=2,
    hint="A generator of its own, random.Random(seed); no clock, no global state.",
)
def seeds(student, draw):
    prompts, n = [words(draw), words(draw)], draw.integers(3, 6)
    one, other = draw.sample(range(10_000), 2)
    first = [s for _, _, s in sampled(student, prompts, n, 0.8, one)[1]]
    different = [s for _, _, s in sampled(student, prompts, n, 0.8, other)[1]]
    again = [s for _, _, s in sampled(student, prompts, n, 0.8, one)[1]]
    check_equal(again, first, "the seeds of the same seed")
    if set(first) == set(different):
        raise Fail("another seed gave the same seeds")
    others = [s for _, _, s in sampled(student, [*prompts, words(draw)], n, 1.1, one)[1]]
    check_equal(others, first, "the seeds with other prompts and another temperature")
    asked = []

    def seeding(prompts, temperature, seed):
        """Seeds the student's global generators, as a real one does."""
        for module, seeded in (("random", "seed"), ("torch", "manual_seed")):
            with contextlib.suppress(StudentError, Undefined):
                getattr(student.get(module), seeded)(0)
        asked.append(seed)
        return prompts

    student.sample_solutions(seeding, prompts, n, 0.8, one)
    check_equal(asked, first, "the seeds when generate seeds the global generators")


@hidden(
    "sample_solutions",
    "equal texts of different calls, and equal prompts, are all kept, as they are",
    hint="Repetitions are the filter's business; pass@k counts every sample. Tell prompts apart by "
    "their place: two may be equal.",
)
def repetitions(student, draw):
    prompts = [f"{words(draw)} {i}" for i in range(3)]
    prompts.insert(draw.integers(0, 4), prompts[0])
    n, calls = draw.integers(3, 6), []

    def generate(prompts, temperature, seed):
        calls.append(seed)
        return [f" {prompt.upper()} \n" for prompt in prompts]

    got = student.sample_solutions(generate, prompts, n, 0.5, 3)
    check_equal(len(calls), n, "the number of calls")
    check_equal(got, [[f" {prompt.upper()} \n"] * n for prompt in prompts])


@hidden(
    "sample_solutions",
    "ValueError for n < 1 and for a temperature that is not positive",
    weight=2,
    hint="Check both first.",
)
def refused_samples(student, draw):
    prompts = [words(draw)]
    for n, temperature in ((0, 1.0), (-1, 1.0), (2, 0.0), (2, 0), (3, -0.5)):
        check_raises(
            "ValueError", student.sample_solutions, Model().__call__, prompts, n, temperature, 1
        )


# ---------------------------------------------------------------- filter_correct


def chain(text):
    """The equations of a text in order, the text itself if there is none; without regular
    expressions."""
    found, rest = [], text
    while "<<" in rest:
        _, _, rest = rest.partition("<<")
        inside, closed, rest = rest.partition(">>")
        if closed:
            found.append(inside)
    return tuple(found) or text


def slow_filter(samples, right, most):
    """right: the set of (index, text) that are correct."""
    kept = []
    for i, texts in enumerate(samples):
        own = [text for text in texts if (i, text) in right]
        new = [t for at, t in enumerate(own) if chain(t) not in [chain(x) for x in own[:at]]]
        kept += [(i, text) for text in new[:most]]
    return kept


def told(draw, equations, number, result):
    """A text with these equations; `number` keeps it apart from others with the same ones."""
    lines = [f"{words(draw)} <<{equation}>>." for equation in equations]
    return "\n".join([*lines, f"{words(draw)} {number}", f"#### {result}"])


def filter_case(draw, problems=4):
    """Problems, samples, and which of them are right. Of each problem: the same result by another
    equation, the same equations in another order, once and twice, none; each in two wordings. Of
    one chain the first is wrong, of another one both."""
    rows = [problem(draw, i) for i in range(problems)]
    samples, right = [], set()
    for i in range(problems):
        a, b = draw.integers(2, 30) + 100 * i, draw.integers(32, 60)
        first, turned, then = f"{a}+{b}={a + b}", f"{b}+{a}={a + b}", f"{a + b}*2={2 * (a + b)}"
        chains = [(first,), (turned,), (first, then), (then, first), (first, first), (then,), ()]
        texts = [told(draw, equations, n, a + b) for equations in chains for n in (1, 2)]
        texts = draw.shuffled([*texts, texts[-1]])  # one without equations, word by word again
        late = draw.choice(chains[:5])
        bad = [t for t in texts if chain(t) == late][:1] + [t for t in texts if chain(t) == (then,)]
        samples.append(texts)
        right |= {(i, t) for t in texts if t not in bad}
    return rows, samples, right


# (equation, right?) of each text: wrong ones in between, two of the right ones again.
CAP_CASE = [(6, 0), (0, 1), (7, 0), (0, 1), (1, 1), (8, 0), (2, 1), (2, 1), (3, 1), (4, 1)]


def cap_case(draw, problems=4):
    """Problems, samples, and which of them are right, where nothing but the cap can go wrong."""
    rows = [problem(draw, i) for i in range(problems)]
    samples, right = [], set()
    for i in range(problems):
        a = draw.integers(2, 30) + 100 * i
        texts = [told(draw, [f"{a}+{n}={a + n}"], at, a) for at, (n, _) in enumerate(CAP_CASE)]
        samples.append(texts)
        right |= {(i, text) for text, (_, good) in zip(texts, CAP_CASE, strict=True) if good}
    return rows, samples, right


def judge_of(rows, right):
    place = {row["question"]: i for i, row in enumerate(rows)}

    def is_correct(text, row):
        return (place[row["question"]], text) in right

    return is_correct


def filtered(student, rows, samples, right, most):
    got = student.filter_correct(rows, samples, judge_of(rows, right), most)
    check_type(got, list)
    return [tuple(pair) if isinstance(pair, (list, tuple)) else pair for pair in got]


@hidden(
    "filter_correct",
    "correct texts only, as (problem index, text), in order",
    weight=3,
    core=True,
    hint="Ask is_correct(text, problem) about each text; note the problem's number with it.",
)
def correct_only(student, draw):
    rows = [problem(draw, i) for i in range(6)]
    # The longest first: who sorts them by length is seen.
    samples = [
        [f"<<{i}+{j}={i + j}>> {words(draw, 8 - 2 * j, 9 - 2 * j)}" for j in range(4)]
        for i in range(6)
    ]
    samples[2] = []
    right = {(i, t) for i, texts in enumerate(samples) if texts for t in draw.sample(texts, 2)}
    check_equal(filtered(student, rows, samples, right, 9), slow_filter(samples, right, 9))
    check_equal(filtered(student, rows, samples, set(), 9), [])


@hidden(
    "filter_correct",
    "one text for each chain of equations: the first",
    weight=3,
    hint="The key is the tuple of equations; a text without equations is its own key.",
)
def one_of_each_chain(student, draw):
    for _ in range(2):
        rows, samples, right = filter_case(draw)
        want = slow_filter(samples, right, 99)
        check_equal(filtered(student, rows, samples, right, 99), want)


@hidden(
    "filter_correct",
    "a wrong text does not take the place of a right one with the same chain",
    hint="Wrong ones go first; only right ones are remembered as seen.",
)
def wrong_first(student, draw):
    rows = [problem(draw, i) for i in range(2)]
    a, b = draw.integers(2, 50), draw.integers(2, 50)
    bad = f"<<{a}+{b}={a + b}>> {words(draw)}\n#### {a}"
    good = f"{words(draw)} <<{a}+{b}={a + b}>>\n#### {a + b}"
    check_equal(filtered(student, rows, [[bad, good], [good]], {(0, good), (1, good)}, 1),
                [(0, good), (1, good)])  # fmt: skip


@hidden(
    "filter_correct",
    "several equations in one line are several equations",
    hint="The pattern <<.*>> takes all from the first << to the last >>.",
)
def in_one_line(student, draw):
    a, b, c = (draw.integers(2, 50) for _ in range(3))
    first = f"<<{a}+{b}={a + b}>> and <<{a + b}+{c}={a + b + c}>>"
    same = f"<<{a}+{b}={a + b}>>, {words(draw)} <<{a + b}+{c}={a + b + c}>>"
    other = f"<<{a}+{b}={a + b}>> {words(draw)}"
    texts = [first, same, other]
    right = {(0, text) for text in texts}
    check_equal(filtered(student, [problem(draw)], [texts], right, 9), [(0, first), (0, other)])


@hidden(
    "filter_correct",
    "chains and texts are compared as they stand",
    hint="Whatever is in <<...>> counts: decimals, three terms. The key is the tuple of equations, "
    "or the text without a change.",
)
def as_they_stand(student, draw):
    a, b = draw.integers(2, 50), draw.integers(2, 50)
    n = a + b
    # The last two differ in where one equation ends.
    chains = [(f"{a}.5+{b}={n}.5",), (f"{a}+{b}+1={n + 1}",), ("1+1=2", "2+2=4"), ("1+1=22+2=4",)]
    texts = [told(draw, equations, i, n) for equations in chains for i in (1, 2)]
    bare = told(draw, (), 1, n)
    texts += [bare, bare.upper(), f"{bare} ", f" {bare}", bare.replace(" ", "  ", 1)]
    right = {(0, text) for text in texts}
    want = slow_filter([texts], right, 99)
    check_equal(filtered(student, [problem(draw)], [texts], right, 99), want)


@hidden(
    "filter_correct",
    "is_correct alone tells what is right; equal problems keep their places",
    hint="No check of the steps, and no search for a problem in the list: enumerate it.",
)
def judged_alone(student, draw):
    one, other = problem(draw, 1), problem(draw, 2)
    false_step = f"<<2+2=5>> {words(draw)}\n#### 5"
    samples = [[false_step, one["answer"]], [other["answer"]], [one["answer"], false_step]]
    right = {(i, text) for i, texts in enumerate(samples) for text in texts}
    want = slow_filter(samples, right, 9)
    check_equal(filtered(student, [one, other, dict(one)], samples, right, 9), want)


@hidden(
    "filter_correct",
    "at most max_per_problem, counted after the rest",
    weight=2,
    hint="Cap last: the first max_per_problem of what is right and new.",
)
def capped(student, draw):
    for most in (1, 2, 3):
        rows, samples, right = cap_case(draw)
        check_equal(
            filtered(student, rows, samples, right, most), slow_filter(samples, right, most)
        )


@hidden(
    "filter_correct",
    "problems do not share their chains; nothing is modified",
    weight=1.5,
    hint="What was seen is remembered for one problem only.",
)
def per_problem(student, draw):
    rows = [problem(draw, i) for i in range(3)]
    a = draw.integers(2, 50)
    text = f"{words(draw)} <<{a}+1={a + 1}>>\n#### {a + 1}"
    bare = f"{words(draw)}\n#### {a + 1}"
    samples = [[text, bare], [bare, f"{bare}0", text], [text]]
    right = {(i, t) for i in range(3) for t in (text, bare)}
    first = student.put(samples)
    got = student.filter_correct(rows, first, judge_of(rows, right), 2)
    check_equal([tuple(x) for x in got], slow_filter(samples, right, 2))
    check_equal(student.value(first), samples, "samples after the call")


# ---------------------------------------------------------------- rationalize


class Whisper:
    """The three functions that rationalize is given, and what they were asked."""

    def __init__(self, draw, verdict):
        self.text = f" {words(draw)} <<1+1=2>>\n\n#### {draw.integers(1, 99)} \n"
        self.secret = words(draw)
        self.asked, self.judged, self.hinted, self.verdict = [], [], [], verdict

    def generate(self, prompt):
        self.asked.append(prompt)
        return self.text

    def is_correct(self, text, row):
        self.judged.append((text, row))
        return self.verdict

    def hint(self, row):
        self.hinted.append(row)
        return f"{self.secret}: {row['question']}"


def rationalized(student, draw, verdict):
    row, helper = problem(draw, 1), Whisper(draw, verdict)
    got = student.rationalize(row, helper.generate, helper.is_correct, helper.hint)
    return row, helper, got


@hidden(
    "rationalize",
    "(the plain training prompt, the text exactly as generated)",
    weight=3,
    core=True,
    hint="The prompt is the question and a newline: the answer is not shown in it.",
)
def pair_of(student, draw):
    for _ in range(3):
        row, helper, got = rationalized(student, draw, True)
        check_type(got, (tuple, list))
        check_equal(tuple(got), (f"{row['question']}\n", helper.text))


@hidden(
    "rationalize",
    "generate gets hint(problem), once",
    weight=3,
    hint="The model is shown the answer: ask generate(hint(problem)).",
)
def hinted_once(student, draw):
    for verdict in (True, False):
        row, helper, _ = rationalized(student, draw, verdict)
        check_equal(helper.asked, [f"{helper.secret}: {row['question']}"], "what generate got")
        if any(given != row for given in helper.hinted) or not helper.hinted:
            raise Fail("hint is to be called with the problem")


@hidden(
    "rationalize",
    "None unless is_correct(text, problem)",
    weight=3,
    hint="An answer that was whispered can still come out wrong: ask is_correct.",
)
def only_if_correct(student, draw):
    row, helper, got = rationalized(student, draw, False)
    if got is not None:
        raise Fail("a text that is not correct was kept" if got else "None is expected")
    check_equal(helper.judged[:1], [(helper.text, row)], "what is_correct got")
    row, helper, _ = rationalized(student, draw, True)
    check_equal(helper.judged[:1], [(helper.text, row)], "what is_correct got")


@hidden(
    "rationalize",
    "a text that is_correct accepts is kept, whatever it says",
    hint="Empty, the gold answer, a wrong step: is_correct decides, and nothing is cut off.",
)
def any_text(student, draw):
    row = problem(draw, 1)
    for text in ("", row["answer"], "<<1+1=3>>3\n#### 3", None):
        helper = Whisper(draw, True)
        # At last one that begins with the prompt.
        helper.text = f"{helper.secret}: {row['question']}{helper.text}" if text is None else text
        got = student.rationalize(row, helper.generate, helper.is_correct, helper.hint)
        check_type(got, (tuple, list))
        check_equal(tuple(got), (f"{row['question']}\n", helper.text))


@hidden(
    "rationalize",
    "questions with blanks and newlines stay as they are; the problem is not modified",
    hint="Do not strip the question.",
)
def verbatim(student, draw):
    row = {"question": f"  {words(draw)}?\n", "answer": "#### 3", "id": 7}
    helper = Whisper(draw, True)
    held = student.put(row)
    got = student.rationalize(held, helper.generate, helper.is_correct, helper.hint)
    check_equal(tuple(got), (row["question"] + "\n", helper.text))
    check_equal(student.value(held), row, "the problem after the call")


# ---------------------------------------------------------------- star


class World:
    """sample, keep, finetune and evaluate over models that are plain strings; all is noted down.

    plan: the pairs that keep gives in each round. A model is the history of its fine-tunings.
    """

    def __init__(self, draw, plan, best=None):
        self.plan, self.log, self.best = plan, [], best
        self.scores = {}
        self.draw = draw

    def sample(self, model, problems):
        self.log.append(("sample", model, problems))
        return [[f"{model}:{i}"] * 2 for i in range(len(problems))]

    def keep(self, problems, samples):
        number = sum(what == "keep" for what, *_ in self.log)
        self.log.append(("keep", problems, samples))
        return list(self.plan[number])

    def finetune(self, model, pairs):
        pairs = [tuple(pair) for pair in pairs]
        self.log.append(("finetune", model, pairs))
        return f"{model}+{pairs}"

    def evaluate(self, model):
        self.log.append(("evaluate", model))
        return self.score(model)

    def score(self, model):
        if self.best is not None:
            return self.best
        if model not in self.scores:  # worse and better in turn
            best = len(self.scores) % 2 == 0
            self.scores[model] = self.draw.uniform(0, 0.4) + 0.5 * best
        return self.scores[model]

    def of(self, what):
        return [entry[1:] for entry in self.log if entry[0] == what]


def history_of(world, base, rounds, restart):
    """What should come out: (history, models that sample, models that finetune got)."""
    current, rows = base, [dict(round=0, kept=0, solved=0, score=world.score(base))]
    sampling, tuned = [], []
    for number, pairs in enumerate(world.plan[:rounds], start=1):
        sampling.append(current)
        if pairs:
            start = base if restart else current
            tuned.append((start, pairs))
            current = f"{start}+{pairs}"
        solved = len({i for i, _ in pairs})
        score = world.score(current)
        rows.append(dict(round=number, kept=len(pairs), solved=solved, score=score))
    return rows, sampling, tuned


def plan_of(draw, rounds, empty=()):
    plan = []
    for number in range(rounds):
        count = draw.integers(3, 9)
        # A round leaves out what the one before solved: its own number is not that of all so far.
        solved = [i for i in range(4) if i != number % 4]
        pairs = [(draw.choice(solved), f"{number}.{j}") for j in range(count)]
        pairs += [((number + 1) % 4, f"{number}.{again}") for again in ("new", "again")]
        plan.append([] if number in empty else sorted(pairs))
    return plan


def run(student, draw, plan, best=None, **options):
    problems = [problem(draw, i) for i in range(4)]
    problems.append(dict(problems[0]))
    world, base = World(draw, plan, best), f"base{draw.integers(1, 1000)}"
    rounds = len(plan)
    got = student.star(
        base, problems, rounds, world.sample, world.keep, world.finetune, world.evaluate, **options
    )
    check_type(got, list)
    return got, world, base, problems


def check_history(got, want):
    check_equal(len(got), len(want), "the number of rows")
    for mine, row in zip(got, want, strict=True):
        check_type(mine, dict)
        check_equal(set(mine), set(row), "the keys of a row")
        for key in ("round", "kept", "solved"):
            check_equal(mine[key], row[key], key)
        check_close(mine["score"], row["score"], what="score")


@hidden(
    "star",
    "n_rounds + 1 rows; with restart each round fine-tunes the base on its own pairs",
    weight=4,
    core=True,
    hint="finetune(base, pairs), pairs of this round only; round 0 is the base.",
)
def restarted(student, draw):
    for options in ({}, {"restart": True}):
        got, world, base, _ = run(student, draw, plan_of(draw, 3), **options)
        want, _, tuned = history_of(world, base, 3, True)
        check_equal(world.of("finetune"), tuned, "what finetune got")
        check_history(got, want)


@hidden(
    "star",
    "without restart it fine-tunes the current model",
    weight=2,
    hint="finetune(current, pairs) when restart is False.",
)
def continued(student, draw):
    got, world, base, _ = run(student, draw, plan_of(draw, 4), restart=False)
    want, _, tuned = history_of(world, base, 4, False)
    check_equal(world.of("finetune"), tuned, "what finetune got")
    check_history(got, want)


@hidden(
    "star",
    "samples come from the current model, on all problems; keep gets them",
    weight=3,
    hint="sample(current, problems), and not sample(base, problems).",
)
def from_the_current(student, draw):
    for restart in (True, False):
        _, world, base, problems = run(student, draw, plan_of(draw, 3), restart=restart)
        _, sampling, _ = history_of(world, base, 3, restart)
        check_equal(world.of("sample"), [(m, problems) for m in sampling], "what sample got")
        given = [(problems, [[f"{m}:{i}"] * 2 for i in range(5)]) for m in sampling]
        check_equal(world.of("keep"), given, "what keep got")


@hidden(
    "star",
    "a round that keeps nothing keeps the current model, and is recorded",
    weight=3,
    hint="No pairs: no fine-tuning, the current model stays, the loop goes on.",
)
def nothing_kept(student, draw):
    for restart in (True, False):
        for empty in ((0,), (1, 2), (3,)):
            plan = plan_of(draw, 4, empty)
            got, world, base, _ = run(student, draw, plan, restart=restart)
            want, sampling, tuned = history_of(world, base, 4, restart)
            check_equal(world.of("finetune"), tuned, "what finetune got")
            check_equal([m for m, _ in world.of("sample")], sampling, "the models that sampled")
            check_history(got, want)


@hidden(
    "star",
    "no rounds give the base's row alone, without sampling",
    hint="range(1, n_rounds + 1) is empty then.",
)
def no_rounds(student, draw):
    got, world, base, _ = run(student, draw, [])
    check_history(got, [dict(round=0, kept=0, solved=0, score=world.score(base))])
    if world.of("sample") or world.of("finetune"):
        raise Fail("nothing is to be sampled or trained")


@hidden(
    "star",
    "models are any objects, never compared or called",
    hint="Hand the model on; what it is does not matter.",
)
def any_model(student, draw):
    for tuned in ({"weights": [3]}, {}, 0):  # the last two are false
        base, sampling, scored = {"weights": [1, 2]}, [], []

        def sample(model, problems, sampling=sampling):
            sampling.append(model)
            return [[] for _ in problems]

        def evaluate(model, scored=scored):
            scored.append(model)
            return len(scored) / 4

        def finetune(model, pairs, tuned=tuned):
            return tuned

        got = student.star(
            base, [problem(draw)], 2, sample, lambda *_: [(0, "x")], finetune, evaluate
        )
        check_equal(sampling, [base, tuned], "the models that sampled")
        check_equal(scored, [base, tuned, tuned], "the models that were scored")
        check_type(got, list)
        rows = zip(range(3), (0, 1, 1), (0.25, 0.5, 0.75), strict=True)
        check_history(got, [dict(round=i, kept=n, solved=n, score=x) for i, n, x in rows])


@hidden(
    "star",
    "a round with all problems solved and a perfect score is not the last",
    hint="n_rounds rounds, whatever comes out; solved counts indices: two problems may be equal.",
)
def perfect(student, draw):
    # A pair twice, not side by side: what keep keeps is counted, and trained on.
    plan = [[(i, f"{number}.{i}") for i in (4, 0, 1, 2, 3, 4)] for number in range(3)]
    got, world, base, _ = run(student, draw, plan, best=1.0)
    want, _, tuned = history_of(world, base, 3, True)
    check_history(got, want)
    check_equal(world.of("finetune"), tuned, "what finetune got")


# ---------------------------------------------------------------- majority_vote


def slow_vote(answers):
    voters = [a for a in answers if a is not None]
    counts = [sum(a == b for b in voters) for a in voters]
    return voters[counts.index(max(counts))] if voters else None


@hidden(
    "majority_vote",
    "the answer with the most votes",
    weight=3,
    core=True,
    hint="Count how often each answer occurs.",
)
def most_votes(student, draw):
    for _ in range(4):
        winner, *others = draw.sample(range(-50, 1000), 4)
        votes = [winner] * 4 + [others[0]] * 3 + [others[1]] * 2 + others[2:]
        check_equal(student.majority_vote(draw.shuffled(votes)), winner)
        exact = [Decimal(v) for v in votes]
        check_equal(student.majority_vote(draw.shuffled(exact)), Decimal(winner))


@hidden(
    "majority_vote",
    "None has no vote",
    weight=2,
    hint="Drop None before you count; is not None, since 0 is an answer.",
)
def none_has_no_vote(student, draw):
    a, b = draw.sample(range(1, 100), 2)
    for votes, want in (
        ([None, None, None, a, None], a),
        ([None, a, b, None, b, None], b),
        ([0, None, 0, None, a, None], 0),
        ([None, 0], 0),
    ):
        check_equal(student.majority_vote(votes), want)


@hidden(
    "majority_vote",
    "of answers with equally many votes the one seen first",
    weight=2,
    hint="max() gives the first of equals; a set forgets the order.",
)
def first_of_equals(student, draw):
    for _ in range(6):
        values = draw.sample([*range(-99, 0), *range(1, 99)], draw.integers(2, 6))
        votes = draw.shuffled(values * 2)
        check_equal(student.majority_vote(votes), slow_vote(votes))
        check_equal(student.majority_vote(values), values[0])
    texts = draw.sample([f"{word}!" for word in WORDS], 3)
    check_equal(student.majority_vote([None, *texts, *texts[::-1]]), texts[0])


@hidden(
    "majority_vote",
    "None if nobody votes",
    hint="Empty, or None only.",
)
def nobody(student, draw):
    for votes in ([], [None], [None] * draw.integers(2, 6)):
        got = student.majority_vote(votes)
        if got is not None:
            raise Fail("None is expected")


@hidden(
    "majority_vote",
    "answers that are equal with == vote together; the list is not modified",
    weight=1.5,
    hint="5, 5.0 and Decimal('5.00') are equal; list.count compares with ==.",
)
def equal_answers(student, draw):
    n, other = draw.sample(range(2, 90), 2)
    votes = [Decimal(n), other, Decimal(f"{n}.0"), other, Decimal(f"{n}.00")]
    check_equal(student.majority_vote(votes) == n, True)
    for first, then in ((n, float(n)), (float(n), Decimal(n)), (Decimal(f"{n}.0"), n)):
        check_equal(student.majority_vote([other, first, then]) == n, True)
    held = student.put([n, other, n, None])
    check_equal(student.majority_vote(held), n)
    check_equal(student.value(held), [n, other, n, None], "the list after the call")


@hidden(
    "majority_vote",
    "only answers that are equal with == vote together; every answer but None votes",
    hint="No rounding, no change of text; an empty text and False are answers.",
)
def nothing_else_is_equal(student, draw):
    n, word = draw.integers(5, 90), draw.choice(WORDS)
    near = [(0.3, 0.1 + 0.2), (n + 100.2, n + 100.4), (word, word.upper()), (word, f" {word}")]
    for one, other in near:
        check_equal(student.majority_vote([one, other, n, n]), n)
    for votes in (["", word, ""], [False, True, False], [None, "", None]):
        check_equal(student.majority_vote(votes), "" if "" in votes else False)
