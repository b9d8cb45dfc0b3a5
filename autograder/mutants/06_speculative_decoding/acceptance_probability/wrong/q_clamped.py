# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    return float((p[token] / q[token].clamp(min=1e-8)).clamp(max=1.0))
# violates: min(1, p / q): q is lifted to 1e-8, rare tokens are rejected too often
