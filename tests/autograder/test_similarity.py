import csv

from autograder import similarity

STUB = '''# exercise: mix
def mix(values, weights, scale):
    """Mix."""
    raise NotImplementedError
'''
LONG = '''# exercise: mix
def mix(values, weights, scale):
    """Mix."""
    total = 0.0
    for value, weight in zip(values, weights):
        if weight > scale:
            total += value * weight / scale
        elif weight < 0:
            raise ValueError("negative")
    return total ** 0.5 - min(values)
'''
RENAMED = """# exercise: mix
def mix(a, b, c):  # all mine
    s = 0.0
    for x, y in zip(a, b):
        # weigh
        if y > c:
            s += x*y/c
        elif y < 0: raise ValueError("negative")
    return s**0.5 - min(a)
"""
OTHER = """
import math
def mix(values, weights, scale):
    if any(w < 0 for w in weights):
        raise ValueError("a weight is below zero")
    parts = [v * w / scale for v, w in zip(values, weights) if w > scale]
    return math.sqrt(sum(parts)) - sorted(values)[0]
"""


def test_names_comments_layout_and_docstrings_do_not_count():
    assert similarity.shape(LONG) == similarity.shape(RENAMED)
    assert similarity.shape("x = 1") != similarity.shape("x = 2")
    assert similarity.shape("def f(a, b): return a - b") != similarity.shape(
        "def f(a, b): return b - a"
    )
    assert similarity.shape("def f(x: int) -> int: return x") == similarity.shape(
        "def f(y): return y"
    )


def test_any_text_has_a_shape():
    for text in ("", "def f(:", "\0", "(" * 5000, "1" + "+1" * 9_000, "%magic\nx = 1", "é" * 99):
        similarity.near_identical({"ada": text, "ben": text + " "})


def test_a_copy_with_other_names_is_found_and_an_answer_of_ones_own_is_not():
    answers = {"ada": LONG, "ben": RENAMED, "cy": OTHER, "dee": STUB}
    assert similarity.near_identical(answers, STUB) == [(1.0, False, ["ada", "ben"])]
    changed = RENAMED.replace("0.5", "0.25")
    [(close, same, students)] = similarity.near_identical(
        {"ada": LONG, "ben": changed, "cy": OTHER}
    )
    assert similarity.ALIKE <= close < 1 and not same and students == ["ada", "ben"]


def test_short_answers_and_the_one_natural_way_are_no_finding():
    short = "def mix(values, weights, scale):\n    return sum(values)"
    assert similarity.near_identical({"ada": short, "ben": short}, STUB) == []
    natural = {f"s{n}": RENAMED.replace("all mine", f"by {n}") for n in range(30)}
    assert similarity.near_identical(natural, STUB) == []
    copied = {f"s{n}": RENAMED for n in range(30)}
    assert similarity.near_identical(copied, STUB) == [(1.0, True, sorted(copied))]


def test_what_was_handed_out_is_taken_away():
    given = LONG
    answers = {"ada": given + "\nprint(1)", "ben": given + "\nassert mix"}
    assert similarity.near_identical(answers, given) == []
    assert similarity.near_identical(answers)


def test_a_wrong_answer_resembles_the_mistake_it_makes():
    wrong = {
        "no root": similarity.runs(LONG.replace(" ** 0.5", "")),
        "no minimum": similarity.runs(LONG.replace(" - min(values)", "")),
    }
    right = [similarity.runs(LONG)]
    mistaken = RENAMED.replace(" - min(a)", "")
    assert similarity.resembled(mistaken, wrong, right)[0] == "no minimum"
    assert similarity.resembled(RENAMED, wrong, right) is None  # nearer to a right answer
    assert similarity.resembled("def mix(*a): return 0", wrong, right) is None


def test_a_large_class_takes_seconds():
    import time

    answers = {f"s{n}": LONG.replace("0.5", f"0.{n}").replace("min", f"f{n}") for n in range(400)}
    began = time.process_time()
    similarity.near_identical(answers, STUB)
    assert time.process_time() - began < 10


def test_csv(tmp_path):
    path = similarity.write_csv(tmp_path, {("one", "mix"): [(0.95, False, ["=ada", "ben"])]})
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [[*similarity.COLUMNS], ["one", "mix", "0.95", "no", "'=ada; ben"]]
