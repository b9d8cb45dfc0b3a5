def acceptance_probability(p, q, token):
    return min(1.0, float(p[token]) / float(q[token]))
