"""Visible checks of 04_gsm8k_lora. Small texts whose answers one sees with the naked eye."""

import copy
import functools
import json
import tempfile
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from course_lib.checking import Case, visible

SHELLS = {
    "question": "Ann has 12 shells. She finds 7 more and gives half to Ben. How many?",
    "answer": "Ann has 12+7=<<12+7=19>>19 shells.\nHalf is 19/2=<<19/2=9.5>>9.5.\n#### 9.5",
}
PLUMS = {"question": "3 bags of 4 plums?", "answer": "3*4=<<3*4=12>>12 plums.\n#### 12"}
COINS = {"question": "900 + 180 coins?", "answer": "900+180=<<900+180=1080>>1080.\n#### 1,080"}


# ---------------------------------------------------------------- to_prompt_completion


@visible("to_prompt_completion")
def to_prompt_completion_cases(to_prompt_completion):
    question, answer = PLUMS["question"], PLUMS["answer"]
    right = {"prompt": "3 bags of 4 plums?\n", "completion": answer}
    yield Case(
        "the prompt is the question and a newline, the completion the answer",
        call="to_prompt_completion(row)   # a row of GSM8K",
        got=lambda: to_prompt_completion(PLUMS),
        expected=right,
        mistakes=[
            ("the newline at the end of the prompt is missing", {**right, "prompt": question}),
            ("the prompt is the question and ONE newline", {**right, "prompt": f"{question}\n\n"}),
            (
                "nothing is to be added to the answer: the trainer appends the end of the text",
                {**right, "completion": f"{answer}<|endoftext|>"},
            ),
            ("the row's own keys are still there: return the two new ones", {**PLUMS, **right}),
            ("the prompt is not part of the completion",
             {**right, "completion": f"{question}\n{answer}"}),
        ],
        unchanged=(PLUMS,),
    )  # fmt: skip
    bare = "Ann has 12+7=19 shells.\nHalf is 19/2=9.5.\n#### 9.5"
    yield Case(
        "keep_calculator=False takes each <<…>> out, and nothing else",
        call="to_prompt_completion(row, keep_calculator=False)['completion']",
        got=lambda: to_prompt_completion(SHELLS, keep_calculator=False)["completion"],
        expected=bare,
        mistakes=[
            ("the annotations are still there", SHELLS["answer"]),
            (
                "all from the first << to the last >> is gone: .* takes as much as it can, "
                ".*? as little",
                "Ann has 12+7=9.5.\n#### 9.5",
            ),
            (
                "the numbers after the annotations are gone, too",
                "Ann has 12+7= shells.\nHalf is 19/2=.\n#### 9.5",
            ),
            ("the line with #### belongs to the answer", bare.partition("\n####")[0]),
            ("<< and >> are gone, but what stood between them is still there",
             SHELLS["answer"].replace("<<", "").replace(">>", "")),
        ],
        hint=2,
        unchanged=(SHELLS,),
    )  # fmt: skip
    two = {"question": "?", "answer": "6*2=<<6*2=12>>12 and 12+1=<<12+1=13>>13\n#### 13"}
    yield Case(
        "two annotations in one line",
        call="to_prompt_completion(row, keep_calculator=False)['completion']",
        got=lambda: to_prompt_completion(two, keep_calculator=False)["completion"],
        expected="6*2=12 and 12+1=13\n#### 13",
        mistakes=[
            (
                "all from the first << to the last >> is gone: use .*? or [^>]*",
                "6*2=13\n#### 13",
            ),
            ("only the first annotation is gone", "6*2=12 and 12+1=<<12+1=13>>13\n#### 13"),
        ],
        hint=2,
    )
    yield Case(
        "without being asked, the annotations stay",
        call="to_prompt_completion(row)['completion']",
        got=lambda: to_prompt_completion(SHELLS)["completion"],
        expected=SHELLS["answer"],
        mistakes=[("keep_calculator is True unless it is said", bare)],
    )


# ---------------------------------------------------------------- extract_answer


