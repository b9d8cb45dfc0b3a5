# exercise: train_step
def train_step(model, optimizer, microbatches):
    counts = [int((m["labels"][:, 1:] != -100).sum()) for m in microbatches]
    total = max(sum(counts), 1)
    optimizer.zero_grad()
    out = 0.0
    for m, n in zip(microbatches, counts):
        loss = sft_loss(model(input_ids=m["input_ids"], attention_mask=m["attention_mask"]).logits, m["labels"]) * n / total
        loss.backward()
        out += loss.item()
    optimizer.step()
    optimizer.zero_grad()
    return out
# clause: no step is made if nothing is supervised: weight decay and momentum move the weights
