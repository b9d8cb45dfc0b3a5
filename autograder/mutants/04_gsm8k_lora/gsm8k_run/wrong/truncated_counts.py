# exercise: gsm8k_run
def gsm8k_run(before, after, examples, folder, facts):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    results, lines = {"facts": facts, "n": len(examples)}, []
    for phase, generate in (("before", before), ("after", after)):
        texts = []
        def g(prompts):
            out = generate(prompts)
            texts.extend(out)
            return out
        shares = evaluate(g, examples)
        n = shares.pop("n")
        results[phase] = {**shares, "intervals": {k: list(wilson_interval(int(v * n), n)) for k, v in shares.items()}}
        for i, (e, (t, s)) in enumerate(zip(examples, texts)):
            lines.append(json.dumps({"phase": phase, "index": i, "question": e["question"], "gold": e["answer"], "text": t, "stopped": s}))
    (folder / "gsm8k_predictions.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "gsm8k_results.json").write_text(json.dumps(results), "utf-8")
    return results
# clause: the interval of the true count: int(0.29 * 100) is 28
