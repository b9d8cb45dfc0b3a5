# exercise: train_step
def train_step(model, optimizer, microbatches):
    labels = [m.pop("labels") for m in microbatches]
    counts = [int((y[:, 1:] != -100).sum()) for y in labels]
    total = sum(counts)
    optimizer.zero_grad()
    if total == 0:
        return 0.0
    out = 0.0
    for m, y, n in zip(microbatches, labels, counts):
        loss = sft_loss(model(**m).logits, y) * n / total
        loss.backward()
        out += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return out
# clause: arguments are never modified
