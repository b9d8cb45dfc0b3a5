# exercise: pass_at_k
from fractions import Fraction


def pass_at_k(n, c, k):
    if k > n:
        raise ValueError("k > n")
    if c > n:
        raise ValueError("c > n")
    all_wrong = Fraction(1)
    for i in range(k):
        all_wrong *= Fraction(max(n - c - i, 0), n - i)
    return float(1 - all_wrong)
