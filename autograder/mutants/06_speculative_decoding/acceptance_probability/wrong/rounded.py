def acceptance_probability(p, q, token):
    if q[token] == 0:
        return 1.0 if p[token] > 0 else 0.0
    return round(min(1.0, float(p[token] / q[token])), 2)
