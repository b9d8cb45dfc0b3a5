# exercise: route
def route(logits, k):
    values, indices = logits.float().topk(k, dim=-1)
    p = values.softmax(-1)
    p = torch.where(p > 0.1, p, torch.zeros_like(p))
    return p / p.sum(-1, keepdim=True), indices
