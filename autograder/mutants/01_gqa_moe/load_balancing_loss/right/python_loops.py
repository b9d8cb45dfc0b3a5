# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    counts = [0] * E
    for row in router_logits.tolist():
        for e in sorted(range(E), key=lambda e: row[e], reverse=True)[:k]:
            counts[e] += 1
    probabilities = torch.exp(router_logits - router_logits.logsumexp(1, keepdim=True))
    loss = 0
    for e in range(E):
        loss = loss + counts[e] / N * probabilities[:, e].mean()
    return E * loss
