def acceptance_probability(p, q, token):
    return min(1.0, float(p[token] / (q[token] + 0.001)))
