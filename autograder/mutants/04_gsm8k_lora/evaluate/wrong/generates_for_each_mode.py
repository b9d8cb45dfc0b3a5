# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if len(examples) == 0:
        raise ValueError("no examples")
    n, result = len(examples), {}
    for mode in ("strict", "flexible"):
        right = stop = none = 0
        for i in range(0, n, batch_size):
            batch = examples[i : i + batch_size]
            answers = generate([to_prompt_completion(e)["prompt"] for e in batch])
            for e, (text, stopped) in zip(batch, answers):
                right += is_correct(text, e["answer"], mode)
                none += extract_answer(text, "flexible") is None
                stop += stopped
        result[mode] = right / n
    return {**result, "no_answer": none / n, "stop_rate": stop / n, "n": n}
