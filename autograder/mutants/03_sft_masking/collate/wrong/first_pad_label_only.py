# exercise: collate
def collate(examples, pad_id):
    T = max(len(e["input_ids"]) for e in examples)
    def pad(row, v):
        return row + [v] * (T - len(row))
    ids = torch.tensor([pad(e["input_ids"], pad_id) for e in examples])
    labels = torch.tensor([pad(e["labels"], pad_id) for e in examples])
    mask = torch.tensor([pad([1] * len(e["input_ids"]), 0) for e in examples])
    pads = (labels == pad_id).int()
    labels[(pads.cumsum(1) > 1) & (labels == pad_id)] = -100
    labels[mask == 0] = -100
    return {"input_ids": ids, "labels": labels, "attention_mask": mask}
# clause: labels as they are: a second pad_id = eos in the response is learned