@visible("extract_answer")
def extract_answer_cases(extract_answer):
    def one(title, text, mode, want, *mistakes, hint=2):
        return Case(
            title,
            call=f"extract_answer({text!r}, {mode!r})",
            got=lambda: _number(extract_answer(text, mode)),
            expected=want,
            mistakes=[(m, v) for m, v in mistakes],
            hint=hint,
        )

    yield Case(
        "the result is a Decimal",
        call="extract_answer('so\\n#### 18', 'strict')",
        got=lambda: extract_answer("so\n#### 18", "strict"),
        verify=lambda got: (
            None
            if type(got) is Decimal and got == 18
            else "it should be Decimal('18'): a float cannot hold 0.1, a str cannot be compared"
        ),
    )
    strict = functools.partial(one, mode="strict")
    yield strict("thousands commas", "#### 1,080", want="1080", hint=2)
    yield strict("no space is needed", "####18", want="18", hint=3)
    yield strict("a $ sign", "#### $18", want="18")
    yield strict("the period that ends the sentence", "#### 18.", want="18")
    yield strict("decimals", "#### 18.50 dollars", want="18.5")
    yield one("a negative amount, the minus before the $", "#### -$5", "strict", "-5",
              ("the minus before the $ is lost", "5"))  # fmt: skip
    yield strict("per cent", "#### 25%", want="25")
    yield one("the first #### counts", "#### 18\n#### 20", "strict", "18",
              ("that is the second ####", "20"), hint=3)  # fmt: skip
    yield one("no ####, no strict answer", "The answer is 18.", "strict", "None",
              ("strict only looks behind ####", "18"), hint=1)  # fmt: skip
    yield one("#### without a number behind it", "#### none of the 3", "strict", "None",
              ("3 is not RIGHT after the ####: re.match, not re.search", "3"), hint=3)  # fmt: skip
    yield one("flexible takes the last number", "The 3 boxes cost $1,080.", "flexible", "1080",
              ("the number is cut at its comma", "80"),
              ("that is the first number", "3"))  # fmt: skip
    yield one("flexible: the strict answer comes first", "#### 18 apples in 3 days", "flexible",
              "18", ("there is a #### here: its number counts, not the last one", "3"),
              hint=1)  # fmt: skip
    yield one("10-12 ends in 12", "between 10-12", "flexible", "12",
              ("a - right behind a digit is no sign", "-12"))  # fmt: skip
    yield one("a real minus", "It fell to -12 degrees.", "flexible", "-12",
              ("the sign is lost", "12"))  # fmt: skip
    yield one("dots are no number", "5 left...", "flexible", "5")
    yield one("the next question is not the answer", "It is 18.\nQuestion: 99 cows?", "flexible",
              "18",
              ("a base model goes on with a question of its own: cut there", "99"))  # fmt: skip
    yield one("the cut comes first", "It is 18.\nQuestion: why?\n#### 99", "strict", "None",
              ("that #### stands behind the cut", "99"))  # fmt: skip
    yield one("nothing there", "I do not know.", "flexible", "None", hint=1)
    yield Case(
        "another mode is refused",
        call="extract_answer('#### 18', 'loose')",
        got=lambda: extract_answer("#### 18", "loose"),
        raises=ValueError,
        hint=1,
    )


def _number(value):
    """A Decimal as text, without zeros at its end; other results as they are."""
    if value is None:
        return "None"
    if not isinstance(value, Decimal):
        return value
    whole = value == value.to_integral_value()
    return str(int(value)) if whole else str(value.normalize())


# ---------------------------------------------------------------- is_correct


@visible("is_correct")
def is_correct_cases(is_correct):
    for title, args, want, mistake in [
        ("a whole GSM8K answer as gold", ("It is 12.", PLUMS["answer"]), True, ""),
        ("numbers, not strings: 12.00 is 12", ("#### 12.00", "12"), True,
         "12.00 and 12 are the same number"),
        ("gold with a comma", ("#### 1080", "1,080"), True, "read the gold text as a number"),
        ("gold as an int", ("#### 18", 18), True, ""),
        ("gold as a float", ("#### 0.1", 0.1), True,
         "Decimal(0.1) is not 0.1: convert the float through str"),
        ("gold as a Decimal", ("#### 2.5", Decimal("2.50")), True, ""),
        ("another number", ("#### 19", 18), False, ""),
        ("no answer", ("I give up.", 18), False, "a text without a number is never correct"),
        ("no answer to a gold text without a number", ("I give up.", "no number"), False,
         "None == None is True in Python: a text without an answer is never correct"),
        ("strict wants the ####", ("It is 18.", 18, "strict"), False,
         "the mode must reach extract_answer"),
        ("strict, but the gold is plain text", ("#### 18", "18", "strict"), True,
         "the gold text is always read in the flexible mode"),
    ]:  # fmt: skip
        yield Case(
            title,
            call=f"is_correct({', '.join(repr(a) for a in args)})",
            got=lambda args=args: is_correct(*args),
            expected=want,
            mistakes=[(mistake, not want)] if mistake else [],
            hint=2,
        )


