# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError("no examples")
    means = []
    for i in range(0, len(examples), batch_size):
        batch = examples[i : i + batch_size]
        answers = generate([to_prompt_completion(e)["prompt"] for e in batch])
        rows = [
            (
                is_correct(text, e["answer"], "strict"),
                is_correct(text, e["answer"], "flexible"),
                extract_answer(text, "flexible") is None,
                stopped,
            )
            for e, (text, stopped) in zip(batch, answers)
        ]
        means.append([sum(column) / len(batch) for column in zip(*rows)])
    names = ("strict", "flexible", "no_answer", "stop_rate")
    shares = [sum(column) / len(means) for column in zip(*means)]
    return {**dict(zip(names, shares)), "n": len(examples)}
