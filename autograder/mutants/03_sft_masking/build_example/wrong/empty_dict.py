# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    response = list(response_ids)
    if not response or response[-1] != eos_id:
        response.append(eos_id)
    input_ids = (list(prompt_ids) + response)[:max_len]
    labels = ([-100] * len(prompt_ids) + response)[:max_len]
    if all(l == -100 for l in labels):
        return {"input_ids": [], "labels": []}
    return {"input_ids": input_ids, "labels": labels}
