# exercise: collate
def collate(examples, pad_id):
    T = max([2] + [len(e["input_ids"]) for e in examples])
    out = {"input_ids": [], "labels": [], "attention_mask": []}
    for e in examples:
        n = len(e["input_ids"])
        out["input_ids"].append(e["input_ids"] + [pad_id] * (T - n))
        out["labels"].append(e["labels"] + [-100] * (T - n))
        out["attention_mask"].append([1] * n + [0] * (T - n))
    return {k: torch.tensor(v) for k, v in out.items()}
# clause: T is the longest example, also when that has one token
