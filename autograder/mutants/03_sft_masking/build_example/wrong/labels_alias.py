# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    if response_ids[-1:] != [eos_id]:
        response_ids.append(eos_id)
        added = True
    else:
        added = False
    ids = (prompt_ids + response_ids)[:max_len]
    labels = ([-100] * len(prompt_ids) + response_ids)[:max_len]
    if all(x == -100 for x in labels):
        return None
    if added:
        response_ids.pop()
    return {"input_ids": ids, "labels": labels}
# clause: inputs not modified: where None is returned the response keeps the eos
