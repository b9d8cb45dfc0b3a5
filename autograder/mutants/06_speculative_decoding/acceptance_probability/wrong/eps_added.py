# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    return min(1.0, float(p[token]) / (float(q[token]) + 1e-9))
# violates: min(1, p / q): an epsilon under the line distorts rare tokens
