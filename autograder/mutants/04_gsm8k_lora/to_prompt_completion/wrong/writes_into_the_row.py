# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    if not keep_calculator:
        example["answer"] = re.sub("<<.*?>>", "", example["answer"])
    return {"prompt": example["question"] + "\n", "completion": example["answer"]}
