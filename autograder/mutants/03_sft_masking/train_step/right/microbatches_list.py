# exercise: train_step
def train_step(model, optimizer, microbatches):
    microbatches = list(microbatches)
    counts = [(mb["labels"][:, 1:] != -100).sum().item() for mb in microbatches]
    if not sum(counts):
        optimizer.zero_grad()
        return 0.0
    model.zero_grad(); optimizer.zero_grad()
    losses = []
    for mb, c in zip(microbatches, counts):
        loss = sft_loss(model(input_ids=mb["input_ids"], attention_mask=mb["attention_mask"]).logits, mb["labels"])
        (loss * c / sum(counts)).backward()
        losses.append(loss.item() * c / sum(counts))
    optimizer.step()
    model.zero_grad()
    return float(sum(losses))
