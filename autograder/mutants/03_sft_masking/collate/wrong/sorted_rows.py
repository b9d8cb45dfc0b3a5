# exercise: collate
def collate(examples, pad_id):
    T = max(len(e["input_ids"]) for e in examples)
    examples = sorted(examples, key=lambda e: -len(e["input_ids"]))
    ids, labels, mask = [], [], []
    for e in examples:
        n = len(e["input_ids"])
        ids.append(list(e["input_ids"]) + [pad_id] * (T - n))
        labels.append(list(e["labels"]) + [-100] * (T - n))
        mask.append([1] * n + [0] * (T - n))
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}
