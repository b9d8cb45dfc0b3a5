"""Hidden tests of 04_gsm8k_lora.

Texts are made from parts whose reading is agreed (see extract_answer's docstring); what two careful
readers could read in two ways (1/2, 1e3, `10 -12`) is never asked. The scores of a run are computed
from its texts by `score` below, which shares no code with the student's functions; so are the
scores of the files that are handed in beside the notebook, or of the published run in their place.
"""

import builtins
import hashlib
import importlib
import json
import math
import os
import re
import tempfile
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

import torch

import autograder
import course_lib
from autograder.judging import (
    Fail,
    check_close,
    check_equal,
    check_raises,
    check_type,
    hidden,
)
from course_lib.problems import make_problems

# fmt: off
WORDS = [
    "so", "then", "she", "has", "the", "boxes", "together", "and", "each", "of", "them", "costs",
    "more", "than", "what", "Tom", "paid", "for", "lunch", "which", "leaves", "half", "to", "his",
]
# fmt: on


def words(draw, low=2, high=7):
    return " ".join(draw.choice(WORDS) for _ in range(draw.integers(low, high)))


def gsm8k_row(draw, value=None):
    """A row like GSM8K's, with annotations, its answer an integer (perhaps with commas)."""
    a, b = draw.integers(2, 900), draw.integers(2, 900)
    value = a + b if value is None else value
    steps = f"{words(draw)} {a}+{b}=<<{a}+{b}={a + b}>>{a + b} {words(draw)}."
    return {
        "question": f"{words(draw).capitalize()} {a}, {words(draw)} {b}. How many?",
        "answer": f"{steps}\n{words(draw)}\n#### {value:,}",
    }


# ---------------------------------------------------------------- to_prompt_completion


def annotated(draw, parts):
    """(answer with annotations, answer without) with `parts` annotations, some in one line."""
    full, bare = "", ""
    for i in range(parts):
        a, b = draw.integers(2, 90), draw.integers(2, 90)
        sign, value = draw.choice([("+", a + b), ("*", a * b), ("-", a - b)])
        text = f"{words(draw)} {a}{sign}{b}="
        end = "." if i % 2 else ".\n"
        full += f"{text}<<{a}{sign}{b}={value}>>{value}{end}"
        bare += f"{text}{value}{end}"
    last = f"\n#### {draw.integers(1000, 99999):,}"
    return full + last, bare + last


@hidden(
    "to_prompt_completion",
    "the prompt is the question and a newline, the completion the answer",
    weight=3,
    core=True,
    hint="{'prompt': question + newline, 'completion': answer}: nothing stripped, nothing added.",
)
def pair(student, draw):
    for _ in range(3):
        row = gsm8k_row(draw)
        want = {"prompt": row["question"] + "\n", "completion": row["answer"]}
        check_equal(student.to_prompt_completion(row), want)
        check_equal(student.to_prompt_completion(row, True), want)


@hidden(
    "to_prompt_completion",
    "keep_calculator=False takes out every annotation and nothing else",
    weight=3,
    hint="Each <<...>> by itself: what follows it stays, and a greedy pattern also takes the text "
    "between two of them.",
)
def no_calculator(student, draw):
    for parts in (1, 2, 5, 40):
        full, bare = annotated(draw, parts)
        row = {"question": f"{words(draw)}?", "answer": full}
        got = student.to_prompt_completion(row, keep_calculator=False)
        want = {"prompt": row["question"] + "\n", "completion": bare}
        check_equal(got, want, f"with {parts} annotation{'s' * (parts > 1)}, the result")
        check_equal(student.to_prompt_completion(row)["completion"], full)
    a, b = draw.integers(2, 90), draw.integers(11, 99)
    full = f"A quarter: <<{a}*.25={a * 0.25}>>{a * 0.25}, or <<({b} + {a})/2>>some, <<{b}%>>{b}%."
    got = student.to_prompt_completion({"question": "?", "answer": full}, keep_calculator=False)
    check_equal(got["completion"], f"A quarter: {a * 0.25}, or some, {b}%.", "decimals, spaces, %")
    bare = annotated(draw, 2)[1]
    row = {"question": "?", "answer": bare}
    check_equal(student.to_prompt_completion(row, False)["completion"], bare, "no annotation")


@hidden(
    "to_prompt_completion",
    "spaces, blank lines, < and > that are no annotation stay as they are",
    hint="Do not strip. 3 < 5 and 7 > 2 have single signs.",
)
def verbatim(student, draw):
    a, b = draw.integers(2, 50), draw.integers(51, 99)
    answer = (
        f" {a} < {b}  and {b} >> {a}:\n\n{a}+1=<<{a}+1={a + 1}>>{a + 1} >> {b} ½\xa0\n#### {a}\n"
    )
    row = {"question": f"  {words(draw)} <b> <<1+1=2>>½\xa0?\n", "answer": answer, "id": 7}
    bare = re.sub(r"<<[^>]*>>", "", answer)
    want = {"prompt": row["question"] + "\n", "completion": answer}
    check_equal(student.to_prompt_completion(row), want)
    want = {**want, "completion": bare}
    check_equal(student.to_prompt_completion(row, keep_calculator=False), want)


@hidden(
    "to_prompt_completion",
    "the row is not changed",
    weight=0.5,
    hint="Build a new dict; do not write into the one you get.",
)
def row_stays(student, draw):
    row = {**gsm8k_row(draw), "id": draw.integers(0, 99)}
    _, after = student.call_and_inspect("to_prompt_completion", row, False)
    check_equal(after[0], row, "the row after the call")


# ---------------------------------------------------------------- extract_answer


def check_number(got, want, what=""):
    if want is None:
        if got is not None:
            raise Fail("an answer where there is none")
        return
    if got is None:
        raise Fail(f"no answer found{what and ': '}{what}")
    check_type(got, Decimal, what)
    if got != want:
        raise Fail(f"wrong number{what and ': '}{what}")


def integer(draw, largest=999):
    return draw.integers(2, largest + 1)


def forms(draw):
    """(how a number is written, its value, what is special about it)."""
    n, big, huge = integer(draw), draw.integers(1_000, 999_999), draw.integers(10**6, 10**9)
    cents = draw.choice([c for c in range(1, 100) if c % 25])  # none that a float holds exactly
    return [
        (f"{n}", Decimal(n), "a plain number"),
        (f"{big:,}", Decimal(big), "thousands commas"),
        (f"${n}", Decimal(n), "a $ sign"),
        (f"${huge:,}.{cents:02d}", Decimal(f"{huge}.{cents:02d}"), "$, commas and decimals"),
        (f"{n}.{cents:02d}", Decimal(f"{n}.{cents:02d}"), "decimals"),
        (f"{n}%", Decimal(n), "per cent"),
        (f"{n}.5%", Decimal(f"{n}.5"), "per cent with decimals"),
        (f"-{n}", Decimal(-n), "a minus"),
        (f"-${n}", Decimal(-n), "a minus before the $"),
        (f"-{big:,}", Decimal(-big), "a minus and commas"),
    ]


