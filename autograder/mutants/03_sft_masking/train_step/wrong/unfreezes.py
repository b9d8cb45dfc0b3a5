# exercise: train_step
def train_step(model, optimizer, microbatches):
    for p in model.parameters(): p.requires_grad_(True)
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
    optimizer.step()
    optimizer.zero_grad()
    return loss