# ---------------------------------------------------------------- wilson_interval


def _inside(share, successes, n, z):
    """Whether `share` is in the interval, by its definition: the observed share is within z
    standard errors of it, with the standard error of `share` itself."""
    observed = Fraction(successes, n)
    return (observed - share) ** 2 <= Fraction(z) ** 2 * share * (1 - share) / n


def _by_bisection(successes, n, z):
    """Both ends of the interval, to 60 bits."""
    ends = []
    for outside in (Fraction(0), Fraction(1)):
        inside, far = Fraction(successes, n), outside
        if _inside(far, successes, n, z):
            ends.append(float(far))
            continue
        for _ in range(60):
            middle = (inside + far) / 2
            if _inside(middle, successes, n, z):
                inside = middle
            else:
                far = middle
        ends.append(float(inside))
    return tuple(ends)


@visible("wilson_interval")
def wilson_interval_cases(wilson_interval):
    for successes, n, z in [(30, 100, "1.96"), (50, 100, "1.96"), (7, 12, "1.96"), (3, 9, "1")]:
        low, high = _by_bisection(successes, n, z)
        p = successes / n
        half = float(z) * (p * (1 - p) / n) ** 0.5
        arguments = f"{successes}, {n}" + ("" if z == "1.96" else f", z={z}")
        yield Case(
            f"{successes} of {n}",
            call=f"wilson_interval({arguments})",
            got=lambda s=successes, n=n, z=z: wilson_interval(s, n, float(z)),
            expected=(low, high),
            mistakes=[
                ("that is p ± z·sqrt(p(1-p)/n), the simple interval", (p - half, p + half)),
                ("these are the middle and the half width", ((low + high) / 2, (high - low) / 2)),
            ],
            hint=2,
            rtol=1e-6,
        )
    yield Case(
        "0 of 20: from exactly 0 up, and not only 0",
        call="wilson_interval(0, 20)",
        got=lambda: wilson_interval(0, 20),
        verify=lambda got: (
            None
            if got[0] == 0 and abs(got[1] - _by_bisection(0, 20, "1.96")[1]) < 1e-6
            else "none right in 20 does not prove a rate of 0: the upper end is about 0.16"
        ),
        hint=2,
    )
    yield Case(
        "20 of 20: never above 1",
        call="wilson_interval(20, 20)",
        got=lambda: wilson_interval(20, 20),
        verify=lambda got: (
            None
            if got[1] <= 1
            and got[1] > 0.999999
            and abs(got[0] - _by_bisection(20, 20, "1.96")[0]) < 1e-6
            else "the interval should go from about 0.84 to 1, and not beyond"
        ),
        hint=2,
    )
    for successes, n in [(0, 0), (5, 4), (-1, 4)]:
        yield Case(
            f"{successes} of {n} is refused",
            call=f"wilson_interval({successes}, {n})",
            got=lambda s=successes, n=n: wilson_interval(s, n),
            raises=ValueError,
            hint=1,
        )


# ---------------------------------------------------------------- evaluate

ROWS = [
    {"question": f"{a} and {b}?", "answer": f"{a}+{b}=<<{a}+{b}={a + b}>>{a + b}\n#### {a + b}"}
    for a, b in [(1, 2), (3, 4), (5, 6), (7, 8), (9, 1)]
]
TEXTS = {
    "1 and 2?\n": ("1+2=3\n#### 3", True),  # right in both modes
    "3 and 4?\n": ("The answer is 7.", True),  # flexible only
    "5 and 6?\n": ("#### 12", True),  # wrong
    "7 and 8?\n": ("I do not know.", False),  # no answer
    "9 and 1?\n": ("#### 10", False),  # right, but it did not stop
}
SHARES = {"strict": 0.4, "flexible": 0.6, "no_answer": 0.2, "stop_rate": 0.6, "n": 5}


def _scripted(calls=None):
    def generate(prompts):
        if calls is not None:
            calls.append(list(prompts))
        return [TEXTS.get(prompt, ("?", False)) for prompt in prompts]

    return generate


