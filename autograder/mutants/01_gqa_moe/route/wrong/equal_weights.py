# exercise: route
def route(logits, k):
    indices = logits.topk(k, dim=-1).indices
    return torch.full(indices.shape, 1 / k), indices
