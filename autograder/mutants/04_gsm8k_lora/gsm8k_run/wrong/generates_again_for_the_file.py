# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = {"facts": facts, "n": len(examples)}
    with open(folder / "gsm8k_predictions.jsonl", "w") as file:
        for phase, generate in [("before", before), ("after", after)]:
            shares = evaluate(generate, examples)
            n = shares.pop("n")
            intervals = {k: list(wilson_interval(round(v * n), n)) for k, v in shares.items()}
            results[phase] = {**shares, "intervals": intervals}
            for i, example in enumerate(examples):
                text, stopped = generate([to_prompt_completion(example)["prompt"]])[0]
                row = dict(phase=phase, index=i, question=example["question"])
                row.update(gold=example["answer"], text=text, stopped=stopped)
                file.write(json.dumps(row) + "\n")
    with open(folder / "gsm8k_results.json", "w") as file:
        json.dump(results, file)
    return results