@hidden(
    "extract_answer",
    "strict: the number right after ####",
    weight=3,
    core=True,
    hint="text.partition('####')[2] is what follows; match the number at its beginning.",
)
def strict_plain(student, draw):
    for gap in (" ", "", "   "):
        n, other = integer(draw), integer(draw)
        text = f"{words(draw)} {other} {words(draw)}\n####{gap}{n}"
        check_number(student.extract_answer(text, "strict"), Decimal(n))
        check_number(student.extract_answer(f"{text}\n{words(draw)} {other}", "strict"), Decimal(n))
    check_number(student.extract_answer(f"{words(draw)}. The answer is {n}.", "strict"), None)
    check_number(student.extract_answer(words(draw), "strict"), None)


@hidden(
    "extract_answer",
    "strict: commas, $, %, sign, decimals, the period at the end",
    weight=3,
    hint="Allow a sign, then $, then digits with or without commas; decimals need a digit after "
    "the point.",
)
def strict_forms(student, draw):
    for written, value, what in forms(draw):
        for end in ("", ".", " dollars in 7 days.", ".\n", ")"):
            text = f"{words(draw)}\n#### {written}{end}"
            check_number(student.extract_answer(text, "strict"), value, what)


@hidden(
    "extract_answer",
    "flexible: the last number of a text without ####",
    weight=3,
    hint="re.finditer finds all numbers; take the last one.",
)
def flexible_last(student, draw):
    for written, value, what in forms(draw):
        for end in ("", ".", f" {words(draw)}.", "!", "..."):
            text = f"{words(draw)} {integer(draw)} {words(draw)} {written}{end}"
            check_number(student.extract_answer(text, "flexible"), value, what)
    text = f"{words(draw)} {integer(draw)}, {words(draw)} 5, {words(draw)}, {words(draw)}."
    check_number(student.extract_answer(text, "flexible"), Decimal(5), "a comma is no number")
    check_number(student.extract_answer(f"{words(draw)}, {words(draw)}.", "flexible"), None)
    check_number(student.extract_answer("", "flexible"), None)


@hidden(
    "extract_answer",
    "flexible: the strict answer first, the last number only without one",
    weight=2,
    hint="Try strict; if that finds nothing, look at the whole text.",
)
def flexible_order(student, draw):
    a, b, c = draw.sample(range(2, 900), 3)
    both = f"{words(draw)} {a}\n#### {b} {words(draw)} {c} days"
    check_number(student.extract_answer(both, "flexible"), Decimal(b))
    check_number(student.extract_answer(both, "strict"), Decimal(b))
    empty = f"{words(draw)} {a} {words(draw)}\n#### {words(draw)} {b}."
    check_number(student.extract_answer(empty, "strict"), None)
    check_number(student.extract_answer(empty, "flexible"), Decimal(b))
    check_number(student.extract_answer(f"{words(draw)} {a} boxes\n####", "flexible"), Decimal(a))
    check_number(student.extract_answer(f"{words(draw)} {a} boxes\n####", "strict"), None)


@hidden(
    "extract_answer",
    "the first #### counts",
    weight=1.5,
    hint="A model may go on after its answer, with another ####.",
)
def first_marker(student, draw):
    a, b = draw.sample(range(2, 900), 2)
    for mode in ("strict", "flexible"):
        text = f"#### {a}\n{words(draw)}\n#### {b}"
        check_number(student.extract_answer(text, mode), Decimal(a))
    check_number(student.extract_answer(f"#### {words(draw)}\n#### {b}", "strict"), None)
    check_number(student.extract_answer(f"{words(draw)} {b} #### {a}", "strict"), Decimal(a))


@hidden(
    "extract_answer",
    "a - behind a digit or a letter is no sign: 10-12 ends in 12",
    weight=1.5,
    hint="A lookbehind: the minus must follow neither a digit nor a letter, as in A-12.",
)
def no_sign(student, draw):
    a, b = draw.sample(range(2, 900), 2)
    two = f"{words(draw)} {a}-{b}"
    for text in (two, f"{two} {words(draw)}.", f"{words(draw)}-{b}", f"{a} boxes of A-{b}."):
        check_number(student.extract_answer(text, "flexible"), Decimal(b))
    check_number(student.extract_answer(f"{a}-{b}={a - b}", "flexible"), Decimal(a - b))
    check_number(student.extract_answer(f"{words(draw)} (-{b})", "flexible"), Decimal(-b))
    check_number(student.extract_answer(f"#### -{b}", "strict"), Decimal(-b))
    check_number(student.extract_answer(f"{words(draw)} = -{b}", "flexible"), Decimal(-b))


@hidden(
    "extract_answer",
    "all from a line that starts with Question: on is ignored",
    weight=2,
    hint="Cut the text first, in both modes. The words in the middle of a line do not cut.",
)
def question_cut(student, draw):
    a, b, c = draw.sample(range(2, 900), 3)
    rest = f"Question: {words(draw)} {b}?\n{words(draw)}\n#### {c}"
    for mode in ("strict", "flexible"):
        text = f"{words(draw)}\n#### {a}\n\n{rest}"
        check_number(student.extract_answer(text, mode), Decimal(a))
        check_number(student.extract_answer(rest, mode), None)
    text = f"{words(draw)} {a}.\n{rest}"
    check_number(student.extract_answer(text, "strict"), None)
    check_number(student.extract_answer(text, "flexible"), Decimal(a))
    inside = f"{words(draw)} {a}. The Question: {words(draw)}\n#### {b}"
    check_number(student.extract_answer(inside, "strict"), Decimal(b))
    other = f"{words(draw)} {a}.\nQuestions like this are {b}."
    check_number(student.extract_answer(other, "flexible"), Decimal(b))
    check_number(
        student.extract_answer(other.replace("Questions", "question:"), "flexible"), Decimal(b)
    )


