# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    p = router_logits.softmax(-1)
    mask = torch.zeros_like(p).scatter(1, p.topk(k).indices, 1.0)
    return torch.einsum("ne,me->", mask, p) * p.shape[1] / p.shape[0] ** 2
