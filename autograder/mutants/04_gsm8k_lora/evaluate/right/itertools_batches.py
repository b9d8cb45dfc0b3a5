# exercise: evaluate
import itertools


def evaluate(generate, examples, batch_size=16):
    rest = iter(examples)
    rows = []
    while batch := list(itertools.islice(rest, batch_size)):
        prompts = [to_prompt_completion(e)["prompt"] for e in batch]
        rows += zip(batch, generate(prompts), strict=True)
    if not rows:
        raise ValueError("no examples")
    flags = {
        "strict": [is_correct(t, e["answer"], mode="strict") for e, (t, _) in rows],
        "flexible": [is_correct(t, e["answer"]) for e, (t, _) in rows],
        "no_answer": [extract_answer(t, "flexible") is None for _, (t, _) in rows],
        "stop_rate": [bool(s) for _, (_, s) in rows],
    }
    return {**{name: sum(f) / len(f) for name, f in flags.items()}, "n": len(rows)}
