def acceptance_probability(p, q, token):
    if q[token] == 0:
        return 1 if p[token] > 0 else 0
    return min(1, float(p[token] / q[token]))
