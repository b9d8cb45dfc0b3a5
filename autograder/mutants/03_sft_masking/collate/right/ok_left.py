# exercise: collate
def collate(examples, pad_id):
    T = max(len(e["input_ids"]) for e in examples)
    ids, labels, mask = [], [], []
    for e in examples:
        n = len(e["input_ids"])
        ids.append([pad_id] * (T - n) + list(e["input_ids"]))
        labels.append([-100] * (T - n) + list(e["labels"]))
        mask.append([0] * (T - n) + [1] * n)
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}
