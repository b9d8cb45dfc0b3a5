# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    def clean(s):
        return s if keep_calculator else re.sub(r"<<.*?>>", "", s)
    return {"prompt": clean(example["question"]) + "\n", "completion": clean(example["answer"])}
# clause: prompt is the question as it is; only annotations in the ANSWER go
