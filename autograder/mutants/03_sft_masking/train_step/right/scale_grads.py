# exercise: train_step
def train_step(model, optimizer, microbatches):
    optimizer.zero_grad(set_to_none=True)
    count, loss = 0, 0.0
    for m in microbatches:
        n = int((m["labels"][:, 1:] != -100).sum())
        out = model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits
        part = F.cross_entropy(out[:, :-1].flatten(0, 1).float(), m["labels"][:, 1:].flatten(), reduction="sum")
        part.backward()
        count += n
        loss += float(part)
    if count == 0:
        optimizer.zero_grad()
        return 0.0
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                p.grad /= count
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    return loss / count
