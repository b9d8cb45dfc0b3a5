# exercise: gsm8k_run
class Recorder:
    def __init__(self, generate):
        self.generate, self.answers = generate, []

    def __call__(self, prompts):
        answers = self.generate(prompts)
        self.answers += [tuple(answer) for answer in answers]
        return answers


def gsm8k_run(before, after, examples, folder, facts):
    recorders = {"before": Recorder(before), "after": Recorder(after)}
    results = {"facts": dict(facts), "n": len(examples)}
    for phase, recorder in recorders.items():
        shares = evaluate(recorder, examples, 8)
        keys = [k for k in shares if k != "n"]
        results[phase] = {k: shares[k] for k in keys}
        results[phase]["intervals"] = {}
        for k in keys:
            low, high = wilson_interval(round(shares[k] * len(examples)), len(examples))
            results[phase]["intervals"][k] = [low, high]
    target = Path(str(folder))
    target.mkdir(parents=True, exist_ok=True)
    text = ""
    for phase, recorder in recorders.items():
        for i in range(len(examples)):
            answer, stopped = recorder.answers[i]
            text += json.dumps(
                {
                    "phase": phase,
                    "index": i,
                    "question": examples[i]["question"],
                    "gold": examples[i]["answer"],
                    "text": answer,
                    "stopped": stopped,
                }
            )
            text += "\n"
    (target / "gsm8k_predictions.jsonl").write_bytes(text.encode("utf-8"))
    (target / "gsm8k_results.json").write_bytes(json.dumps(results).encode("utf-8"))
    return results
