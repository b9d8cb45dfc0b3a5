# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    n = len(examples)
    if n < 1:
        raise ValueError("no examples")
    answers, i = [], 0
    while i < n:
        answers.extend(generate([to_prompt_completion(r)["prompt"] for r in examples[i : i + batch_size]]))
        i += batch_size
    table = torch.tensor(
        [
            [
                is_correct(text, row["answer"], "strict"),
                is_correct(text, row["answer"], "flexible"),
                extract_answer(text, "flexible") is None,
                stopped,
            ]
            for row, (text, stopped) in zip(examples, answers)
        ],
        dtype=torch.float64,
    )
    strict, flexible, no_answer, stop_rate = table.mean(0).tolist()
    return dict(strict=strict, flexible=flexible, no_answer=no_answer, stop_rate=stop_rate, n=n)
