# exercise: train_step
def train_step(model, optimizer, microbatches):
    counts = [int((m["labels"][:, 1:] != -100).sum()) for m in microbatches]
    total = sum(counts)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    if total == 0:
        return 0.0
    out = 0.0
    for m, n in zip(microbatches, counts):
        if n:
            loss = sft_loss(model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits, m["labels"]) * n / total
            loss.backward()
            out += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return out
# clause: only parameters with requires_grad change: weight decay moves frozen ones that have a zero gradient
