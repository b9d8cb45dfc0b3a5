# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        parts = answer.split("<<")
        answer = parts[0] + "".join(part.split(">>", 1)[1] for part in parts[1:])
    return {"prompt": "".join([example["question"], "\n"]), "completion": answer}
