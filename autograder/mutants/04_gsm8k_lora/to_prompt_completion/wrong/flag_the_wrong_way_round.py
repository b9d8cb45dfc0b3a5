# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if keep_calculator:
        answer = re.sub(r"<<.*?>>", "", answer)  # .*? stops at the first >>
    return {"prompt": f"{example['question']}\n", "completion": answer}
