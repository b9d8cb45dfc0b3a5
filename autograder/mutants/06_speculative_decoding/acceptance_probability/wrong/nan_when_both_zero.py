def acceptance_probability(p, q, token):
    return torch.clamp(p[token] / q[token], max=1.0).item()
