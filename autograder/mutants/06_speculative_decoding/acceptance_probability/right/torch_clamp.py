def acceptance_probability(p, q, token):
    pt, qt = p[token].double(), q[token].double()
    if qt == 0:
        return float((pt > 0).double())
    return torch.clamp(pt / qt, max=1.0).item()
