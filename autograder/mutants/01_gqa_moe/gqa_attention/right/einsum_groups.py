# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    B, Hq, Tq, D = q.shape
    Hkv, Tk = k.shape[1:3]
    if Hq % Hkv:
        raise ValueError("not divisible")
    q = q.reshape(B, Hkv, Hq // Hkv, Tq, D)
    scores = torch.einsum("bgnid,bgjd->bgnij", q, k) * D**-0.5
    if causal:
        i = torch.arange(Tq).unsqueeze(1) + (Tk - Tq)
        j = torch.arange(Tk).unsqueeze(0)
        scores = torch.where(j <= i, scores, torch.tensor(-torch.inf, dtype=scores.dtype))
    return torch.einsum("bgnij,bgjd->bgnid", scores.softmax(-1), v).reshape(B, Hq, Tq, D)