@hidden(
    "extract_answer",
    "nothing is evaluated, every digit counts",
    weight=1,
    hint="A number is read, never computed: 3*4 ends in 4. Decimal, not float.",
)
def exact(student, draw):
    a, b = draw.sample(range(3, 60), 2)
    check_number(student.extract_answer(f"{words(draw)} {a}*{b}", "flexible"), Decimal(b))
    check_number(student.extract_answer(f"#### {a} * {b}", "strict"), Decimal(a))
    check_number(student.extract_answer("#### __import__", "strict"), None)
    digits = "".join(str(draw.integers(1, 10)) for _ in range(25))
    check_number(student.extract_answer(f"#### {digits}", "strict"), Decimal(digits))
    tenth = Decimal(f"{a}.1")
    check_number(student.extract_answer(f"#### {tenth}", "strict"), tenth)
    check_number(student.extract_answer(f"#### {a}.00", "strict"), Decimal(a))
    for mode in ("strict", "flexible"):
        text = f"{words(draw)} {b}\n#### 0 {words(draw)} {a}"
        check_number(student.extract_answer(text, mode), Decimal(0), "0 is a number")
    check_number(student.extract_answer(f"#### {a}.0625", "strict"), Decimal(f"{a}.0625"))
    check_number(student.extract_answer(f"#### 0{a}", "strict"), Decimal(a))  # no Python literal


@hidden(
    "extract_answer",
    "another mode is a ValueError, whatever the text",
    weight=1,
    hint="Check the mode first.",
)
def other_mode(student, draw):
    for text in (f"#### {integer(draw)}", "", words(draw)):
        for mode in ("loose", "Strict", "", None):
            check_raises("ValueError", student.extract_answer, text, mode)


# ---------------------------------------------------------------- is_correct


@hidden(
    "is_correct",
    "right and wrong answers against a number, a text, a whole GSM8K answer",
    weight=3,
    core=True,
    hint="Read a gold text with extract_answer; compare two Decimals.",
)
def golds(student, draw):
    n = draw.integers(1200, 9000)
    row = gsm8k_row(draw, n)
    for gold in (n, float(n), Decimal(n), str(n), f"{n:,}", row["answer"]):
        for text in (f"{words(draw)}\n#### {n}", f"{words(draw)}\n#### {n:,}"):
            check_equal(student.is_correct(text, gold), True)
            check_equal(student.is_correct(text, gold, "strict"), True)
        for other in (n + 1, -n, n * 10, str(n)[:-1]):
            check_equal(student.is_correct(f"#### {other}", gold), False)


@hidden(
    "is_correct",
    "equal as numbers, not as texts",
    weight=2,
    hint="18, 18.0 and 18.00 are one number; 0.1 is Decimal('0.1').",
)
def numeric(student, draw):
    n = integer(draw)
    for text, gold in [
        (f"#### {n}.00", n),
        (f"#### {n}", f"{n}.0"),
        (f"#### {n}.10", float(f"{n}.1")),
        ("#### 0.1", 0.1),
        (f"#### {n}.7", Decimal(f"{n}.70")),
        (f"#### -{n}", f"-{n}"),
        (f"#### -{n}", -n),
        ("#### 0", 0),
        (f"#### {n}", f"{n}%"),
    ]:
        check_equal(student.is_correct(text, gold), True)
    check_equal(student.is_correct(f"#### {n}.001", n), False)
    check_equal(student.is_correct(f"#### {n}.01", n), False)
    check_equal(student.is_correct("#### 0", 1), False)
    big = 10**17 + 16 * draw.integers(1, 50) + 2  # one float with the next number
    check_equal(student.is_correct(f"#### {big}", big), True)
    check_equal(student.is_correct(f"#### {big}", big + 1), False)


@hidden(
    "is_correct",
    "a text without an answer is never correct",
    weight=2,
    hint="None == None is True.",
)
def nothing(student, draw):
    for gold in (0, integer(draw), words(draw), "", gsm8k_row(draw)["answer"]):
        for mode in ("strict", "flexible"):
            check_equal(student.is_correct(f"{words(draw)}.", gold, mode), False)
    n = integer(draw)
    check_equal(student.is_correct(f"{words(draw)} {n}.", words(draw), "strict"), False)
    check_equal(student.is_correct(f"#### {words(draw)}\n{n}", n, "strict"), False)


@hidden(
    "is_correct",
    "the mode is for the text; the gold answer is found in any mode",
    weight=2,
    hint="Strict must reach extract_answer(text, mode). A gold text such as '18' has no ####.",
)
def modes(student, draw):
    n = integer(draw)
    text = f"{words(draw)}. The answer is {n}."
    for gold in (n, str(n)):
        check_equal(student.is_correct(text, gold), True, "by default flexible")
        check_equal(student.is_correct(text, gold, "flexible"), True)
        check_equal(student.is_correct(text, gold, "strict"), False)
        check_equal(student.is_correct(f"#### {n}", gold, mode="strict"), True)
    check_raises("ValueError", student.is_correct, text, n, "loose")


# ---------------------------------------------------------------- wilson_interval


def wilson(successes, n, z=1.96):
    """The two roots of n (p - share)^2 = z^2 share (1 - share)."""
    p = successes / n
    a, b, c = n + z * z, -(2 * n * p + z * z), n * p * p
    root = math.sqrt(max(0.0, b * b - 4 * a * c))
    return max(0.0, (-b - root) / (2 * a)), min(1.0, (-b + root) / (2 * a))


def check_interval(got, want, what=""):
    check_type(got, (tuple, list), what)
    check_close(list(got), list(want), rtol=1e-6, atol=1e-7, what=what)
    if not 0 <= got[0] <= got[1] <= 1:
        raise Fail("the ends are not in order, or outside of 0..1")


@hidden(
    "wilson_interval",
    "Wilson's formula",
    weight=3,
    core=True,
    hint="The middle is (p + z²/2n) / (1 + z²/n), not p. Mind the z²/4n² under the root.",
)
def formula(student, draw):
    for _ in range(8):
        n = draw.integers(3, 2000)
        k = draw.integers(1, n)
        check_interval(student.wilson_interval(k, n), wilson(k, n))
    check_type(student.wilson_interval(1, 3), tuple)


@hidden(
    "wilson_interval",
    "none and all: within 0..1, and not a single point",
    weight=2,
    hint="max(0.0, ...) and min(1.0, ...) against rounding.",
)
def ends(student, draw):
    for n in (*range(1, 60), draw.integers(60, 3000), 1319, 10**6):  # rounding depends on n
        for k in (0, n):
            check_interval(student.wilson_interval(k, n), wilson(k, n))


