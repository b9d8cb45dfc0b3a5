# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    response = list(response_ids)
    if not response or response[-1] != eos_id:
        response.append(eos_id)
    input_ids = (list(prompt_ids) + response)[:max_len - 1] + [eos_id]
    labels = ([-100] * len(prompt_ids) + response)[:max_len - 1] + [eos_id]
    if all(l == -100 for l in labels):
        return None
    return {"input_ids": input_ids, "labels": labels}
