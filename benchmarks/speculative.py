"""The course's speculative loop against plain decoding and transformers' assisted generation.

    python benchmarks/speculative.py [--prompts 6] [--tuning 4] [--tokens 96] [--threads 2]

The shipped pair, same prompts, same number of tokens, each prompt goes to every runner before the
next one. Our k is the best of 1..12; the library's assistant gets the best of several settings, too
(chosen on other prompts than those measured). Ratios are theirs over ours, medians over prompts.
Printed beside: ours against the setting that happens to be best on the measured prompts, and the
floor, the most that the measured costs of a target step, a check and a draft step allow.
"""

import argparse
import statistics

import torch
from machine import machine, write_result

from autograder.build import reference_cells
from course_lib.experiments import speculative_decoding as lab
from course_lib.models import load_pair

KS = range(1, 13)
ASSISTED = [
    (count, schedule, sure)
    for count, schedule in ((3, "constant"), (5, "constant"), (8, "constant"), (5, "heuristic"))
    for sure in (0.0, 0.4)
]


def reference() -> dict:
    """The names that the reference solutions of notebook 06 define."""
    namespace = {"__name__": "__main__"}
    for _, _, source in reference_cells("06_speculative_decoding"):
        exec(compile(source, "06_speculative_decoding", "exec"), namespace)
    return namespace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=6)
    parser.add_argument("--tuning", type=int, default=4, help="other prompts, to choose settings")
    parser.add_argument("--tokens", type=int, default=96)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    facts = machine("torch", "transformers")
    torch.set_num_threads(args.threads)
    solved = reference()
    target, draft, tokenizer = load_pair()
    texts = lab.prompts(args.tuning + args.prompts, seed=2)
    inputs = [tokenizer(text, return_tensors="pt").input_ids for text in texts]
    tuning, inputs = inputs[: args.tuning], inputs[args.tuning :]

    lengths = {"target": [1, *(k + 1 for k in KS)], "draft": [1]}
    seconds = lab.step_seconds({"target": target, "draft": draft}, lengths, rounds=30)
    step, cost = seconds["target", 1], seconds["draft", 1] / seconds["target", 1]
    check = {k: seconds["target", k + 1] / step for k in KS}
    print(f"target step {1000 * step:.2f} ms, draft step c = {cost:.3f}")

    headline, tables = {}, {}
    for temperature, name in ((0.0, "greedy"), (1.0, "t1")):

        def plain(ids, t=temperature):
            return lab.plain_generate(target, ids, args.tokens, t, torch.Generator().manual_seed(0))

        def ours(ids, k, t=temperature):
            generator = torch.Generator().manual_seed(0)
            return solved["speculative_generate"](
                target, draft, ids, args.tokens, k, t, None, generator
            )

        def assisted(ids, setting, t=temperature):
            count, schedule, sure = setting
            return lab.library_generate(
                target, ids, args.tokens, t, draft,
                num_assistant_tokens=count, num_assistant_tokens_schedule=schedule,
                assistant_confidence_threshold=sure,
            )  # fmt: skip

        def library(ids, t=temperature):
            return lab.library_generate(target, ids, args.tokens, t)

        runs = {"plain": plain, "library": library}
        runs |= {k: lambda ids, k=k: ours(ids, k) for k in KS}
        runs |= {s: lambda ids, s=s: assisted(ids, s) for s in ASSISTED}
        times = lab.race(runs, tuning, repeats=2)
        total = {key: statistics.median(values) for key, values in times.items()}
        k = min(KS, key=total.get)
        setting = min(ASSISTED, key=total.get)

        written = [plain(ids) for ids in inputs]
        if temperature == 0:
            for ids, text in zip(inputs, written, strict=True):
                assert torch.equal(ours(ids, k), text), "not the target's text"
                assert torch.equal(assisted(ids, setting), text), "not the target's text"
        alpha = torch.cat(
            [
                lab.acceptance(target, draft, text[0], temperature)[ids.shape[1] - 1 :]
                for ids, text in zip(inputs, written, strict=True)
            ]
        ).mean()
        times = lab.race(runs, inputs)
        gain = {key: lab.faster(times, key, "plain") for key in runs}
        print(
            f"\n{name}: acceptance {alpha:.3f}, times plain decoding (the same loop without draft)"
        )
        rows = []
        for i in KS:
            formula = solved["speedup"](float(alpha), i, cost)
            honest = solved["expected_tokens"](float(alpha), i) / (i * cost + check[i])
            rows.append({"k": i, "check": check[i], "formula": formula, "with_check": honest,
                         "measured": gain[i]})  # fmt: skip
            print(f"  k = {i}: checking {check[i]:.2f} steps, formula {formula:.2f}, "
                  f"with that cost {honest:.2f}, measured {gain[i]:.2f}")  # fmt: skip
        for s in ASSISTED:
            print(f"  transformers, {s[0]} guesses, {s[1]}, stops below {s[2]}: {gain[s]:.2f}")
        print(f"  transformers, plain generate: {gain['library']:.2f}")
        headline[f"vs_plain_{name}"] = round(gain[k], 2)
        headline[f"vs_assisted_{name}"] = round(lab.faster(times, k, setting), 2)
        luckiest = min((lab.faster(times, k, s), s) for s in ASSISTED)
        tables[name] = {
            "alpha": float(alpha), "best_k": k, "assisted_setting": setting, "rows": rows,
            "assisted": [[*s, gain[s]] for s in ASSISTED], "library_plain": gain["library"],
            "vs_luckiest": luckiest, "floor": rows[k - 1]["with_check"],
        }  # fmt: skip
        print(f"  best k {k}: {headline[f'vs_plain_{name}']} times plain, "
              f"{headline[f'vs_assisted_{name}']} times the library's best {setting}, "
              f"{luckiest[0]:.2f} times its luckiest {luckiest[1]}; "
              f"the costs allow {rows[k - 1]['with_check']:.2f} times plain")  # fmt: skip
    costs = {"target_step_ms": 1000 * step, "draft_step": cost, "check": check}
    path = write_result(
        "speculative", headline, costs=costs, tables=tables, settings=vars(args), machine=facts
    )
    print(f"\n{headline}: {path}")


if __name__ == "__main__":
    main()