@hidden("wilson_interval", "another z", weight=1.5, hint="z is an argument; 1.96 is its default.")
def other_z(student, draw):
    for z in (1.0, 2.5758, draw.uniform(0.3, 4.0), 0.0):
        n = draw.integers(3, 300)
        k = draw.integers(1, n)
        check_interval(student.wilson_interval(k, n, z), wilson(k, n, z))
        check_interval(student.wilson_interval(k, n, z=z), wilson(k, n, z))


@hidden(
    "wilson_interval",
    "ValueError for n < 1 and for successes outside 0..n",
    weight=1.5,
    hint="Check before you divide.",
)
def refused(student, draw):
    n = draw.integers(1, 100)
    for k, m in ((0, 0), (1, 0), (n + 1, n), (-1, n), (0, -n), (-n, -n)):
        check_raises("ValueError", student.wilson_interval, k, m)
        # With a large z the root of a negative number does not raise it by chance.
        check_raises("ValueError", student.wilson_interval, k, m, 4.0)


# ---------------------------------------------------------------- evaluate

KINDS = ("right", "plain", "wrong", "marked", "wrong plain", "none", "early", "next question",
         "zero", "runs on")  # fmt: skip


def solution(draw, value, kind):
    """A text of one kind: (text, strict right, flexible right, no answer)."""
    other = value + draw.integers(1, 50)
    match kind:
        case "right":
            return f"{words(draw)}\n#### {value:,}", True, True, False
        case "plain":
            return f"{words(draw)} is {value}.", False, True, False
        case "wrong":
            return f"{words(draw)} {value}\n#### {other}", False, False, False
        case "marked":  # but not right after the mark
            return f"{words(draw)}\n#### {words(draw)} {value}", False, True, False
        case "wrong plain":
            return f"{words(draw)} {value} is {other}", False, False, False
        case "early":
            return f"{words(draw)} is {value}.\n{words(draw)}.", False, True, False
        case "next question":
            return f"{words(draw)}.\nQuestion: {words(draw)} {value}?", False, False, True
        case "zero":
            return f"{words(draw)}\n#### 0", False, False, False
        case "runs on":
            return f"#### {value}\n\nQuestion: {other}?\n#### {other}", True, True, False
    return f"{words(draw)}.", False, False, True


class Script:
    """Rows, a text for each, what the scores should be; `generate` notes how it is called."""

    def __init__(self, draw, n, rows=None):
        self.rows = rows or [
            {**row, "question": f"{i}: {row['question']}{' ' * (i % 3)}"}
            for i, row in enumerate(gsm8k_row(draw) for _ in range(n))
        ]
        self.texts, self.calls, self.unknown = {}, [], 0
        totals = [0, 0, 0, 0]
        for i, row in enumerate(self.rows):
            value = int(row["answer"].rpartition(" ")[2].replace(",", ""))
            kind = KINDS[i] if i < len(KINDS) else draw.choice(KINDS)
            text, *marks = solution(draw, value, kind)
            stopped = draw.choice([True, True, False])
            self.texts[row["question"] + "\n"] = (text, stopped)
            totals = [t + m for t, m in zip(totals, [*marks, stopped], strict=True)]
        keys = ("strict", "flexible", "no_answer", "stop_rate")
        self.counts = dict(zip(keys, totals, strict=True))
        self.shares = {k: v / len(self.rows) for k, v in self.counts.items()}

    def generate(self, prompts):
        prompts = list(prompts)
        self.calls.append(len(prompts))
        self.unknown += sum(p not in self.texts for p in prompts)
        return [self.texts.get(p, ("", False)) for p in prompts]

    def check_prompts(self):
        if self.unknown:
            raise Fail("the prompts are not those of the training")


@hidden(
    "evaluate",
    "strict and flexible accuracy over all examples",
    weight=3,
    core=True,
    hint="Divide by the number of all examples, those without an answer too.",
)
def accuracies(student, draw):
    for n in (7, 40):
        script = Script(draw, n)
        got = student.evaluate(script.generate, script.rows)
        script.check_prompts()
        check_type(got, dict)
        for key in ("strict", "flexible"):
            if key not in got:
                raise Fail(f"the key {key} is missing")
            check_close(got[key], script.shares[key], what=key)


@hidden(
    "evaluate",
    "no_answer, stop_rate and n, and no other keys",
    weight=2.5,
    hint="no_answer: extract_answer(text, 'flexible') is None. stop_rate: the share of stopped.",
)
def rates(student, draw):
    for n in (6, 33):
        script = Script(draw, n)
        got = student.evaluate(script.generate, script.rows)
        check_close(got, {**script.shares, "n": n})


@hidden(
    "evaluate",
    "batches: at most batch_size prompts at once, each example once",
    weight=2,
    hint="range(0, n, batch_size); the last batch is shorter. By default 16.",
)
def batches(student, draw):
    for n, size in ((37, None), (10, 4), (5, 1), (3, 20), (8, 4), (300, 64)):
        script = Script(draw, n)
        more = {} if size is None else {"batch_size": size}
        got = student.evaluate(script.generate, script.rows, **more)
        check_close(got, {**script.shares, "n": n})
        if max(script.calls) > (size or 16):
            raise Fail("generate got more prompts than batch_size")
        if min(script.calls) < 1:
            raise Fail("generate was called without prompts")
        if sum(script.calls) != n:
            raise Fail("not every example was generated exactly once")
        if len(script.calls) > -(-n // (size or 16)):
            raise Fail("more calls of generate than needed")


@hidden(
    "evaluate",
    "the answers belong to their examples",
    weight=1.5,
    hint="generate answers in the order of the prompts.",
)
def order(student, draw):
    rows = Script(draw, 20).rows
    texts = {r["question"] + "\n": (r["answer"], True) for r in rows}
    shifted = dict(zip(texts, [*list(texts.values())[1:], ("", True)], strict=True))
    for table, want in ((texts, 1.0), (shifted, None)):
        got = student.evaluate(lambda prompts, t=table: [t[p] for p in prompts], rows, 7)
        values = [r["answer"].rpartition(" ")[2] for r in rows]
        same = sum(a == b for a, b in zip(values, [*values[1:], None], strict=True)) / 20
        check_close(got["strict"], same if want is None else want)
    one, two = (r["question"] + "\n" for r in rows[:2])  # one is asked three times
    right = rows[0]["answer"]
    said = {one: [right, "no", right], two: [rows[1]["answer"]]}

    def in_turn(prompts):
        return [(said[p].pop(0), True) for p in prompts]

    got = student.evaluate(in_turn, [rows[0], *rows[:2], rows[0]], 3)
    check_close(got["strict"], 0.75, what="a question asked three times")
    check_equal(got["n"], 4, "n, where a question is asked three times")


@hidden(
    "evaluate",
    "ValueError for no examples; the examples stay as they are",
    weight=1,
    hint="Check for an empty list before you divide.",
)
def no_examples(student, draw):
    script = Script(draw, 5)
    check_raises("ValueError", student.evaluate, script.generate, [])
    script = Script(draw, 20)
    rows = student.put(script.rows)
    student.evaluate(script.generate, rows)
    check_equal(student.value(rows), script.rows, "the examples after the call")


# ---------------------------------------------------------------- make_trainer


@cache
def tokenizer():
    from transformers import AutoTokenizer

    from course_lib.models import TINY

    return AutoTokenizer.from_pretrained(TINY)


def small_model(draw):
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 3}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer()),
        **sizes,
        **heads,
        eos_token_id=tokenizer().eos_token_id,
        pad_token_id=tokenizer().pad_token_id,
        bos_token_id=None,
    )
    return draw.reset(LlamaForCausalLM(config), scale=0.1)


