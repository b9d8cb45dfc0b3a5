# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    results = {"facts": facts, "n": len(examples)}
    lines = []
    for phase, generate in (("before", before), ("after", after)):
        written = []

        def remember(prompts, generate=generate, written=written):
            answers = generate(prompts)
            written.extend(answers)
            return answers

        shares = evaluate(remember, examples, batch_size=16)
        n = shares.pop("n")
        intervals = {k: list(wilson_interval(round(v * n), n)) for k, v in shares.items()}
        results[phase] = shares
        for index, (example, (text, stopped)) in enumerate(zip(examples, written, strict=True)):
            row = {"phase": phase, "index": index, "question": example["question"]}
            row |= {"gold": example["answer"], "text": text, "stopped": bool(stopped)}
            lines.append(json.dumps(row) + "\n")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gsm8k_predictions.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "gsm8k_results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results
