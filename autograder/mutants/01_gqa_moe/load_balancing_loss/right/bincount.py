# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    n, e = router_logits.shape
    counts = torch.bincount(router_logits.topk(k).indices.flatten(), minlength=e)
    return e * torch.dot(counts.to(router_logits.dtype) / n, router_logits.softmax(-1).mean(0))
