# exercise: to_prompt_completion
CALCULATOR = re.compile(r"<<.+?>>")


def without(text):
    return CALCULATOR.sub("", text)


def to_prompt_completion(example, keep_calculator=True):
    row = dict(example)
    question, answer = row["question"], row["answer"]
    return {
        "prompt": question + "\n",
        "completion": answer if keep_calculator else without(answer),
    }
