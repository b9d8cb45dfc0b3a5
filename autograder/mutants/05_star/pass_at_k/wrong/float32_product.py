# exercise: pass_at_k
def pass_at_k(n, c, k):
    if k > n or c > n:
        raise ValueError("too many")
    if n - c < k:
        return 1.0
    return 1.0 - torch.prod(1.0 - k / torch.arange(n - c + 1, n + 1)).item()

# clause: precision: product in float32
