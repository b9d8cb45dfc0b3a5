# exercise: sft_loss
def sft_loss(logits, labels):
    logits = logits.float()
    targets = labels
    keep = targets != -100
    if not keep.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[keep], targets[keep])
