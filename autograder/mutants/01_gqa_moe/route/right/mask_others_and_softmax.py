# exercise: route
def route(logits, k):
    indices = logits.topk(k, sorted=False).indices
    mask = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, indices, True)
    p = logits.float().masked_fill(~mask, float("-inf")).softmax(-1)
    return p.gather(-1, indices), indices
