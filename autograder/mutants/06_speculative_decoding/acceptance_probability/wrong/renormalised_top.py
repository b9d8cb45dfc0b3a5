# exercise: acceptance_probability
def acceptance_probability(p, q, token):
    def top(d, k=50):
        kept = torch.zeros_like(d)
        values, places = d.topk(min(k, len(d)))
        kept[places] = values
        return kept / kept.sum()

    a, b = float(top(p)[token]), float(top(q)[token])
    if b == 0:
        return 1.0 if a > 0 else 0.0
    return min(1.0, a / b)
# violates: p and q as they are: cut to their fifty largest entries first (top-k)
