# exercise: sft_loss
def sft_loss(logits, labels):
    V = logits.shape[-1]
    logits = logits.reshape(-1, V)[:-1].float()
    targets = labels.reshape(-1)[1:]
    keep = targets != -100
    if not keep.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[keep], targets[keep])
