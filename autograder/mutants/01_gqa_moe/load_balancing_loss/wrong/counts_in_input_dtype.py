# exercise: load_balancing_loss
def load_balancing_loss(router_logits, k):
    N, E = router_logits.shape
    p = router_logits.softmax(-1)
    chosen = router_logits.topk(k).indices.flatten()
    counts = torch.zeros(E, dtype=p.dtype).index_add_(0, chosen, torch.ones(len(chosen), dtype=p.dtype))
    return E * (counts / N * p.mean(0)).sum()

# clause: precision: counts added up in bfloat16 stop at 256
