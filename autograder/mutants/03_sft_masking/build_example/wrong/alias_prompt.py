# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    n = len(prompt_ids)
    if not response_ids or response_ids[-1] != eos_id:
        response_ids = response_ids + [eos_id]
    ids = prompt_ids if not prompt_ids else list(prompt_ids)
    ids += response_ids
    labels = [-100] * n + list(response_ids)
    ids, labels = ids[:max_len], labels[:max_len]
    return None if n >= max_len else {"input_ids": ids, "labels": labels}
# clause: inputs not modified: an empty prompt is extended in place
