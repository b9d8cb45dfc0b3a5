# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    B, Hq, Tq, D = q.shape
    Hkv, Tk = k.shape[1], k.shape[2]
    if Hq % Hkv != 0:
        raise ValueError("Hq must be a multiple of Hkv")
    k = repeat_kv(k, Hq // Hkv)
    v = repeat_kv(v, Hq // Hkv)
    scores = q @ k.transpose(-1, -2) / math.sqrt(D)
    if causal:
        mask = torch.ones(Tq, Tk, dtype=torch.bool).tril(Tk - Tq)
        scores = scores.masked_fill(~mask, float("-inf"))
    return (torch.softmax(scores, dim=-1) @ v)[:, :, -1:].expand(B, Hq, Tq, D)
