# exercise: pass_at_k
def pass_at_k(n, c, k):
    if k > n or c > n:
        raise ValueError("too many")
    return 1.0 - float(math.comb(n - c, k)) / float(math.comb(n, k))

# clause: any n: float of a huge binomial overflows