def build(student, draw, rows, **overrides):
    """A trainer in the student process, in a scratch folder: (handle, folder)."""
    folder = student.put(tempfile.mkdtemp)()
    check_type(folder, str)
    bars = student.put(importlib.import_module)("datasets").disable_progress_bars
    bars()
    overrides = {"use_cpu": True, "bf16": False, "disable_tqdm": True, **overrides}
    model = student.put(small_model(draw))
    trainer = student.make_trainer(model, tokenizer(), rows, folder, **overrides)
    if not student.isinstance(trainer, "trl:SFTTrainer"):
        raise Fail("the result is not a trl.SFTTrainer")
    return trainer, folder


def first_batch(student, trainer):
    loader = trainer.get_train_dataloader()
    batch = student.put(builtins.next)(student.put(builtins.iter)(loader))
    return batch["input_ids"], batch["labels"]


def trained_texts(student, trainer):
    """The set of (masked ids, trained ids) of the first batch, padding taken off."""
    ids, labels = first_batch(student, trainer)
    for tensor in (ids, labels):
        check_type(tensor, torch.Tensor, "the batch")
    if ids.shape != labels.shape or ids.dim() != 2:
        raise Fail("input_ids and labels of a batch differ in shape")
    found = set()
    for row, marks in zip(ids.tolist(), labels.tolist(), strict=True):
        seen = [i for i, m in enumerate(marks) if m != -100]
        if not seen:
            raise Fail("a row has no label at all")
        if seen != list(range(seen[0], seen[-1] + 1)):
            raise Fail("the labels of a row are not one piece")
        if [row[i] for i in seen] != [marks[i] for i in seen]:
            raise Fail("the labels are not the tokens at their places")
        pad = tokenizer().pad_token_id
        start = next(i for i, t in enumerate(row) if t != pad)
        found.add((tuple(row[start : seen[0]]), tuple(marks[i] for i in seen)))
    return found


def expected_texts(pairs):
    encode, end = tokenizer().encode, tokenizer().eos_token_id
    return {(tuple(encode(prompt)), (*encode(completion), end)) for prompt, completion in pairs}


def trainer_rows(draw, n, steps=1):
    """Rows whose prompt is a token prefix of prompt + completion; steps: how long an answer is."""
    rows = []
    while len(rows) < n:
        row = gsm8k_row(draw)
        more = "".join(gsm8k_row(draw)["answer"].partition("####")[0] for _ in range(steps - 1))
        row["answer"] = more + row["answer"]
        prompt = tokenizer().encode(row["question"] + "\n")
        both = tokenizer().encode(row["question"] + "\n" + row["answer"])
        if both == prompt + tokenizer().encode(row["answer"]):
            rows.append(row)
    return rows


@hidden(
    "make_trainer",
    "an SFTTrainer with LoRA: r = 16, alpha = 32, on q, k, v and o; nothing else is trained",
    weight=3,
    core=True,
    hint="SFTTrainer(..., peft_config=LoraConfig(r=16, lora_alpha=32, target_modules=[...])); the "
    "scale is plainly alpha / r.",
)
def adapter(student, draw):
    trainer, _ = build(student, draw, trainer_rows(draw, 3))
    parameters = student.parameters(trainer.model)
    trained = {name: value.shape for name, (value, trains) in parameters.items() if trains}
    if not trained:
        raise Fail("nothing is trained")
    if any("lora_" not in name for name in trained):
        raise Fail("more than the adapter is trained")
    places = {name.split(".lora_")[0].rpartition(".")[2] for name in trained}
    if places != {"q_proj", "k_proj", "v_proj", "o_proj"}:
        raise Fail("the adapters are not on q_proj, k_proj, v_proj and o_proj")
    if len(trained) != 2 * 4 * 3:
        raise Fail("the adapters are not in every layer")
    if {min(shape) for shape in trained.values()} != {12, 16} and any(
        16 not in shape for shape in trained.values()
    ):
        raise Fail("the rank is not 16")
    config = trainer.model.peft_config["default"]
    check_equal(config.r, 16, "r")
    if config.lora_alpha != 32:
        raise Fail("alpha is not 32")
    layer = trainer.model.base_model.model.model.layers[0].self_attn.q_proj
    check_close(layer.scaling["default"], 2.0, what="the scale of the adapter, alpha / r")


@hidden(
    "make_trainer",
    "GSM8K rows: trained are the completion and the end-of-text token, and nothing of the prompt",
    weight=3,
    hint="Give the trainer the columns prompt and completion, from to_prompt_completion.",
)
def labels(student, draw):
    rows = [*trainer_rows(draw, 3), *trainer_rows(draw, 1, steps=6)]
    given = student.put(rows)
    trainer, _ = build(student, draw, given, per_device_train_batch_size=4)
    check_equal(student.value(given), rows, "the rows after the call")
    pairs = [(r["question"] + "\n", r["answer"]) for r in rows]
    if trained_texts(student, trainer) != expected_texts(pairs):
        raise Fail("what is trained is not the completion and the end-of-text token")


