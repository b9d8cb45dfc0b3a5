# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    written = []
    results = {"facts": facts, "n": len(examples)}
    for phase, generate in [("before", before), ("after", after)]:

        def remember(prompts):
            answers = generate(prompts)
            written.extend((phase, a) for a in answers)
            return answers

        shares = evaluate(remember, examples)
        n = shares.pop("n")
        shares["intervals"] = {k: list(wilson_interval(round(v * n), n)) for k, v in shares.items()}
        results[phase] = shares
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "gsm8k_predictions.jsonl", "w", encoding="utf-8") as file:
        for i, (phase, (text, stopped)) in enumerate(written):
            example = examples[i % len(examples)]
            row = {"phase": phase, "index": i, "question": example["question"]}
            row.update(gold=example["answer"], text=text, stopped=stopped)
            file.write(json.dumps(row) + "\n")
    (folder / "gsm8k_results.json").write_text(json.dumps(results))
    return results
