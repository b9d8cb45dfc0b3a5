# exercise: collate
def collate(examples, pad_id):
    B, T = len(examples), max(len(e["labels"]) for e in examples)
    out = {"input_ids": torch.full((B, T), pad_id), "labels": torch.full((B, T), -100), "attention_mask": torch.zeros(B, T, dtype=torch.int64)}
    for b, e in enumerate(examples):
        n = len(e["labels"])
        out["input_ids"][b, :n] = torch.tensor(e["input_ids"])
        out["labels"][b, :n] = torch.tensor(e["labels"])
        out["attention_mask"][b, :n] = 1
    return out
