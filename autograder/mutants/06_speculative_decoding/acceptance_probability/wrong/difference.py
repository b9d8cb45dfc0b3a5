def acceptance_probability(p, q, token):
    return max(0.0, 1.0 - float(q[token] - p[token]))
