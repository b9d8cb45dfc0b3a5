# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    n = len(examples)
    results, records = {"facts": facts, "n": n}, []
    for phase, generate in (("before", before), ("after", after)):
        texts = {}

        def remember(prompts):
            answers = generate(prompts)
            texts.update(zip(prompts, answers))
            return answers

        shares = evaluate(remember, examples)
        shares.pop("n")
        results[phase] = shares | {
            "intervals": {k: list(wilson_interval(round(v * n), n)) for k, v in shares.items()}
        }
        for i, row in enumerate(examples):
            text, stopped = texts[to_prompt_completion(row)["prompt"]]
            records.append({"phase": phase, "index": i, "question": row["question"],
                            "gold": row["answer"], "text": text, "stopped": stopped})
    with (folder / "gsm8k_predictions.jsonl").open("w", encoding="utf-8") as file:
        for record in records:
            print(json.dumps(record), file=file)
    (folder / "gsm8k_results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    return results
# clause: "text and stopped (what generate gave)" for "each phase and example" - shows when a question comes twice and the model's two texts differ: both lines hold the second text
