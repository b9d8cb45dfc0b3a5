# exercise: train_step
def train_step(model, optimizer, microbatches):
    optimizer.zero_grad()
    total, out = 0, 0.0
    for m in microbatches:
        m["labels"][m["attention_mask"] == 0] = -100
        m["labels"][:, 0] = -100
        total += int((m["labels"] != -100).sum())
    if total == 0:
        return 0.0
    for m in microbatches:
        n = int((m["labels"] != -100).sum())
        loss = sft_loss(model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits, m["labels"]) * n / total
        loss.backward()
        out += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return out
# clause: arguments are never modified: a label at position 0 is overwritten
