def acceptance_probability(p, q, token):
    if q[token] == 0:
        return 0.0
    return min(1.0, float(p[token] / q[token]))
