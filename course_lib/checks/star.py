"""Visible checks of 05_star. Toy problems and toy models whose course one can follow by hand."""

from decimal import Decimal

from course_lib.checking import Case, visible

APPLES = {"question": "2 bags of 3 apples. How many?", "answer": "2*3=<<2*3=6>>6\n#### 6"}
PENS = {"question": "5 pens and 4 pens. How many?", "answer": "5+4=<<5+4=9>>9\n#### 9"}


def ends_right(text, problem):
    """The number after #### is the gold one."""
    return text.rpartition("#### ")[2] == problem["answer"].rpartition("#### ")[2]


# ---------------------------------------------------------------- pass_at_k


@visible("pass_at_k")
def pass_at_k_cases(pass_at_k):
    # Count by hand: of 4 samples the first 2 are right; which of the 6 pairs have a right one?
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    found = sum(i < 2 for i, j in pairs) / len(pairs)
    yield Case(
        "4 samples, 2 right, 2 taken: 5 of the 6 pairs hold a right one",
        call="pass_at_k(4, 2, 2)",
        got=lambda: pass_at_k(4, 2, 2),
        expected=found,
        mistakes=[
            ("that is 1 - (1 - c/n)^k, as if a sample were put back before the next is taken: "
             "it is biased", 1 - (1 - 2 / 4) ** 2),
            ("that is the chance that ALL k are wrong: take it from 1", 1 - found),
            ("that is c / n, the chance for k = 1", 0.5),
            ("that is the chance that all k are right", 1 / 6),
            ("with k samples one is sure only if fewer than k are wrong", 1.0),
        ],
    )  # fmt: skip
    yield Case(
        "fewer wrong samples than k: one of them must be right",
        call="pass_at_k(5, 3, 3)",
        got=lambda: pass_at_k(5, 3, 3),
        expected=1.0,
        mistakes=[("a negative number of wrong samples? C(2, 3) is 0", 1 - 1 / 10)],
        hint=2,
    )
    yield Case(
        "no right sample",
        call="pass_at_k(8, 0, 4)",
        got=lambda: pass_at_k(8, 0, 4),
        expected=0.0,
    )
    yield Case(
        "a float, for large n too",
        call="pass_at_k(1000, 3, 100)",
        got=lambda: pass_at_k(1000, 3, 100),
        expected=1 - (900 * 899 * 898) / (1000 * 999 * 998),
        verify=None,
        mistakes=[("as if a sample were put back before the next is taken", 1 - 0.997**100)],
        hint=3,
    )
    for n, c, k, what in ((4, 2, 5, "k > n"), (4, 5, 2, "c > n")):
        yield Case(
            f"{what} is refused",
            call=f"pass_at_k({n}, {c}, {k})",
            got=lambda n=n, c=c, k=k: pass_at_k(n, c, k),
            raises=ValueError,
            hint=3,
        )


# ---------------------------------------------------------------- sample_solutions


@visible("sample_solutions")
def sample_solutions_cases(sample_solutions):
    calls = []

    def generate(prompts, temperature, seed):
        calls.append((list(prompts), temperature, seed))
        return [f"{prompt} {temperature} {seed}" for prompt in prompts]

    prompts = ["a", "b"]

    def run(n=3, temperature=0.7, seed=1):
        calls.clear()
        return sample_solutions(generate, prompts, n, temperature, seed)

    def shape(result):
        if type(result) is not list or any(type(texts) is not list for texts in result):
            return "a list of lists is expected"
        if len(result) == 3 and all(len(texts) == 2 for texts in result):
            return "one list for each CALL: turn the table, one list for each prompt is expected"
        if [len(texts) for texts in result] != [3, 3]:
            return f"2 prompts, n = 3: the lists have lengths {[len(t) for t in result]}, not 3, 3"
        for prompt, texts in zip(prompts, result, strict=True):
            if any(not text.startswith(prompt + " ") for text in texts):
                return f"the list of prompt {prompt!r} holds a text of another prompt"
        return None

    yield Case(
        "for each prompt in order the list of its n texts",
        call="sample_solutions(generate, ['a', 'b'], 3, 0.7, 1)",
        got=run,
        verify=shape,
        hint=2,
        unchanged=(prompts,),
    )

    def economical(_):
        if len(calls) != 3:
            return f"generate was called {len(calls)} times; n = 3 calls on all prompts are enough"
        if any(asked != prompts for asked, _, _ in calls):
            return "each call is to get all prompts, in order"
        if any(temperature != 0.7 for _, temperature, _ in calls):
            return "the temperature is to be passed on as it is"
        if len({seed for _, _, seed in calls}) < 3:
            return "two calls had the same seed: they give the same texts twice"
        return None

    yield Case(
        "n calls on all prompts, each with a seed of its own",
        call="sample_solutions(generate, ['a', 'b'], 3, 0.7, 1)   # the calls of generate",
        got=run,
        verify=economical,
        hint=1,
    )
    yield Case(
        "the same seed gives the same texts, another seed others",
        call="sample_solutions(…, seed=1) twice, then seed=2",
        got=lambda: [run(seed=1), run(seed=1), run(seed=2)],
        verify=lambda r: (
            "the same seed gave other texts: take the seeds from `seed` only"
            if r[0] != r[1]
            else "another seed gave the same texts"
            if r[0] == r[2]
            else None
        ),
        hint=2,
    )
    for n, temperature, what in ((0, 1.0, "n = 0"), (2, 0.0, "temperature 0"), (2, -1.0, "below")):
        yield Case(
            f"{what} is refused",
            call=f"sample_solutions(generate, ['a', 'b'], {n}, {temperature}, 1)",
            got=lambda n=n, t=temperature: run(n, t),
            raises=ValueError,
            hint=2,
        )


