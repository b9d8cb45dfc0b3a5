# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    if keep_calculator:
        return {"prompt": example["question"] + "\n", "completion": example["answer"]}
    kept, inside, i, text = [], False, 0, example["answer"]
    while i < len(text):
        two = text[i : i + 2]
        if two == "<<" and not inside:
            inside, i = True, i + 2
        elif two == ">>" and inside:
            inside, i = False, i + 2
        else:
            if not inside:
                kept.append(text[i])
            i += 1
    return {"prompt": example["question"] + "\n", "completion": "".join(kept)}
