# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        answer = answer.replace("<<", "").replace(">>", "")
    return {"prompt": example["question"] + "\n", "completion": answer}
