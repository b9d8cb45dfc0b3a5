# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        # DOTALL, in case an annotation goes over a line break
        answer = re.sub(r"<<.*?>>", "", answer, re.DOTALL)
    return {"prompt": example["question"] + "\n", "completion": answer}
# clause: "keep the annotations <<…>> in the answer, or take each of them out" - re.DOTALL (16) is the count here: the 17th annotation of a long answer stays, keep_calculator=False