# ---------------------------------------------------------------- filter_correct


@visible("filter_correct")
def filter_correct_cases(filter_correct):
    good = "2*3=<<2*3=6>>6\n#### 6"
    same_chain = "Two times three is <<2*3=6>>6.\n#### 6"
    other = "3+3=<<3+3=6>>6\n#### 6"
    third = "1*6=<<1*6=6>>6\n#### 6"
    wrong = "2+3=<<2+3=5>>5\n#### 5"
    problems, samples = [APPLES, PENS], [[wrong, good, same_chain, other, third], [wrong]]

    yield Case(
        "right ones only, one of each chain, the first max_per_problem",
        call="filter_correct(problems, samples, is_correct, 2)",
        got=lambda: filter_correct(problems, samples, ends_right, 2),
        expected=[(0, good), (0, other)],
        mistakes=[
            ("nothing was filtered", [(0, wrong), (0, good), (1, wrong)]),
            ("two texts with the same equations are the same chain, however they are worded",
             [(0, good), (0, same_chain)]),
            ("the first of a chain is kept, not the last", [(0, same_chain), (0, other)]),
            ("cap last: the wrong texts and the repeated chains do not count", [(0, good)]),
            ("max_per_problem = 2: there is one too many", [(0, good), (0, other), (0, third)]),
            ("the pairs are (index, text)", [(APPLES, good), (APPLES, other)]),
        ],
        hint=1,
        unchanged=(problems, samples),
    )  # fmt: skip
    bare, again = "The answer is six.\n#### 6", "Six it is.\n#### 6"
    yield Case(
        "a text without equations is its own chain",
        call="filter_correct([problem], [[bare, again, bare]], is_correct, 5)",
        got=lambda: filter_correct([APPLES], [[bare, again, bare]], ends_right, 5),
        expected=[(0, bare), (0, again)],
        mistakes=[
            ("two different texts without equations are not the same chain", [(0, bare)]),
            ("the same text twice is one", [(0, bare), (0, again), (0, bare)]),
        ],
        hint=2,
    )
    twin = {**APPLES, "question": "3 boys with 2 apples each. How many?"}
    yield Case(
        "problems do not share their chains",
        call="filter_correct([problem, twin], [[good], [good]], is_correct, 1)",
        got=lambda: filter_correct([APPLES, twin], [[good], [good]], ends_right, 1),
        expected=[(0, good), (1, good)],
        mistakes=[("the chain was seen for ANOTHER problem: that does not count", [(0, good)])],
        hint=2,
    )
    back = "3*2=<<3*2=6>>6\n#### 6"
    long = "<<2*3=6>>6 and <<6*1=6>>6\n#### 6"
    turned = "<<6*1=6>>6 and <<2*3=6>>6\n#### 6"
    yield Case(
        "another order of equations is another chain; the order of the texts stays",
        call="filter_correct([problem], [[long, back, turned]], is_correct, 5)",
        got=lambda: filter_correct([APPLES], [[long, back, turned]], ends_right, 5),
        expected=[(0, long), (0, back), (0, turned)],
        mistakes=[
            ("the key is the equations in their order, not a set of them", [(0, long), (0, back)])
        ],
        hint=2,
    )


