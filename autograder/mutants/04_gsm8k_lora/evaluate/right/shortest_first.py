# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if len(examples) == 0:
        raise ValueError("no examples")
    examples = sorted(examples, key=lambda e: len(e["question"]))
    strict = flexible = none = stops = 0
    for start in range(0, len(examples), batch_size):
        batch = [examples[i] for i in range(start, min(start + batch_size, len(examples)))]
        prompts = [to_prompt_completion(e)["prompt"] for e in batch]
        for (text, stopped), e in zip(generate(prompts), batch):
            strict += is_correct(text, e["answer"], "strict")
            flexible += is_correct(text, e["answer"], "flexible")
            none += extract_answer(text, "flexible") is None
            stops += bool(stopped)
    n = len(examples)
    return {"strict": strict / n, "flexible": flexible / n, "no_answer": none / n, "stop_rate": stops / n, "n": n}
