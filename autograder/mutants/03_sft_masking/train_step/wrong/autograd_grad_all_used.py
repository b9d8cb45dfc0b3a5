# exercise: train_step
def train_step(model, optimizer, microbatches):
    ps = [p for p in model.parameters() if p.requires_grad]
    counts = [int((m["labels"][:, 1:] != -100).sum()) for m in microbatches]
    total = sum(counts)
    optimizer.zero_grad()
    if total == 0:
        return 0.0
    sums, out = [torch.zeros_like(p) for p in ps], 0.0
    for m, n in zip(microbatches, counts):
        if n:
            loss = sft_loss(model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits, m["labels"]) * n / total
            for s, g in zip(sums, torch.autograd.grad(loss, ps)):
                s += g
            out += loss.item()
    for p, s in zip(ps, sums):
        p.grad = s
    optimizer.step()
    optimizer.zero_grad()
    return out
# clause: equal to one big batch: crashes for a parameter that takes no part in the loss
