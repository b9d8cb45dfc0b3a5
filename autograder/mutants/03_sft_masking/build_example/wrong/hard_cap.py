# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    max_len = min(max_len, 1024)
    r = list(response_ids)
    if r[-1:] != [eos_id]:
        r.append(eos_id)
    ids = (list(prompt_ids) + r)[:max_len]
    labels = ([-100] * len(prompt_ids) + r)[:max_len]
    return {"input_ids": ids, "labels": labels} if any(x != -100 for x in labels) else None
# clause: cut to max_len, not to a number of your own
