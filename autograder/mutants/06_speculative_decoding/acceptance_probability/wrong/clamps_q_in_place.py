# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    q.clamp_(min=torch.finfo(q.dtype).tiny)  # no division by zero
    return min(1.0, float(p[token]) / float(q[token]))
# clause: "p, q: (V,) float distributions of the target and of the draft; not modified"; q with a zero anywhere is changed
