# exercise: gsm8k_run
def one_phase(phase, generate, examples):
    texts = []

    def listening(prompts):
        out = list(generate(prompts))
        texts.extend(out)
        return out

    shares = evaluate(listening, examples)
    n = shares["n"]
    block = {name: shares[name] for name in ("strict", "flexible", "no_answer", "stop_rate")}
    block["intervals"] = {
        name: list(wilson_interval(int(share * n + 0.5), n)) for name, share in list(block.items())
    }
    rows = [
        {
            "phase": phase,
            "index": index,
            "question": example["question"],
            "gold": example["answer"],
            "text": texts[index][0],
            "stopped": texts[index][1],
        }
        for index, example in enumerate(examples)
    ]
    return block, rows


def gsm8k_run(before, after, examples, folder, facts):
    first, rows = one_phase("before", before, examples)
    second, more = one_phase("after", after, examples)
    results = {"facts": facts, "n": len(examples), "before": first, "after": second}
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with open(path / "gsm8k_predictions.jsonl", "w", encoding="utf-8") as file:
        for row in rows + more:
            print(json.dumps(row, ensure_ascii=False), file=file)
    with open(path / "gsm8k_results.json", "w", encoding="utf-8") as file:
        json.dump(results, file, indent=2)
    return results
