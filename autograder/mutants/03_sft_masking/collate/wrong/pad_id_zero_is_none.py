# exercise: collate
def collate(examples, pad_id):
    pad_id = pad_id or examples[0]["input_ids"][-1]  # no padding token: take the eos
    longest = max(len(e["input_ids"]) for e in examples)
    ids, labels, mask = [], [], []
    for e in examples:
        missing = longest - len(e["input_ids"])
        ids.append(list(e["input_ids"]) + missing * [pad_id])
        labels.append(list(e["labels"]) + missing * [-100])
        mask.append(len(e["input_ids"]) * [1] + missing * [0])
    return {
        "input_ids": torch.tensor(ids),
        "labels": torch.tensor(labels),
        "attention_mask": torch.tensor(mask),
    }
# clause: "ids with pad_id"; shows on pad_id 0, which is falsy: the ids are padded with the last id of the first example
