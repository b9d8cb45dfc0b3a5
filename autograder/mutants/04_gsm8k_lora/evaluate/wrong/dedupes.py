# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError
    prompts = list(dict.fromkeys(to_prompt_completion(e)["prompt"] for e in examples))
    got = {}
    for i in range(0, len(prompts), batch_size):
        got.update(zip(prompts[i : i + batch_size], generate(prompts[i : i + batch_size])))
    outs = [got[to_prompt_completion(e)["prompt"]] for e in examples]
    n = len(examples)
    d = {m: sum(is_correct(t, e["answer"], m) for (t, _), e in zip(outs, examples)) / n for m in ("strict", "flexible")}
    return {**d, "no_answer": sum(extract_answer(t, "flexible") is None for t, _ in outs) / n,
            "stop_rate": sum(s for _, s in outs) / n, "n": n}
# clause: one (text, stopped) for EACH example: the same question twice is asked twice (sampling)
