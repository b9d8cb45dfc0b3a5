# exercise: route
def route(logits, k):
    best = torch.topk(logits.double(), k)
    weights = torch.exp(best.values - best.values.logsumexp(-1, keepdim=True))
    return [weights.float(), best.indices]
