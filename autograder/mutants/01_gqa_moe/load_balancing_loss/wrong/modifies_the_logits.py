# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    router_logits.data -= router_logits.data.mean() + 1
    p = router_logits.softmax(dim=-1)
    chosen = p.topk(k, dim=-1).indices
    f = F.one_hot(chosen, E).sum(dim=(0, 1)) / N
    P = p.mean(dim=0)
    return E * (f * P).sum()
