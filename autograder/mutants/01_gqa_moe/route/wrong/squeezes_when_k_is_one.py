# exercise: route
def route(logits, k):
    values, indices = logits.float().topk(k, dim=-1)
    return values.softmax(-1).squeeze(-1), indices.squeeze(-1)
