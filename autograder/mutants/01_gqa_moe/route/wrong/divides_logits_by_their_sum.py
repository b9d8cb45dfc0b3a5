# exercise: route
def route(logits, k):
    values, indices = logits.float().topk(k, dim=-1)
    return values / values.sum(-1, keepdim=True), indices
