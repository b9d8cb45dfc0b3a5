def acceptance_probability(p, q, token):
    return float(torch.minimum(p, q).sum())
