# exercise: collate
def collate(examples, pad_id):
    rows = list({tuple(e["input_ids"]): e for e in examples}.values())
    T = max(len(e["input_ids"]) for e in rows)
    n = [len(e["input_ids"]) for e in rows]
    return {
        "input_ids": torch.tensor([e["input_ids"] + [pad_id] * (T - k) for e, k in zip(rows, n)]),
        "labels": torch.tensor([e["labels"] + [-100] * (T - k) for e, k in zip(rows, n)]),
        "attention_mask": torch.tensor([[1] * k + [0] * (T - k) for k in n]),
    }
# clause: B rows, duplicates too
