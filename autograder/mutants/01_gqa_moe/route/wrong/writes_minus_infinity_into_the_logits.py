# exercise: route
def route(logits, k):
    indices = []
    weights = []
    for _ in range(k):
        value, index = logits.max(-1)
        weights.append(value.clone())
        indices.append(index)
        logits.data.scatter_(1, index[:, None], float("-inf"))
    return torch.stack(weights, -1).float().softmax(-1), torch.stack(indices, -1)
