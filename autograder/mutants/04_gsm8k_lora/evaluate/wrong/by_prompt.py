# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError
    got = {}
    for i in range(0, len(examples), batch_size):
        prompts = [to_prompt_completion(e)["prompt"] for e in examples[i : i + batch_size]]
        got.update(zip(prompts, generate(prompts)))
    outs = [got[to_prompt_completion(e)["prompt"]] for e in examples]
    n = len(examples)
    d = {m: sum(is_correct(t, e["answer"], m) for (t, _), e in zip(outs, examples)) / n for m in ("strict", "flexible")}
    return {**d, "no_answer": sum(extract_answer(t, "flexible") is None for t, _ in outs) / n,
            "stop_rate": sum(s for _, s in outs) / n, "n": n}
# clause: one answer for each example, in order: of two equal questions the last answer counts twice here
