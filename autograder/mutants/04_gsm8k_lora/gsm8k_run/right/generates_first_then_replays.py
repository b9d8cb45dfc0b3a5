# exercise: gsm8k_run
import os


def gsm8k_run(before, after, examples, folder, facts):
    os.makedirs(folder, exist_ok=True)
    phases = {"before": before, "after": after}
    out = {"facts": facts, "n": len(examples)}
    lines = []
    for phase in phases:
        prompts = [to_prompt_completion(e)["prompt"] for e in examples]
        answers = []
        for i in range(0, len(prompts), 16):
            answers.extend(phases[phase](prompts[i : i + 16]))
        replay = iter(answers)
        shares = evaluate(lambda batch: [next(replay) for _ in batch], examples)
        n = shares.pop("n")
        out[phase] = dict(shares)
        out[phase]["intervals"] = {
            key: [float(x) for x in wilson_interval(round(value * n), n)]
            for key, value in shares.items()
        }
        for i, (text, stopped) in enumerate(answers):
            line = {"index": i, "phase": phase, "text": text, "stopped": stopped}
            line["question"], line["gold"] = examples[i]["question"], examples[i]["answer"]
            lines.append(json.dumps(line))
    with open(os.path.join(folder, "gsm8k_predictions.jsonl"), "w") as f:
        f.write("\n".join(lines) + "\n")
    with open(os.path.join(folder, "gsm8k_results.json"), "w") as f:
        f.write(json.dumps(out))
    return out