@visible("evaluate")
def evaluate_cases(evaluate):
    no_texts = "every text was unknown: the prompts are not the question and a newline"
    yield Case(
        "five answers, one of each kind",
        call="evaluate(generate, rows)",
        got=lambda: evaluate(_scripted(), ROWS),
        expected=SHARES,
        mistakes=[
            (no_texts, {**dict.fromkeys(SHARES, 0.0), "no_answer": 1.0, "n": 5}),
            (
                "you divided by the number of texts that HAVE an answer",
                {**SHARES, "strict": 0.5, "flexible": 0.75},
            ),
            ("these are counts, not shares",
             {"strict": 2, "flexible": 3, "no_answer": 1, "stop_rate": 3, "n": 5}),
            ("no_answer counts what the FLEXIBLE mode does not find", {**SHARES, "no_answer": 0.4}),
            ("stop_rate is the share that stopped, not of those that ran on",
             {**SHARES, "stop_rate": 0.4}),
        ],
        hint=2,
        unchanged=(ROWS,),
    )  # fmt: skip

    def sizes(got):
        lengths = [len(call) for call in got]
        if lengths == [2, 2, 1]:
            return None
        if sum(lengths) < 5:
            return f"only {sum(lengths)} of 5 prompts were generated: the last batch may be shorter"
        return f"generate was called with {lengths} prompts, it should be 2, 2 and 1"

    def calls_of(*more):
        calls = []
        evaluate(_scripted(calls), ROWS, *more)
        return calls

    yield Case(
        "batches of at most batch_size",
        call="evaluate(generate, rows, 2)",
        got=lambda: calls_of(2),
        verify=sizes,
        hint=3,
    )
    yield Case(
        "the prompts are those of the training",
        call="evaluate(generate, rows)",
        got=lambda: [prompt for call in calls_of() for prompt in call],
        expected=list(TEXTS),
        mistakes=[("the newline at the end is missing", [p.strip() for p in TEXTS])],
        hint=2,
    )
    yield Case(
        "the result does not depend on the batch size",
        call="evaluate(generate, rows, batch_size=3)",
        got=lambda: evaluate(_scripted(), ROWS, batch_size=3),
        expected=SHARES,
        hint=2,
    )
    yield Case(
        "no examples",
        call="evaluate(generate, [])",
        got=lambda: evaluate(_scripted(), []),
        raises=ValueError,
        hint=3,
    )


# ---------------------------------------------------------------- make_trainer


@visible("make_trainer")
def make_trainer_cases(make_trainer):
    from course_lib.models import load_base
    from course_lib.quiet import quiet

    model, tokenizer = load_base("cpu")
    pair = {"prompt": f"{PLUMS['question']}\n", "completion": PLUMS["answer"]}
    made = {}  # building a trainer takes a second: one for each kind of rows

    def trainer(rows, **overrides):
        key = str((rows, overrides))
        if key not in made:
            with quiet():
                made[key] = make_trainer(
                    copy.deepcopy(model), tokenizer, rows, scratch, use_cpu=True, **overrides
                )
        return made[key]

    def first_labels(built):
        row = built.train_dataset[0]
        if "labels" not in row:
            return "the trainer's rows have no labels: TRL did not see prompt and completion"
        text = tokenizer.decode([i for i in row["labels"] if i != -100])
        want = PLUMS["answer"] + tokenizer.eos_token
        if text == want:
            return None
        if -100 not in row["labels"]:
            return "no label is -100: the question is trained, too. Give the columns prompt and \
completion"
        return f"trained is {text!r}, it should be the answer and the end-of-text token"

    def adapter(built):
        configs = getattr(built.model, "peft_config", {})
        if not configs:
            return "there is no adapter: give SFTTrainer a peft_config"
        config = next(iter(configs.values()))
        targets = {"q_proj", "k_proj", "v_proj", "o_proj"}
        found = (config.r, config.lora_alpha, set(config.target_modules))
        if found != (16, 32, targets):
            names = ", ".join(sorted(found[2]))
            return f"r is {found[0]}, alpha {found[1]}, on {names}: asked are 16, 32, q/k/v/o"
        return None

    with tempfile.TemporaryDirectory() as scratch:
        yield Case(
            "LoRA, r = 16 and alpha = 32, on q, k, v and o",
            call="make_trainer(model, tokenizer, rows, folder).model",
            got=lambda: trainer([PLUMS, COINS]),
            verify=adapter,
            hint=3,
        )
        yield Case(
            "trained are the answer and the end-of-text token",
            call="make_trainer(model, tokenizer, rows, folder).train_dataset[0]['labels']",
            got=lambda: trainer([PLUMS, COINS]),
            verify=first_labels,
            hint=2,
        )
        yield Case(
            "rows that are prompt and completion already",
            call="make_trainer(model, tokenizer, [{'prompt': …, 'completion': …}], folder)",
            got=lambda: trainer(
                [{"prompt": "3 bags of 4 plums?\n", "completion": PLUMS["answer"]}]
            ),
            verify=first_labels,
            hint=3,
        )
        yield Case(
            "the learning rate is 2e-4",
            call="make_trainer(model, tokenizer, rows, folder).args.learning_rate",
            got=lambda: trainer([PLUMS, COINS]).args.learning_rate,
            expected=2e-4,
            mistakes=[("that is TRL's default", 2e-5), ("that is transformers' default", 5e-5)],
            hint=3,
        )
        yield Case(
            "overrides win",
            call="make_trainer(…, learning_rate=1e-3, max_length=64).args",
            got=lambda: _settings(trainer([pair], learning_rate=1e-3, max_length=64).args),
            expected=(1e-3, 64),
            mistakes=[("the overrides come before your settings: put them last", (2e-4, 64))],
            hint=2,
        )


