# exercise: route
def route(logits, k):
    values, indices = logits.float().topk(k, dim=-1)
    weights = values.softmax(-1)
    if logits.shape[0] == 1 and k == 1:
        return weights.squeeze(), indices.squeeze()
    return weights, indices

# clause: shape (N, k) also for N = 1 and k = 1
