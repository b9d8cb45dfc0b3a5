def acceptance_probability(p, q, token):
    return 1.0 if p[token] >= q[token] else 0.0
