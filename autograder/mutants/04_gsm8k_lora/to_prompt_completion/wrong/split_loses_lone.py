# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        answer = "".join(p.split(">>")[-1] for p in answer.split("<<"))
    return {"prompt": f"{example['question']}\n", "completion": answer}
# clause: only annotations go: text before a lone >> goes, too
