# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError
    outs = []
    for i in range(0, len(examples), batch_size):
        outs += generate([to_prompt_completion(e)["prompt"] for e in examples[i : i + batch_size]])
    n = len(examples)
    d = {m: sum(is_correct(t, e["answer"], m) for (t, _), e in zip(outs, examples)) / n for m in ("strict", "flexible")}
    return {**d, "no_answer": sum(not extract_answer(t, "flexible") for t, _ in outs) / n,
            "stop_rate": sum(s for _, s in outs) / n, "n": n}
# clause: 0 is an answer
