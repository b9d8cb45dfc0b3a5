# exercise: collate
def collate(examples, pad_id):
    T = max(len(e["input_ids"]) for e in examples)
    ids, labels, mask = [], [], []
    for e in examples:
        n = len(e["input_ids"])
        ids.append(list(e["input_ids"]) + [pad_id] * (T - n))
        labels.append(list(e["labels"]) + [pad_id] * (T - n))
        mask.append([1] * n + [0] * (T - n))
    return {"input_ids": torch.tensor(ids), "labels": torch.tensor(labels), "attention_mask": torch.tensor(mask)}
