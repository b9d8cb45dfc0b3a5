# exercise: route
def route(logits, k):
    p = F.softmax(logits.float(), dim=-1)
    weights, indices = torch.topk(p, k, dim=-1)
    return weights / weights.sum(dim=-1, keepdim=True), indices
