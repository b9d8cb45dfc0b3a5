def acceptance_probability(p, q, token):
    return float(p[token])
