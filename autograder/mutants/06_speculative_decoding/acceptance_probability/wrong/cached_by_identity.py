# exercise: acceptance_probability
import functools


@functools.lru_cache(maxsize=4096)
def acceptance_probability(p, q, token):
    a, b = float(p[token]), float(q[token])
    if b == 0:
        return 1.0 if a > 0 else 0.0
    return min(1.0, a / b)
# violates: p and q of now: a remembered answer for tensors whose content has changed
