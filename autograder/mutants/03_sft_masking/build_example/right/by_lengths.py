# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    ids = list(prompt_ids) + list(response_ids)
    if len(response_ids) == 0 or response_ids[-1] != eos_id:
        ids = ids + [eos_id]
    ids = ids[:max_len]
    n = min(len(prompt_ids), len(ids))
    if n == len(ids):
        return None
    return {"input_ids": ids, "labels": [-100] * n + ids[n:]}