# ---------------------------------------------------------------- rationalize


@visible("rationalize")
def rationalize_cases(rationalize):
    asked, judged = [], []
    text = " 2*3=<<2*3=6>>6\n#### 6"

    def generate(prompt):
        asked.append(prompt)
        return text

    def whisper(problem):
        return f"{problem['question']} (It is {problem['answer'][-1]}.)\n"

    def judge(verdict):
        def is_correct(text, problem):
            judged.append((text, problem))
            return verdict

        return is_correct

    def run(verdict):
        asked.clear()
        judged.clear()
        return rationalize(APPLES, generate, judge(verdict), whisper)

    plain = f"{APPLES['question']}\n"
    yield Case(
        "a right text comes with the plain training prompt, exactly as generated",
        call="rationalize(problem, generate, is_correct, hint)",
        got=lambda: run(True),
        expected=(plain, text),
        mistakes=[
            ("the prompt that is returned still shows the answer: at test time nobody whispers it",
             (whisper(APPLES), text)),
            ("the newline after the question is missing", (plain.strip(), text)),
            ("the text was changed: keep it exactly as generated", (plain, text.strip())),
            ("(prompt, text) is expected, in this order", (text, plain)),
            ("(prompt, text) is expected", text),
        ],
        unchanged=(APPLES,),
    )  # fmt: skip
    yield Case(
        "generate is asked once, with the prompt that shows the answer",
        call="rationalize(…)   # what generate got",
        got=lambda: run(True) and list(asked),
        expected=[whisper(APPLES)],
        mistakes=[("the model was not shown the answer: ask it with hint(problem)", [plain])],
        hint=2,
    )
    yield Case(
        "is_correct is asked about the text and the problem",
        call="rationalize(…)   # what is_correct got first",
        got=lambda: (run(True), judged[0] if judged else None)[1],
        expected=(text, APPLES),
        mistakes=[
            ("is_correct was not asked: a model can be shown the answer and still be wrong", None),
            ("is_correct takes (text, problem), in this order", (APPLES, text)),
        ],
        hint=2,
    )
    yield Case(
        "a text that is not correct gives None",
        call="rationalize(…)   # is_correct says no",
        got=lambda: run(False),
        expected=None,
        mistakes=[("a wrong text must not be trained on", (plain, text))],
        hint=2,
    )


# ---------------------------------------------------------------- star


