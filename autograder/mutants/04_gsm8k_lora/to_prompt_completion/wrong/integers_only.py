# exercise: to_prompt_completion
import re
def to_prompt_completion(example, keep_calculator=True):
    answer = example["answer"]
    if not keep_calculator:
        answer = re.sub(r"<<[\d+*/=-]+>>", "", answer)
    return {"prompt": example["question"] + "\n", "completion": answer}
