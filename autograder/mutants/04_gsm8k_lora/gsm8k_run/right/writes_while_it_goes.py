# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    folder = Path(folder)
    folder.mkdir(exist_ok=True, parents=True)
    results = dict(facts=facts, n=len(examples))
    with (folder / "gsm8k_predictions.jsonl").open("w", encoding="utf-8") as file:
        for phase, generate in zip(["before", "after"], [before, after]):
            done = 0

            def watched(prompts):
                nonlocal done
                answers = generate(prompts)
                for text, stopped in answers:
                    example = examples[done]
                    row = {"phase": phase, "index": done, "question": example["question"],
                           "gold": example["answer"], "text": text, "stopped": stopped}
                    file.write(json.dumps(row) + "\n")
                    done += 1
                file.flush()
                return answers

            shares = evaluate(watched, examples)
            del shares["n"]
            n = len(examples)
            results[phase] = shares | {
                "intervals": {k: wilson_interval(round(s * n), n) for k, s in shares.items()}
            }
    (folder / "gsm8k_results.json").write_text(json.dumps(results, sort_keys=True))
    return results
