# exercise: sft_loss
def sft_loss(logits, labels):
    learned = (labels[0] != -100).nonzero()
    if len(learned) == 0:
        return logits[..., :0].float().sum()
    start = max(int(learned[0]), 1)  # the response begins here
    scores = logits[:, start - 1 : -1].float().reshape(-1, logits.size(-1))
    targets = labels[:, start:].reshape(-1)
    total = F.cross_entropy(scores, targets, ignore_index=-100, reduction="sum")
    return total / (targets != -100).sum().clamp(min=1)
# clause: "Mean cross-entropy of the supervised tokens" ("over all rows together") - a later row with a shorter prompt than row 0, or row 0 all masked
