# exercise: collate
def collate(examples, pad_id):
    T = min(512, max(len(e["input_ids"]) for e in examples))
    out = {"input_ids": [], "labels": [], "attention_mask": []}
    for e in examples:
        n = min(T, len(e["input_ids"]))
        out["input_ids"].append(e["input_ids"][:T] + [pad_id] * (T - n))
        out["labels"].append(e["labels"][:T] + [-100] * (T - n))
        out["attention_mask"].append([1] * n + [0] * (T - n))
    return {k: torch.tensor(v) for k, v in out.items()}
# clause: T the length of the longest example
