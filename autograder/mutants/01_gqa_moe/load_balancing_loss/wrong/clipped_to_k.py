# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    p = router_logits.softmax(-1)
    f = F.one_hot(p.topk(k).indices, E).sum((0, 1)) / N
    loss = E * (f * p.mean(0)).sum()
    return loss.clamp(min=float(k))

# clause: k is the value of uniform routing, not a lower bound (nor an upper)
