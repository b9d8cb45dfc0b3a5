# exercise: evaluate
from collections import Counter


def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError("nothing to evaluate")
    seen = Counter()
    for i in range(0, len(examples), batch_size):
        chunk = list(examples[i : i + batch_size])
        outputs = generate([to_prompt_completion(x)["prompt"] for x in chunk])
        for x, out in zip(chunk, outputs):
            text, stopped = out[0], out[1]
            gold = extract_answer(x["answer"], "strict")
            strict, flexible = (extract_answer(text, m) for m in ("strict", "flexible"))
            seen["strict"] += strict is not None and strict == gold
            seen["flexible"] += flexible is not None and flexible == gold
            seen["no_answer"] += flexible is None
            seen["stop_rate"] += int(stopped)
    keys = ["strict", "flexible", "no_answer", "stop_rate"]
    return {k: seen[k] / len(examples) for k in keys} | {"n": len(examples)}
