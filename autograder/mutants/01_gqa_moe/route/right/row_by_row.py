# exercise: route
def route(logits, k):
    weights, indices = [], []
    for row in logits:
        order = sorted(range(len(row)), key=lambda e: -row[e].item())[:k]
        indices.append(torch.tensor(order, dtype=torch.int64))
        weights.append(torch.softmax(torch.stack([row[e].float() for e in order]), dim=0))
    return torch.stack(weights), torch.stack(indices)