@hidden(
    "make_trainer",
    "rows of prompt and completion, and a datasets.Dataset, are taken too",
    weight=2,
    hint="A row that has a completion stays as it is. Iterating a Dataset gives dicts.",
)
def other_rows(student, draw):
    rows = trainer_rows(draw, 3)
    pairs = [(r["question"] + "\n", r["answer"]) for r in rows]
    ready = [{"prompt": p, "completion": c} for p, c in pairs]
    make = student.put(importlib.import_module)("datasets").Dataset.from_list
    turned = [{"answer": r["answer"], "question": r["question"]} for r in rows]
    for given in (ready, make(rows), make(ready), make(turned)):
        trainer, _ = build(student, draw, given, per_device_train_batch_size=3)
        if trained_texts(student, trainer) != expected_texts(pairs):
            raise Fail("what is trained is not the completion and the end-of-text token")
    pairs, encode = [], tokenizer().encode
    while len(pairs) < 2:  # a prompt and a completion of another form stay as they are
        p, c = f" {words(draw)}?\nA:", f" {words(draw)} #### {integer(draw)}\n"
        if encode(p + c) == encode(p) + encode(c):
            pairs.append((p, c))
    ready = [{"prompt": p, "completion": c} for p, c in pairs]
    trainer, _ = build(student, draw, ready, per_device_train_batch_size=2)
    if trained_texts(student, trainer) != expected_texts(pairs):
        raise Fail("rows of prompt and completion were changed")


@hidden(
    "make_trainer",
    "learning rate 2e-4, and overrides win",
    weight=2.5,
    hint="SFTConfig(output_dir=output_dir, **{'learning_rate': 2e-4, ..., **overrides}).",
)
def overrides_win(student, draw):
    rows = trainer_rows(draw, 2)
    trainer, folder = build(student, draw, rows)
    check_close(trainer.args.learning_rate, 2e-4, what="learning_rate")
    check_equal(trainer.args.output_dir, folder, "output_dir")
    wanted = {
        "learning_rate": draw.uniform(1e-4, 1e-2),
        "per_device_train_batch_size": draw.integers(2, 9),
        "max_steps": draw.integers(3, 50),
        "max_length": draw.integers(40, 900),
        "gradient_accumulation_steps": draw.integers(2, 9),
        "seed": draw.integers(1, 1000),
        "warmup_steps": draw.integers(1, 9),
        "logging_steps": draw.integers(2, 99),
        "num_train_epochs": 7,
        "save_steps": draw.integers(2, 99),
        "completion_only_loss": False,
        "report_to": [],
    }
    trainer, _ = build(student, draw, rows, **wanted)
    for name, value in wanted.items():
        check_close(getattr(trainer.args, name), value, what=name)


@hidden(
    "make_trainer",
    "it trains the adapter, leaves the base, and saves the adapter only",
    weight=2,
    hint="trainer.save_model writes adapter_model.safetensors if the model has a peft adapter.",
)
def trains_and_saves(student, draw):
    from safetensors.torch import load

    rows = trainer_rows(draw, 4)
    trainer, folder = build(
        student, draw, rows, max_steps=2, per_device_train_batch_size=2, save_strategy="no"
    )
    before = student.parameters(trainer.model)
    if any(name.find("lora_B") >= 0 and value.any() for name, (value, _) in before.items()):
        raise Fail("the adapter is trained already: return a trainer on which nobody called train")
    trainer.train()
    after = student.parameters(trainer.model)
    for name, (value, _) in after.items():
        moved = not torch.equal(value, before[name][0])
        if "lora_" not in name and moved:
            raise Fail("a weight of the base has changed")
        if "lora_B" in name and not moved:
            raise Fail("an adapter has not learned anything")
    place = f"{folder}/saved"
    trainer.save_model(place)
    names = student.put(os.listdir)(place)
    check_type(names, list)
    if "adapter_model.safetensors" not in names:
        raise Fail("no adapter_model.safetensors is saved")
    if any(n.startswith(("model", "pytorch_model")) for n in names):
        raise Fail("the whole model is saved")
    data = student.put(Path.read_bytes)(Path(place, "adapter_model.safetensors"))
    check_type(data, bytes)
    if any("lora_" not in name for name in load(data)):
        raise Fail("the saved file holds more than the adapter")


# ---------------------------------------------------------------- gsm8k_run

RESULTS, PREDICTIONS = "gsm8k_results.json", "gsm8k_predictions.jsonl"
SHARES = ("strict", "flexible", "no_answer", "stop_rate")
PHASES = ("before", "after")
PUBLISHED = Path(course_lib.__file__).parent / "recorded" / "gsm8k_run"
GOLD = Path(autograder.__file__).parent / "hidden" / "gsm8k_gold.json"
LEAST = 100  # problems of a run that is handed in

NUMBER = r"(-?)(?:\$(-?))?((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"


def number_after(text):
    found = re.match(r" *" + NUMBER, text)
    return found and _decimal(found)


def _decimal(found):
    value = Decimal(found[3].replace(",", ""))
    return -value if "-" in (found[1], found[2]) else value


def answer(text, mode):
    """Our own reading of a text; see the docstring of extract_answer."""
    text = text.replace("−", "-")
    lines = text.split("\n")
    cut = next((i for i, line in enumerate(lines) if line.startswith("Question:")), len(lines))
    text = "\n".join(lines[:cut])
    _, mark, rest = text.partition("####")
    found = number_after(rest) if mark else None
    if found is not None or mode == "strict":
        return found
    last = None
    for match in re.finditer(NUMBER, text):
        value = _decimal(match)
        behind = text[match.start() - 1] if match.start() else " "
        if match[1] and (behind.isalnum() or behind == "_"):
            value = -value  # that - was no sign
        last = value
    return last


def score(rows):
    """(count of each share, n) for [(gold Decimal, text, stopped)]."""
    counts = dict.fromkeys(SHARES, 0)
    for gold, text, stopped in rows:
        flexible = answer(text, "flexible")
        counts["strict"] += answer(text, "strict") == gold
        counts["flexible"] += flexible == gold
        counts["no_answer"] += flexible is None
        counts["stop_rate"] += stopped
    return counts, len(rows)


