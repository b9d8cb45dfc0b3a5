# exercise: build_example
def build_example(prompt_ids, response_ids, eos_id, max_len):
    ids = [*prompt_ids, *response_ids]
    if not response_ids or response_ids[-1] != eos_id:
        ids.append(eos_id)
    ids = torch.tensor(ids, dtype=torch.int64)[:max_len]
    labels = ids.clone()
    labels[: len(prompt_ids)] = -100
    if (labels == -100).all():
        return None
    return {"input_ids": ids.tolist(), "labels": labels.tolist()}
