# exercise: collate
from torch.nn.utils.rnn import pad_sequence
def collate(examples, pad_id):
    ids = [torch.as_tensor(e["input_ids"], dtype=torch.long) for e in examples]
    labels = [torch.as_tensor(e["labels"], dtype=torch.long) for e in examples]
    lengths = torch.tensor([len(i) for i in ids])
    batch = pad_sequence(ids, batch_first=True, padding_value=pad_id)
    mask = (torch.arange(batch.shape[1])[None] < lengths[:, None]).long()
    return {"input_ids": batch, "labels": pad_sequence(labels, batch_first=True, padding_value=-100), "attention_mask": mask}
