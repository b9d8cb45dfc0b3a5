"""The recorded runs of notebook 05: expert iteration with its controls, several seeds.

    python scripts/star_runs.py --seeds 0 1 2 --log star_runs.jsonl        # hours on a busy core
    python scripts/star_runs.py --summarise --log star_runs.jsonl         # writes the recorded file

Each seed has its own problems, demonstrations and draws. Test problems are of the split `test`,
all others of `train`, which share no chain of equations with each other or with what the base has
read (course_lib/problems.py). A row is appended to the log after each measurement; arms of a seed
that the log holds whole are not run again. The loop and the filter are the reference solutions.

Arms, all of the same number of updates a round, all rounds scored on problems never trained on:
    star              each round fine-tunes the base, on the demonstrations and this round's own
                      right chains
    continue          the same, but fine-tunes the current model (its round 1 is that of `star`)
    control           the current model on the demonstrations alone. Its round 1 is the control of
                      every round of `star`; its round r that of round r of `continue`
    no_demonstrations star without any demonstration: own chains only
    rationalize       star, and problems without a right sample are tried again with the answer
                      shown, by a model that learned from the demonstrations what a shown answer is
    imitation         fine-tuning of the base on 25, 100, 400 demonstrations
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import torch

from autograder.build import reference_cells
from course_lib.experiments import star as lab
from course_lib.models import load_base
from course_lib.problems import check_chain, make_problems

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "course_lib" / "recorded" / "05_star_runs.json"
ARMS = [
    "star",
    "control",
    "continue",
    "imitation",
    "no_demonstrations",
    "rationalize",
]
SETTINGS = {
    "demonstrations": 50,
    "problems": 800,
    "test_problems": 120,
    "rounds": 3,
    "samples": 2,
    "max_per_problem": 2,
    "temperature": 0.9,
    "updates": 100,
    "batch": 16,
    "lr": 1e-3,
    "test_samples": 8,
    "test_temperature": 0.8,
    "imitation": [25, 100, 400],
}


def solutions() -> dict:
    """The functions of the notebook, as the reference solution defines them."""
    namespace = {"__name__": "solutions"}
    for _, _, source in reference_cells("05_star"):
        exec(compile(source, "05_star", "exec"), namespace)
    return namespace


class Seed:
    """One seed: its problems, its start model, its measurements."""

    def __init__(self, seed: int, settings: dict, log: Path):
        self.seed, self.log, self.begun = seed, log, time.perf_counter()
        self.settings = s = settings
        self.base, self.tokenizer = load_base("cpu")
        size = max(s["demonstrations"] + s["problems"], *s["imitation"])
        drawn = make_problems(size, "train", seed)
        self.every = drawn
        self.demonstrations = drawn[: s["demonstrations"]]
        self.problems = drawn[s["demonstrations"] :][: s["problems"]]
        self.test = make_problems(s["test_problems"], "test", seed)
        self.made = solutions()
        self._rationalizer = None
        self._first = self._second = None  # the samples and the model that arms have in common

    def note(self, arm: str, number: int, model, **facts) -> float:
        """Measure a model on the held-out problems and append a row to the log."""
        s = self.settings
        found = lab.measure(
            model, self.tokenizer, self.test, s["test_samples"], s["test_temperature"], 7
        )
        row = {
            "seed": self.seed,
            "arm": arm,
            "round": number,
            "pass@1": found.pass_at_1,
            "right": found.right,
            "false_positives": found.false_positives,
            "chains": found.chains,
            **facts,
            "seconds": round(time.perf_counter() - self.begun),
        }
        with self.log.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(self.seed, arm, number, round(found.pass_at_1, 3), facts, row["seconds"], flush=True)
        return found.pass_at_1

    def tune(self, model, pairs, seed, lr=None, updates=None):
        s = self.settings
        return lab.fine_tune(
            model, self.tokenizer, pairs, updates or s["updates"], lr or s["lr"], s["batch"], seed
        )

    def rationalizer(self):
        """The base after the demonstrations with the answer in the prompt."""
        if self._rationalizer is None:
            pairs = [(lab.prompt_with_answer(p), p["answer"]) for p in self.demonstrations]
            self._rationalizer = self.tune(self.base, pairs, self.seed)
        return self._rationalizer

    # ------------------------------------------------------------------------------ arms

    def imitation(self) -> None:
        for size in self.settings["imitation"]:
            pairs = [(lab.prompt_of(p), p["answer"]) for p in self.every[:size]]
            self.note("imitation", size, self.tune(self.base, pairs, self.seed))

    def control(self) -> None:
        pairs = [(lab.prompt_of(p), p["answer"]) for p in self.demonstrations]
        model = self.base
        for number in range(1, self.settings["rounds"] + 1):
            model = self.tune(model, pairs, number)
            self.note("control", number, model)

    def rounds(self, arm: str) -> None:
        """The notebook's loop with functions that note down what passes through them."""
        s, state = self.settings, {"round": 0, "ever": set(), "facts": {}}

        def sample(model, problems):
            state["round"] += 1
            if model is self.base and self._first:
                return self._first
            samples = self.made["sample_solutions"](
                lab.generator(model, self.tokenizer),
                [lab.prompt_of(p) for p in problems],
                s["samples"],
                s["temperature"],
                1000 * self.seed + state["round"],
            )
            if model is self.base:
                self._first = samples
            return samples

        def keep(problems, samples):
            pairs = self.made["filter_correct"](
                problems, samples, lab.is_right, s["max_per_problem"]
            )
            rationalized = self.rationalized(problems, pairs) if arm == "rationalize" else []
            solved = {i for i, _ in pairs}
            own = pairs
            pairs = pairs + rationalized
            state["facts"] = {
                "kept": len(own),
                "solved": len(solved),
                "new": len(solved - state["ever"]),
                "kept_false_positives": sum(not check_chain(t) for _, t in own),
                "right_share": statistics.mean(
                    lab.is_right(t, p) for p, ts in zip(problems, samples, strict=True) for t in ts
                ),
                "rationalized": len(rationalized),
                "rationalized_false_positives": sum(not check_chain(t) for _, t in rationalized),
            }
            state["ever"] |= solved
            state["facts"]["ever"] = len(state["ever"])
            return pairs

        def finetune(model, pairs):
            if arm == "continue" and state["round"] == 1 and self._second:
                return self._second
            rows = [(lab.prompt_of(self.problems[i]), text) for i, text in pairs]
            if arm != "no_demonstrations":
                rows += [(lab.prompt_of(p), p["answer"]) for p in self.demonstrations]
            tuned = self.tune(model, rows, state["round"])
            if arm == "star" and state["round"] == 1:
                self._second = tuned
            return tuned

        def evaluate(model):
            # The base, and the round that two arms share, are measured once.
            if state["round"] < {"star": 0, "no_demonstrations": 0, "continue": 2}.get(arm, 1):
                return 0.0
            return self.note(arm, state["round"], model, **state["facts"])

        self.made["star"](
            self.base,
            self.problems,
            s["rounds"],
            sample,
            keep,
            finetune,
            evaluate,
            restart=arm != "continue",
        )

    def rationalized(self, problems, pairs):
        """(index, text) for unsolved problems that the rationalizer explains."""
        unsolved = sorted(set(range(len(problems))) - {i for i, _ in pairs})
        hint = lab.prompt_with_answer
        prompts = [hint(problems[i]) for i in unsolved]
        # All at once, then looked up: one text at a time would take many times as long.
        generate = lab.generator(self.rationalizer(), self.tokenizer)
        texts = dict(zip(prompts, generate(prompts, 0.9, self.seed), strict=True))
        found = [
            (i, self.made["rationalize"](problems[i], texts.__getitem__, lab.is_right, hint))
            for i in unsolved
        ]
        return [(i, pair[1]) for i, pair in found if pair]

    def run(self, arm: str) -> None:
        if arm == "imitation":
            self.imitation()
        elif arm == "control":
            self.control()
        else:
            self.rounds(arm)


