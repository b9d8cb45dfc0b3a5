# exercise: route
def route(logits, k):
    value, index = logits.float().max(-1, keepdim=True)
    return (torch.ones_like(value) / k).expand(-1, k), index.expand(-1, k)
