import random
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.problems import (
    LARGEST,
    SPLITS,
    STORIES,
    check_chain,
    draw_problem,
    equation_holds,
    equations,
    make_problems,
    split_of,
)

FIRST_TEST_PROBLEM = {
    "question": "Sam has 28 marbles. "
    "Olga has 17 fewer marbles than Sam. How many marbles do Sam and Olga have together?",
    "answer": "Olga has 28-17=<<28-17=11>>11 marbles.\n"
    "Together they have 28+11=<<28+11=39>>39 marbles.\n"
    "#### 39",
}


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**63))
def test_every_problem_is_shaped_like_gsm8k(seed):
    problem = draw_problem(random.Random(seed))
    assert set(problem) == {"question", "answer"}
    *steps, last = problem["answer"].split("\n")
    assert 1 <= len(steps) <= 3
    assert all(len(equations(step)) == 1 for step in steps)
    final = re.fullmatch(r"#### (\d+)", last)
    assert final and 0 <= int(final[1]) <= LARGEST
    assert equations(steps[-1])[0].endswith(f"={final[1]}")
    assert problem["question"].endswith("?") and "<<" not in problem["question"]
    assert "\n" not in problem["question"]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**63))
def test_every_step_is_right_and_a_whole_number(seed):
    answer = draw_problem(random.Random(seed))["answer"]
    for left, sign, right, result in re.findall(r"<<(\d+)([-+*/])(\d+)=(\d+)>>", answer):
        left, right, result = int(left), int(right), int(result)
        right_results = {
            "+": left + right == result,
            "-": left - right == result,
            "*": left * right == result,
            "/": result * right == left,
        }
        assert right_results[sign]
        assert 0 <= result <= LARGEST
    assert len(re.findall(r"<<(\d+)([-+*/])(\d+)=(\d+)>>", answer)) == len(equations(answer))


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**63))
def test_the_numbers_of_an_answer_come_from_the_question_or_a_step(seed):
    problem = draw_problem(random.Random(seed))
    known = set(re.findall(r"\d+", problem["question"]))
    for equation in equations(problem["answer"]):
        *operands, result = re.findall(r"\d+", equation)
        assert set(operands) <= known
        known.add(result)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(0, 1000))
def test_splits_share_no_chain_whatever_the_seeds(one, other):
    chains = {
        split: {";".join(equations(p["answer"])) for p in make_problems(60, split, seed)}
        for split, seed in zip(SPLITS, [one, other, one, other], strict=True)
    }
    names = list(chains)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert not chains[a] & chains[b], (a, b)


def test_the_split_ignores_the_story_and_reads_the_chain():
    told = {"question": "Ann has 2 eggs.", "answer": "Ann has 2+3=<<2+3=5>>5 eggs.\n#### 5"}
    again = {"question": "Tom has 2 toys.", "answer": "<<2+3=5>>\n#### 5"}
    assert split_of(told) == split_of(again)
    chains = [{"answer": f"<<{n}+1={n + 1}>>"} for n in range(400)]
    assert {split_of(c) for c in chains} == set(SPLITS)


def test_the_buckets_cover_a_hundred_without_overlap():
    assert sorted(b for buckets in SPLITS.values() for b in buckets) == list(range(100))


def test_large_splits_share_no_question():
    train = {p["question"] for p in make_problems(3000, "train")}
    held_out = {p["question"] for p in make_problems(1000, "test")}
    held_out |= {p["question"] for p in make_problems(500, "validation", seed=7)}
    assert len(train) == 3000 and not train & held_out


def test_a_seed_gives_the_same_problems_in_another_process():
    code = "from course_lib.problems import *; print(make_problems(20, 'train', 3))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(make_problems(20, "train", 3))
    assert make_problems(20, "train", 3) != make_problems(20, "train", 4)
    assert make_problems(50, "train", 3)[:20] == make_problems(20, "train", 3)


def test_these_are_the_problems_the_shipped_weights_were_made_for():
    # If the generator's wording changes, the embedded base must be trained again.
    assert make_problems(1, "test", 0)[0] == FIRST_TEST_PROBLEM


def test_problems_vary():
    some = make_problems(1000, "train")
    steps = [len(equations(p["answer"])) for p in some]
    assert all(steps.count(n) > 100 for n in (1, 2, 3))
    signs = "".join(e for p in some for e in equations(p["answer"]))
    assert all(signs.count(sign) > 50 for sign in "+-*/")
    assert len({p["question"].split()[0] for p in some}) > 20
    rng = random.Random(0)
    for story in STORIES:
        assert len({story(rng, 2)[1] for _ in range(50)}) > 1, story.__name__


def test_unknown_split():
    with pytest.raises(ValueError, match="train"):
        make_problems(1, "exam")


def test_no_torch_is_needed():
    code = "import sys, course_lib.problems; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "equation",
    [
        "2+3=5",
        "48/2=24",
        "100-50-30-15=5",
        "2*(3+4)=14",
        "10/3=3.33",
        "2/3=.66",
        "2/3=.67",
        "1150*.40=460.00",
        "20%*50=10",
        "1,000+80=1,080",
        "$5*3=$15",
        "-3+5=2",
        "560//10=56",
        "19=19",
        "0.1+0.2=0.3",
    ],
)
def test_true_equations(equation):
    assert equation_holds(equation)


@pytest.mark.parametrize(
    "equation",
    [
        "2+3=6",
        "7/2=4",
        "10/3=3",
        "10/3=3.34",
        "5/0=0",
        "2+=5",
        "(2+3=5",
        "2 3=5",
        "five=5",
        "2+3",
        "=",
        "",
        "2**3=8",
        "__import__('os')=1",
        "9**9**9**9=1",
        "(" * 5000 + "1=1",
        "-" * 199 + "2=2",
        "1=2=1",
    ],
)
def test_false_or_unreadable_equations(equation):
    assert not equation_holds(equation)


def test_check_chain():
    assert check_chain("Ann has 2+3=<<2+3=5>>5. Then <<5*2=10>>10.\n#### 10")
    assert not check_chain("Ann has <<2+3=6>>6. Then <<5*2=10>>10.\n#### 10")
    assert not check_chain("<<2+3=5>> <<5*2=11>>")
    assert check_chain("nothing is computed\n#### 10")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789+-*/().,%$ =x", max_size=60))
def test_any_text_is_answered(text):
    assert equation_holds(text) in (True, False)


def test_a_changed_result_is_noticed():
    for problem in make_problems(100, "validation"):
        assert check_chain(problem["answer"])
        right = equations(problem["answer"])[0]
        left, _, result = right.partition("=")
        wrong = problem["answer"].replace(f"<<{right}>>", f"<<{left}={int(result) + 1}>>")
        assert not check_chain(wrong)
