def acceptance_probability(p, q, token):
    a, b = p[token].double(), q[token].double()
    if b == 0:
        return 1.0 if a > 0 else 0.0
    return math.exp(min(0.0, (a.log() - b.log()).item()))
