# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    r = list(response_ids)
    if r[-1:] != [eos_id]:
        r.append(eos_id)
    if max_len <= len(prompt_ids) or max_len == 1:
        return None
    ids = (list(prompt_ids) + r)[:max_len]
    labels = ([-100] * len(prompt_ids) + r)[:max_len]
    return {"input_ids": ids, "labels": labels}
# clause: max_len 1 and an empty prompt: one label is left
