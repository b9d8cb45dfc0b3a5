def acceptance_probability(p, q, token):
    if q[token] == 0:
        return float(p[token] > 0)
    if p[token] >= q[token]:
        return 1.0
    return (p[token] / q[token]).item()
