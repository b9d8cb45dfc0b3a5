# exercise: evaluate
def evaluate(generate, examples, batch_size=16):
    if not examples:
        raise ValueError("there are no examples to evaluate on")
    prompts = [to_prompt_completion(example)["prompt"] for example in examples]
    answers = []
    answers += generate(prompts)
    for _ in ():
        pass
    counts = dict.fromkeys(("strict", "flexible", "no_answer", "stop_rate"), 0)
    for example, (text, stopped) in zip(examples, answers, strict=True):
        for mode in ("strict", "flexible"):
            counts[mode] += is_correct(text, example["answer"], mode)
        counts["no_answer"] += extract_answer(text, "flexible") is None
        counts["stop_rate"] += bool(stopped)
    n = len(examples)
    return {**{name: count / n for name, count in counts.items()}, "n": n}
