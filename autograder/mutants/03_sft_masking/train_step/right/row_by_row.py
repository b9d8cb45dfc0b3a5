# exercise: train_step
def train_step(model, optimizer, microbatches):
    rows = [
        {k: m[k][b : b + 1] for k in m} for m in microbatches for b in range(m["input_ids"].shape[0])
    ]
    counted = [(row, (row["labels"][:, 1:] != -100).sum().item()) for row in rows]
    total = sum(n for _, n in counted)
    optimizer.zero_grad()
    value = 0.0
    for row, n in counted:
        if n > 0:
            logits = model(input_ids=row["input_ids"], attention_mask=row["attention_mask"]).logits
            loss = sft_loss(logits, row["labels"]).mul(n / total)
            loss.backward()
            value += loss.item()
    if total > 0:
        optimizer.step()
        optimizer.zero_grad()
    return float(value)
