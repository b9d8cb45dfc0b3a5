# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if len(examples) == 0:
        raise ValueError("evaluate needs at least one example")
    strict = flexible = nothing = stops = 0
    for start in range(0, len(examples), batch_size):
        batch = examples[start : start + batch_size]
        for example, (text, stopped) in zip(
            batch, generate([f"{e['question']}\n" for e in batch])
        ):
            gold = example["answer"]
            strict += 1 if is_correct(text, gold, "strict") else 0
            flexible += 1 if is_correct(text, gold, "flexible") else 0
            nothing += 1 if extract_answer(text, "flexible") is None else 0
            stops += 1 if stopped else 0
    total = len(examples)
    return {
        "strict": strict / total,
        "flexible": flexible / total,
        "no_answer": nothing / total,
        "stop_rate": stops / total,
        "n": total,
    }
