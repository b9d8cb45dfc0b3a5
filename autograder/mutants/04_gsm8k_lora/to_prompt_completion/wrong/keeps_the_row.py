# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    out = dict(example)
    out["prompt"] = out["question"] + "\n"
    out["completion"] = out["answer"] if keep_calculator else re.sub("<<.*?>>", "", out["answer"])
    return out
