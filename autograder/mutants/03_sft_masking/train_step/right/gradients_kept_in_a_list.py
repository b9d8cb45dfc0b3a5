# exercise: train_step
def train_step(model, optimizer, microbatches):
    optimizer.zero_grad()
    params = [p for p in model.parameters() if p.requires_grad]
    sums, total, count = [torch.zeros_like(p) for p in params], 0.0, 0
    for batch in microbatches:
        n = (batch["labels"][:, 1:] != -100).sum().item()
        if n:
            out = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
            loss = sft_loss(out.logits, batch["labels"]) * n
            for s, g in zip(sums, torch.autograd.grad(loss, params, allow_unused=True)):
                if g is not None:
                    s += g
            total, count = total + loss.item(), count + n
    if count == 0:
        return 0.0
    for p, s in zip(params, sums):
        p.grad = s / count
    optimizer.step()
    optimizer.zero_grad()
    return total / count
