# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError("no examples")
    prompts = [to_prompt_completion(e)["prompt"] for e in examples]
    while len(prompts) % batch_size:
        prompts.append(prompts[-1])
    out = []
    for i in range(0, len(prompts), batch_size):
        out.extend(generate(prompts[i : i + batch_size]))
    out, n = out[: len(examples)], len(examples)
    strict = sum(is_correct(t, e["answer"], "strict") for (t, _), e in zip(out, examples))
    flexible = sum(is_correct(t, e["answer"]) for (t, _), e in zip(out, examples))
    none = sum(extract_answer(t, "flexible") is None for t, _ in out)
    stopped = sum(s for _, s in out)
    return {
        "strict": strict / n,
        "flexible": flexible / n,
        "no_answer": none / n,
        "stop_rate": stopped / n,
        "n": n,
    }
