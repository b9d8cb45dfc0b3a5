# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        parts = answer.split("<<")
        answer = parts[0]
        for part in parts[1:]:
            answer += part.split(">>")[-1]
    return {"prompt": example["question"] + "\n", "completion": answer}
# clause: "the completion is the answer, every other character of it as it is" - text with a further >> behind an annotation, "<<2+3=5>>5 >> 4\n#### 5": the 5 before the second >> goes too (keep_calculator=False)
