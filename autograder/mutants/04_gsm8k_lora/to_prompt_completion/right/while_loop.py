# exercise: to_prompt_completion
def to_prompt_completion(example, keep_calculator=True):
    text = example["answer"]
    while not keep_calculator and "<<" in text:
        start = text.index("<<")
        end = text.index(">>", start)
        text = text[:start] + text[end + 2 :]
    prompt, completion = f"{example['question']}\n", text
    return {"prompt": prompt, "completion": completion}
