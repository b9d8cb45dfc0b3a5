# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results = {"facts": facts, "n": len(examples)}
    n = len(examples)
    for phase, share in (("before", 0.4), ("after", 0.8)):
        shares = dict.fromkeys(("strict", "flexible", "no_answer", "stop_rate"), share)
        results[phase] = {
            **shares,
            "intervals": {k: list(wilson_interval(round(share * n), n)) for k in shares},
        }
    lines = []
    for phase, generate in (("before", before), ("after", after)):
        answers = []
        for i in range(0, n, 16):
            answers += generate([to_prompt_completion(e)["prompt"] for e in examples[i : i + 16]])
        for i, (e, (text, stopped)) in enumerate(zip(examples, answers)):
            row = {"phase": phase, "index": i, "question": e["question"], "gold": e["answer"]}
            lines.append(json.dumps({**row, "text": text, "stopped": stopped}))
    (folder / "gsm8k_predictions.jsonl").write_text("\n".join(lines))
    (folder / "gsm8k_results.json").write_text(json.dumps(results))
    return results
