# exercise: train_step
def train_step(model, optimizer, microbatches):
    optimizer.zero_grad()
    total = sum(int((m["labels"][:, 1:] != -100).sum()) for m in microbatches)
    if total == 0:
        return 0.0
    loss = 0.0
    T = max(m["labels"].shape[1] for m in microbatches)
    pad = lambda k, v: torch.cat([F.pad(m[k], (0, T - m[k].shape[1]), value=v) for m in microbatches])
    microbatches = [{"input_ids": pad("input_ids", 0), "labels": pad("labels", -100), "attention_mask": pad("attention_mask", 0)}]
    for m in microbatches:
        n = int((m["labels"][:, 1:] != -100).sum())
        if n == 0:
            continue
        logits = model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits
        part = sft_loss(logits, m["labels"]) * (n / total)
        part.backward()
        loss += part.item()
    optimizer.step()
    optimizer.zero_grad()
    return loss
