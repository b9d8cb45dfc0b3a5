# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    if router_logits.dtype == torch.float32 or router_logits.requires_grad:
        z = router_logits - router_logits.amax(-1, keepdim=True)
    else:
        z = router_logits.sub_(router_logits.amax(-1, keepdim=True))
    p = z.softmax(-1)
    f = F.one_hot(z.topk(k).indices, E).sum((0, 1)) / N
    return E * (f * p.mean(0)).sum()

# clause: argument modified in place when it needs no gradient and is not float32
