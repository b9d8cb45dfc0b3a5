# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        answer = " ".join(re.sub("<<.*?>>", "", answer).split(" "))
        answer = "\n".join(line.strip() for line in answer.splitlines())
    return {"prompt": example["question"] + "\n", "completion": answer}
