# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    n = len(examples)
    if n < 1:
        raise ValueError("no examples")
    strict = flexible = no_answer = stops = 0
    for i in range(0, n, batch_size):
        rows = examples[i : i + batch_size]
        for row, (text, stopped) in zip(rows, generate([to_prompt_completion(r)["prompt"] for r in rows])):
            right = is_correct(text, row["answer"])
            flexible += right
            strict += right and "####" in text
            no_answer += extract_answer(text, "flexible") is None
            stops += bool(stopped)
    return {"strict": strict / n, "flexible": flexible / n, "no_answer": no_answer / n, "stop_rate": stops / n, "n": n}
# clause: "strict, flexible (shares answered right in that mode)" - shows on a text with #### but no number right after it: "#### the answer is 6", gold 6, or "it is 6\nQuestion: ...\n#### 3" (strict counts it)