# ---------------------------------------------------------------------------------- summary


def read(log: Path) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def whole(rows: list[dict], seed: int, arm: str, settings: dict) -> bool:
    """Has this arm been run to its end?"""
    last = settings["imitation"][-1] if arm == "imitation" else settings["rounds"]
    return any((r["seed"], r["arm"], r["round"]) == (seed, arm, last) for r in rows)


def summarise(rows: list[dict], settings: dict, command: str) -> dict:
    """For each arm and round the figures of every seed, with pass@k for k = 1, 2, 4 and 8."""
    pass_at_k = solutions()["pass_at_k"]
    n, arms = settings["test_samples"], {}
    for row in rows:
        point = arms.setdefault(row["arm"], {}).setdefault(str(row["round"]), {})
        facts = {k: v for k, v in row.items() if k not in ("seed", "arm", "round", "right")}
        right = row["right"]
        for k in (1, 2, 4, 8):
            facts[f"pass@{k}"] = round(statistics.mean(pass_at_k(n, c, k) for c in right), 4)
        facts["right_samples"] = sum(right)
        facts["chains"] = round(row["chains"], 3)
        point[str(row["seed"])] = facts
    return {"command": command, "settings": settings, "arms": arms}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS)
    parser.add_argument("--log", type=Path, default=Path("star_runs.jsonl"))
    parser.add_argument("--summarise", action="store_true")
    args = parser.parse_args()
    if not args.summarise:
        torch.set_num_threads(1)
        for seed in args.seeds:
            one = Seed(seed, SETTINGS, args.log)
            for arm in args.arms:
                if not whole(read(args.log), seed, arm, SETTINGS):
                    one.run(arm)
    rows = read(args.log)
    seeds = " ".join(str(s) for s in sorted({r["seed"] for r in rows}))
    command = f"python scripts/star_runs.py --seeds {seeds}"
    RECORDED.parent.mkdir(exist_ok=True)
    RECORDED.write_text(json.dumps(summarise(rows, SETTINGS, command), indent=1) + "\n")
    print(f"wrote {RECORDED}")


if __name__ == "__main__":
    main()
