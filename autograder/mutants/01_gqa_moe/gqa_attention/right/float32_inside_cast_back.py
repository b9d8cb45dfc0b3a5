# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    dtype = q.dtype
    n, rest = divmod(q.shape[1], k.shape[1])
    if rest:
        raise ValueError("heads must divide")
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    q, k, v = q.to(wide), repeat_kv(k, n).to(wide), repeat_kv(v, n).to(wide)
    bias = torch.zeros(q.shape[2], k.shape[2], dtype=wide)
    if causal:
        bias = bias + torch.full_like(bias, float("-inf")).triu(k.shape[2] - q.shape[2] + 1)
    return (((q * q.shape[-1] ** -0.5) @ k.mT + bias).softmax(-1) @ v).to(dtype)