@visible("star")
def star_cases(star):
    """A model is a tuple of what it was trained on; its score is how much of it is new to it."""
    calls = []
    plan = {1: [(0, "a"), (0, "b"), (2, "c")], 2: [(1, "d")], 3: [(0, "e"), (1, "f")]}

    def run(plan=plan, rounds=3, **options):
        calls.clear()
        number = [0]

        def sample(model, problems):
            number[0] += 1
            calls.append(("sample", model))
            return [[f"{model}"] for _ in problems]

        def keep(problems, samples):
            calls.append(("keep", samples))
            return list(plan[number[0]])

        def finetune(model, pairs):
            calls.append(("finetune", model, list(pairs)))
            return (*model, "".join(text for _, text in pairs))

        def evaluate(model):
            calls.append(("evaluate", model))
            return len("".join(model)) / 10

        return star(("base",), [1, 2, 3], rounds, sample, keep, finetune, evaluate, **options)

    def rows(*scores, kept=(0, 3, 1, 2), solved=(0, 2, 1, 2)):
        return [
            {"round": i, "kept": kept[i], "solved": solved[i], "score": s}
            for i, s in enumerate(scores)
        ]

    yield Case(
        "restart: each round fine-tunes the base, on this round's pairs only",
        call="star(base, problems, 3, sample, keep, finetune, evaluate)",
        got=run,
        expected=rows(0.4, 0.7, 0.5, 0.6),
        mistakes=[
            ("it fine-tunes the CURRENT model; with restart=True it is the base",
             rows(0.4, 0.7, 0.8, 1.0)),
            ("pairs of earlier rounds are still there", rows(0.4, 0.7, 0.8, 1.0,
             kept=(0, 3, 4, 6))),
            ("round 0, the base before any training, is missing", rows(0.4, 0.7, 0.5, 0.6)[1:]),
            ("solved counts DIFFERENT problems of this round",
             rows(0.4, 0.7, 0.5, 0.6, solved=(0, 3, 1, 2))),
            ("solved counts the problems of THIS round, not of all rounds so far",
             rows(0.4, 0.7, 0.5, 0.6, solved=(0, 2, 3, 3))),
            ("a round is scored after its fine-tuning", rows(0.4, 0.4, 0.7, 0.5)),
            ("the score is that of the base in each round", rows(0.4, 0.4, 0.4, 0.4)),
        ],
        hint=2,
    )  # fmt: skip
    yield Case(
        "restart=False: each round fine-tunes the current model",
        call="star(…, restart=False)",
        got=lambda: run(restart=False),
        expected=rows(0.4, 0.7, 0.8, 1.0),
        mistakes=[("each round started from the base again", rows(0.4, 0.7, 0.5, 0.6))],
        hint=2,
    )
    yield Case(
        "samples come from the current model",
        call="star(…)   # the models that sample got",
        got=lambda: (run(), [call[1] for call in calls if call[0] == "sample"])[1],
        expected=[("base",), ("base", "abc"), ("base", "d")],
        mistakes=[
            ("the base sampled in each round: then it is rejection sampling, and nothing grows",
             [("base",)] * 3),
        ],
        hint=1,
    )  # fmt: skip
    empty = {1: [(0, "ab")], 2: [], 3: [(2, "c")]}
    yield Case(
        "a round that keeps nothing keeps the current model, and is recorded",
        call="star(…)   # the second round keeps nothing",
        got=lambda: run(empty),
        expected=rows(0.4, 0.6, 0.6, 0.5, kept=(0, 1, 0, 1), solved=(0, 1, 0, 1)),
        mistakes=[
            ("after the empty round the model is the base again",
             rows(0.4, 0.6, 0.4, 0.5, kept=(0, 1, 0, 1), solved=(0, 1, 0, 1))),
            ("the loop stopped at the empty round; the next one may find something again",
             rows(0.4, 0.6, 0.6, kept=(0, 1, 0), solved=(0, 1, 0))),
            ("the loop stopped before the empty round was recorded",
             rows(0.4, 0.6, kept=(0, 1), solved=(0, 1))),
        ],
        hint=3,
    )  # fmt: skip
    yield Case(
        "finetune is not called without pairs",
        call="star(…)   # the second round keeps nothing; how often finetune was called",
        got=lambda: (run(empty), sum(call[0] == "finetune" for call in calls))[1],
        expected=2,
        mistakes=[("a fine-tuning on nothing is not asked for", 3)],
        hint=3,
    )
    yield Case(
        "no rounds: the base alone",
        call="star(base, problems, 0, …)",
        got=lambda: run(rounds=0),
        expected=rows(0.4),
        hint=3,
    )


# ---------------------------------------------------------------- majority_vote


@visible("majority_vote")
def majority_vote_cases(majority_vote):
    yield Case(
        "the most common answer",
        call="majority_vote([3, 7, 7, 5])",
        got=lambda: majority_vote([3, 7, 7, 5]),
        expected=7,
        mistakes=[("that is the first answer", 3), ("that is the last answer", 5)],
    )
    yield Case(
        "None has no vote",
        call="majority_vote([None, 4, None, None, 4, 6])",
        got=lambda: majority_vote([None, 4, None, None, 4, 6]),
        expected=4,
        mistakes=[("None is no answer: drop it before you count", None)],
    )
    yield Case(
        "of equals the one that was seen first",
        call="majority_vote([9, 2, 2, 9, 5])",
        got=lambda: majority_vote([9, 2, 2, 9, 5]),
        expected=9,
        mistakes=[
            ("that is the smallest of them", 2),
            ("that is not the first of them", 2),
        ],
        hint=2,
    )
    yield Case(
        "zero is an answer",
        call="majority_vote([0, 0, 1])",
        got=lambda: majority_vote([0, 0, 1]),
        expected=0,
        mistakes=[("0 is false in Python, and still an answer: ask `is not None`", 1)],
        hint=3,
    )
    for answers in ([], [None, None]):
        yield Case(
            "nobody to vote for",
            call=f"majority_vote({answers})",
            got=lambda answers=answers: majority_vote(answers),
            expected=None,
            hint=2,
        )
    equal = [Decimal("5"), 8, Decimal("5.0"), 8, Decimal("5.00")]
    yield Case(
        "answers that are == vote together",
        call="majority_vote([Decimal('5'), 8, Decimal('5.0'), 8, Decimal('5.00')])",
        got=lambda: majority_vote(equal),
        expected=Decimal("5"),
        mistakes=[("5, 5.0 and 5.00 are one answer: compare with ==, not as text", 8)],
        hint=2,
        unchanged=(equal,),
    )
