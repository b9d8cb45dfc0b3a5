# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    Tq, Tk, D = q.shape[2], k.shape[2], q.shape[3]
    if q.shape[1] % k.shape[1]:
        raise ValueError
    n = q.shape[1] // k.shape[1]
    k, v = repeat_kv(k, n), repeat_kv(v, n)
    weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(D), dim=-1)
    if causal:
        weights = weights.tril(Tk - Tq)
    return weights @ v