def parse(data, name):
    """JSON of a file, or Fail: `data` is what the student's process or folder gave."""
    check_type(data, bytes, name)
    try:
        text = data.decode("utf-8")
        if name == RESULTS:
            return json.loads(text)
        # Not splitlines: JSON may hold \u2028 and \x85 as they are.
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except UnicodeDecodeError:
        raise Fail(f"{name} is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise Fail(f"{name} is not JSON, or cut short") from None


def check_claims(results, rows, slack=0.0):
    """Do the claimed shares follow from `rows`, phase -> [(gold, text, stopped)]?

    slack: the share of texts that a careful reader may read otherwise than we do. What a real model
    writes has 1/2, 1e3 and worse in it, on which extract_answer's rules are silent.
    """
    for phase in PHASES:
        counts, n = score(rows[phase])
        if type(results) is not dict or type(results.get("n")) is not int or results["n"] != n:
            raise Fail(f"{RESULTS}: n is not the number of examples")
        claims = claims_of(results, phase)
        for key in SHARES:
            claim = claims.get(key)
            if type(claim) not in (int, float):
                raise Fail(f"{RESULTS}: {phase}.{key} is missing or no number")
            most = 0.5 / n if key == "stop_rate" else max(0.5 / n, slack)
            if not abs(claim - counts[key] / n) <= most:
                raise Fail(f"{RESULTS}: {phase}.{key} is not what the texts give")


def check_intervals(results, n):
    """Are the intervals Wilson's, for the claimed shares?"""
    for phase in PHASES:
        claims = claims_of(results, phase)
        intervals = claims.get("intervals")
        if type(intervals) is not dict:
            raise Fail(f"{RESULTS}: {phase}.intervals is missing")
        for key in SHARES:
            got, want = intervals.get(key), wilson(min(n, max(0, round(claims[key] * n))), n)
            numbers = type(got) is list and all(type(x) in (int, float) for x in got)
            near = numbers and len(got) == 2 and math.dist(got, want) < 1e-4
            if not near:
                raise Fail(f"{RESULTS}: {phase}.intervals.{key} is not Wilson's interval")


def claims_of(results, phase):
    if type(results) is not dict or type(results.get(phase)) is not dict:
        raise Fail(f"{RESULTS}: there is no object {phase}")
    return results[phase]


def check_lines(lines, n):
    """(phase, index) -> line: one for each, with fields of the right types."""
    found = {}
    for line in lines:
        if type(line) is not dict:
            raise Fail(f"{PREDICTIONS}: a line is no object")
        types = {"phase": str, "index": int, "text": str, "stopped": bool}
        for key, kind in types.items():
            if type(line.get(key)) is not kind:
                raise Fail(f"{PREDICTIONS}: {key} is missing in a line, or of a wrong type")
        place = (line["phase"], line["index"])
        if line["phase"] not in PHASES or not 0 <= line["index"] < n:
            raise Fail(f"{PREDICTIONS}: a phase or an index that cannot be")
        if place in found:
            raise Fail(f"{PREDICTIONS}: two lines for one phase and index")
        found[place] = line
    if len(found) != 2 * n:
        raise Fail(f"{PREDICTIONS}: generations are missing, {len(found)} of {2 * n} are there")
    return found


def gold_of(line):
    """The number of a line's gold: the row's answer, or its number as text or number."""
    gold = line.get("gold")
    if type(gold) is str:
        return answer(gold, "flexible")
    try:
        return Decimal(str(gold)) if type(gold) in (int, float) else None
    except InvalidOperation:
        return None


def written(student, folder):
    """name -> bytes of the two files that the student's gsm8k_run wrote into `folder`."""
    names = student.put(os.listdir)(folder)
    check_type(names, list)
    for name in (RESULTS, PREDICTIONS):
        if name not in names:
            raise Fail(f"{name} was not written into the folder")
    return {n: student.put(Path.read_bytes)(Path(folder, n)) for n in (RESULTS, PREDICTIONS)}


class Run:
    """The student's gsm8k_run on the judge's own rows and texts, and what it wrote."""

    def __init__(self, student, draw, n=21, folder=None, facts=None, special=None):
        self.before = self.after = Script(draw, n)
        # The shares of one phase must not happen to be right for the other. (Few rows have texts
        # of the same kinds in both.)
        apart = SHARES if n > 2 * len(KINDS) else ("stop_rate",)
        while any(self.after.counts[key] == self.before.counts[key] for key in apart):
            self.after = Script(draw, n, self.before.rows)
        for i, text in enumerate(special or ()):
            key = self.before.rows[i]["question"] + "\n"
            self.before.texts[key] = (text, True)
        self.facts = facts or {"model": words(draw), "seed": draw.integers(0, 99)}
        self.folder = folder or Path(self.scratch(student), "run")
        self.returned = student.gsm8k_run(
            self.before.generate, self.after.generate, self.before.rows, self.folder, self.facts
        )
        for script in (self.before, self.after):
            script.check_prompts()
        self.bytes = written(student, self.folder)
        self.results = parse(self.bytes[RESULTS], RESULTS)
        self.rows = {
            phase: [
                (Decimal(r["answer"].rpartition(" ")[2].replace(",", "")), *s.texts[prompt])
                for r, prompt in zip(s.rows, s.texts, strict=True)
            ]
            for phase, s in zip(PHASES, (self.before, self.after), strict=True)
        }

    @staticmethod
    def scratch(student):
        folder = student.put(tempfile.mkdtemp)()
        check_type(folder, str)
        return folder

    def check_predictions(self):
        rows = self.before.rows
        found = check_lines(parse(self.bytes[PREDICTIONS], PREDICTIONS), len(rows))
        for (phase, index), line in found.items():
            gold, text, stopped = self.rows[phase][index]
            if line.get("question") != rows[index]["question"]:
                raise Fail(f"{PREDICTIONS}: a question is not that of its index")
            if gold_of(line) != gold:
                raise Fail(f"{PREDICTIONS}: a gold answer is not that of its index")
            if (line["text"], line["stopped"]) != (text, stopped):
                raise Fail(f"{PREDICTIONS}: a text or its stopped is not what generate gave")


@hidden(
    "gsm8k_run",
    "the claims before and after are what the texts give",
    weight=3,
    core=True,
    hint="results['before'] holds evaluate's shares for before, results['after'] those for after.",
)
def claims(student, draw):
    run = Run(student, draw)
    check_claims(run.results, run.rows)


@hidden(
    "gsm8k_run",
    "every generation is written down, with its phase, index, question and gold answer",
    weight=3,
    hint="Let the function that you give to evaluate remember what passes through.",
)
def every_text(student, draw):
    for n in (5, 37):
        Run(student, draw, n).check_predictions()


@hidden(
    "gsm8k_run",
    "a question that comes twice keeps both texts",
    weight=1,
    hint="A dict from prompt to text forgets the first: keep a list of texts for each prompt.",
)
def twice(student, draw):
    one, two = (gsm8k_row(draw) for _ in range(2))
    rows, said = [one, two, one], {phase: [] for phase in PHASES}
    folder = Path(Run.scratch(student))

    def speaker(phase):
        def generate(prompts):
            first = len(said[phase])
            given = [(prompt, f"#### {first + i}") for i, prompt in enumerate(prompts)]
            said[phase] += given
            return [(text, True) for _, text in given]

        return generate

    student.gsm8k_run(*map(speaker, PHASES), rows, folder, {"seed": 1})
    found = check_lines(parse(written(student, folder)[PREDICTIONS], PREDICTIONS), 3)
    for phase in PHASES:
        lines = [(rows[i]["question"] + "\n", found[phase, i]["text"]) for i in range(3)]
        check_equal(sorted(lines), sorted(said[phase]), "questions and their texts, sorted")


@hidden(
    "gsm8k_run",
    "Wilson intervals for all four shares",
    weight=1.5,
    hint="wilson_interval(round(share * n), n), as a list of two numbers, under 'intervals'.",
)
def intervals(student, draw):
    n, slips = 29, False
    while not slips:
        run = Run(student, draw, n)
        check_claims(run.results, run.rows)
        check_intervals(run.results, n)
        counts = [*run.before.counts.values(), *run.after.counts.values()]
        slips = any(int(k / n * n) < k for k in counts)  # a hair less than k
        n = 107  # where a quarter of all k do that


@hidden(
    "gsm8k_run",
    "facts as given; what is returned is what the file holds",
    weight=1.5,
    hint="Return the dict that you write. JSON knows lists, no tuples: use lists in it.",
)
def facts_and_return(student, draw):
    facts = {"model": words(draw), "versions": {"torch": "2"}, "seed": 3, "data_sha256": "ab"}
    run = Run(student, draw, 6, facts=facts)
    check_equal(run.results.get("facts"), facts, "facts")
    check_type(run.returned, dict)
    if json.loads(json.dumps(run.returned)) != run.results:
        raise Fail("the returned object differs from the file gsm8k_results.json")


@hidden(
    "gsm8k_run",
    "at most 16 prompts at once, every example once in each phase",
    weight=1,
    hint="Call evaluate once for each phase, with its default batch size.",
)
def asked_once(student, draw):
    run = Run(student, draw, 40)
    for script in (run.before, run.after):
        if max(script.calls) > 16:
            raise Fail("generate got more than 16 prompts at once")
        if sum(script.calls) != 40:
            raise Fail("not every example was generated exactly once")


@hidden(
    "gsm8k_run",
    "a folder as text or Path, new or with the files of an earlier run",
    weight=1,
    hint="Path(folder).mkdir(parents=True, exist_ok=True); open the files with 'w', not 'a'.",
)
def folders(student, draw):
    root = Run.scratch(student)
    for folder in (f"{root}/a/b", Path(root, "c"), Path(root, "c")):
        run = Run(student, draw, 7, folder=folder)
        check_claims(run.results, run.rows)
        run.check_predictions()
    student.put(Path.write_text)(Path(root, "c", "adapter.txt"), "another file")
    Run(student, draw, 7, folder=Path(root, "c"))
    if "adapter.txt" not in student.put(os.listdir)(Path(root, "c")):
        raise Fail("another file in the folder is gone")


@hidden(
    "gsm8k_run",
    "texts with newlines, quotes and other alphabets come back as they were",
    weight=1,
    hint="json.dumps for each line, and encoding='utf-8'.",
)
def odd_texts(student, draw):
    special = [
        'a "quoted" \\ text\n\nwith lines\t#### 12',
        "数学 – naïve £5 🙂\r\n#### 7",
        "\u2028 and \x0b inside \x85 #### 3",
        "",
        f" {'long ' * 2000}\n#### 8\n",
    ]
    run = Run(student, draw, 6, special=special)
    found = {}
    for line in run.bytes[PREDICTIONS].decode("utf-8").split("\n"):
        if line.strip():
            try:
                row = json.loads(line)
                found[row["phase"], row["index"]] = row["text"]
            except (ValueError, KeyError, TypeError):
                raise Fail(f"{PREDICTIONS}: a line is not one JSON object") from None
    for i, text in enumerate(special):
        if found.get(("before", i)) != text:
            raise Fail(f"{PREDICTIONS}: a text did not come back as it was")


@cache
def test_problems():
    """Hash of a question -> its gold number: GSM8K's test problems, and the generator's."""
    known = dict(json.loads(GOLD.read_text()))
    for row in make_problems(1000, "test"):
        known[question_hash(row["question"])] = row["answer"].rpartition(" ")[2]
    return {key: Decimal(value) for key, value in known.items()}


def question_hash(question):
    return hashlib.sha256(question.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def files_of(student):
    """What was handed in beside the notebook; the published run if nothing was."""
    files = dict(student.files)
    if not files:
        return {name: (PUBLISHED / name).read_bytes() for name in (RESULTS, PREDICTIONS)}
    for name in (RESULTS, PREDICTIONS):
        if name not in files:
            raise Fail(f"{name} was not handed in beside the other file: hand in both, or none")
        if type(files[name]) is str:
            raise Fail(files[name])
    return files


@hidden(
    "gsm8k_run",
    "the run beside the notebook (the published one if there is none) is what its texts give",
    weight=2,
    hint="Hand in both files as gsm8k_run wrote them, or neither.",
)
def handed_in(student, draw):
    files = files_of(student)
    results = parse(files[RESULTS], RESULTS)
    if type(results) is not dict or type(results.get("n")) is not int:
        raise Fail(f"{RESULTS}: n is missing")
    n = results["n"]
    if not LEAST <= n <= 10_000:
        raise Fail(f"{RESULTS}: n is {n}; a run has at least {LEAST} test problems")
    facts = results.get("facts")
    for key in ("model", "data_sha256", "seed", "versions"):
        if type(facts) is not dict or key not in facts:
            raise Fail(f"{RESULTS}: facts.{key} is missing")
    found = check_lines(parse(files[PREDICTIONS], PREDICTIONS), n)
    hashes = {}
    for place, line in found.items():
        question = line.get("question")
        key = question_hash(question) if type(question) is str else line.get("question_sha256")
        if type(key) is not str or key[:16] not in test_problems():
            raise Fail(f"{PREDICTIONS}: a question is not one of the test problems")
        hashes[place] = key[:16]
        if gold_of(line) != test_problems()[key[:16]]:
            raise Fail(f"{PREDICTIONS}: a gold answer is not that of its question")
    if any(hashes["before", i] != hashes["after", i] for i in range(n)):
        raise Fail(f"{PREDICTIONS}: before and after were asked different questions")
    if len(set(hashes.values())) != n:
        raise Fail(f"{PREDICTIONS}: a question was asked twice")
    rows = {
        phase: [
            (test_problems()[hashes[phase, i]], found[phase, i]["text"], found[phase, i]["stopped"])
            for i in range(n)
        ]
        for phase in PHASES
    }
    check_claims(results, rows, slack=0.02)
    check_intervals(results, n)
