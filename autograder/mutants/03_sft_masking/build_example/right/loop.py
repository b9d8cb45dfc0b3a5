# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    tail = [] if len(response_ids) and response_ids[-1] == eos_id else [eos_id]
    ids, labels = [], []
    for t in prompt_ids:
        ids.append(t); labels.append(-100)
    for t in [*response_ids, *tail]:
        ids.append(t); labels.append(t)
    ids, labels = ids[:max_len], labels[:max_len]
    return {"labels": labels, "input_ids": ids} if len(ids) > len(prompt_ids) else None