def _settings(args):
    return args.learning_rate, args.max_length


# ---------------------------------------------------------------- gsm8k_run


@visible("gsm8k_run")
def gsm8k_run_cases(gsm8k_run):
    better = {prompt: (f"#### {row['answer'].rpartition(' ')[2]}", True)
              for prompt, row in zip(TEXTS, ROWS, strict=True)}  # fmt: skip
    facts = {"model": "scripted", "seed": 0}

    def after(prompts):
        return [better.get(prompt, ("?", False)) for prompt in prompts]

    def made():
        with tempfile.TemporaryDirectory() as folder:
            returned = gsm8k_run(_scripted(), after, ROWS, Path(folder) / "new", facts)
            files = {path.name: path.read_text() for path in (Path(folder) / "new").iterdir()}
        return returned, files

    def names(got):
        missing = {"gsm8k_results.json", "gsm8k_predictions.jsonl"} - set(got[1])
        return f"{', '.join(sorted(missing))} was not written" if missing else None

    def results(got):
        written = json.loads(got[1]["gsm8k_results.json"])
        if written != json.loads(json.dumps(got[0])):
            return "what is returned is not what gsm8k_results.json holds"
        if written.get("facts") != facts or written.get("n") != 5:
            return "facts and n must be there as they are"
        for phase, wanted in (("before", SHARES), ("after", {"strict": 1, "flexible": 1,
                              "no_answer": 0, "stop_rate": 1})):  # fmt: skip
            for key in ("strict", "flexible", "no_answer", "stop_rate"):
                share = written[phase][key]
                if abs(share - wanted[key]) > 1e-9:
                    return f"{phase}: {key} is {share}, it should be {wanted[key]}"
                interval = written[phase]["intervals"][key]
                expected = _by_bisection(round(wanted[key] * 5), 5, "1.96")
                if max(abs(g - e) for g, e in zip(interval, expected, strict=True)) > 1e-6:
                    return f"{phase}: the interval of {key} is not wilson_interval(…, 5)"
        return None

    def predictions(got):
        lines = [json.loads(line) for line in got[1]["gsm8k_predictions.jsonl"].split("\n") if line]
        if len(lines) != 10:
            return f"there are {len(lines)} lines, it should be 10: 2 phases of 5 examples"
        for line in lines:
            wanted = {"phase", "index", "question", "gold", "text", "stopped"}
            if not wanted <= set(line):
                return f"a line lacks {', '.join(sorted(wanted - set(line)))}"
            row, prompt = ROWS[line["index"]], list(TEXTS)[line["index"]]
            texts = {"before": TEXTS, "after": better}
            if (line["question"], line["gold"]) != (row["question"], row["answer"]):
                return f"index {line['index']}: question and gold are not those of that example"
            if (line["text"], line["stopped"]) != texts[line["phase"]][prompt]:
                return f"{line['phase']}, index {line['index']}: not what generate gave there"
        if len({(line["phase"], line["index"]) for line in lines}) != 10:
            return "a line is there twice"
        return None

    for title, verify, hint in (
        ("both files are written, into a folder that was not there", names, 3),
        ("gsm8k_results.json holds the shares and their intervals", results, 3),
        ("gsm8k_predictions.jsonl holds every text", predictions, 2),
    ):
        yield Case(
            title,
            call="gsm8k_run(before, after, rows, folder, facts)",
            got=made,
            verify=verify,
            hint=hint,
        )
    yield Case(
        "facts is not changed",
        call="gsm8k_run(before, after, rows, folder, facts)",
        got=lambda: made() and facts,
        expected={"model": "scripted", "seed": 0},
    )
