# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    completion = example["answer"]
    if keep_calculator is False:
        completion = re.compile(r"<<[^<>]*>>").sub("", completion)
    return dict(prompt=example["question"] + "\n", completion=completion)
