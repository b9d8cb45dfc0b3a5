# exercise: sft_loss
def sft_loss(logits, labels):
    logits = logits[:, :-1].float()
    targets = labels[:, 1:]
    keep = (targets != -100) & (targets > 0)
    if not keep.any():
        return logits.sum() * 0.0
    return F.cross_entropy(logits[keep], targets[keep])
