# exercise: sft_loss
def sft_loss(logits, labels):
    V = logits.size(-1)
    total = F.cross_entropy(logits[:, :-1].reshape(-1, V).float(), labels[:, 1:].reshape(-1), ignore_index=-100, reduction="sum")
    return total / (labels[:, 1:] != -100).sum().clamp(min=1)
