# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    ended = len(response_ids) > 0 and response_ids[-1] == eos_id
    prompt = list(prompt_ids)[:max_len]
    response = (list(response_ids) + ([] if ended else [eos_id]))[: max_len - len(prompt)]
    if not response:
        return None
    return {"input_ids": prompt + response, "labels": [-100 for _ in prompt] + response}
