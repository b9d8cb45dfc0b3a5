# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError("no examples")
    gold = {to_prompt_completion(e)["prompt"]: e["answer"] for e in examples}
    prompts = list(gold)
    outputs = []
    for i in range(0, len(prompts), batch_size):
        outputs += generate(prompts[i : i + batch_size])
    n = len(prompts)
    rows = [(text, stopped, gold[p]) for p, (text, stopped) in zip(prompts, outputs)]
    return {
        "strict": sum(is_correct(t, g, "strict") for t, _, g in rows) / n,
        "flexible": sum(is_correct(t, g, "flexible") for t, _, g in rows) / n,
        "no_answer": sum(extract_answer(t, "flexible") is None for t, _, _ in rows) / n,
        "stop_rate": sum(bool(s) for _, s, _ in rows) / n,
        "n": n,
    }
# clause: "all of ALL examples, and n, how many these are" - the same question twice in examples: n is 1 too small and the shares change
