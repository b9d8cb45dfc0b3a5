# exercise: sft_loss
def sft_loss(logits, labels):
    B, T, V = logits.shape
    losses = []
    for b in range(B):
        for t in range(T - 1):
            if labels[b, t + 1] != -100:
                row = logits[b, t].float()
                losses.append(torch.logsumexp(row, 0) - row[labels[b, t + 1]])
    return torch.stack(losses).mean() if losses else 0.0 * logits.float().sum()
