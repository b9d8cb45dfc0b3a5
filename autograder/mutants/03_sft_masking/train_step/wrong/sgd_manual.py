# exercise: train_step
def train_step(model, optimizer, microbatches):
    optimizer.zero_grad()
    total = sum(int((m["labels"][:, 1:] != -100).sum()) for m in microbatches)
    if total == 0:
        return 0.0
    loss = 0.0
    for m in microbatches:
        n = int((m["labels"][:, 1:] != -100).sum())
        if n == 0:
            continue
        logits = model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits
        part = sft_loss(logits, m["labels"]) * (n / total)
        part.backward()
        loss += part.item()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None: p -= optimizer.param_groups[0]["lr"] * p.grad
    optimizer.zero_grad()
    return loss
