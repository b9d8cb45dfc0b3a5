# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    Hq, Hkv, Tq, Tk = q.shape[1], k.shape[1], q.shape[2], k.shape[2]
    if Hq % Hkv:
        raise ValueError("heads")
    if not causal:
        return F.scaled_dot_product_attention(q, repeat_kv(k, Hq // Hkv), repeat_kv(v, Hq // Hkv))
    padded = F.pad(q, (0, 0, Tk - Tq, 0))  # the cached positions get queries that are thrown away
    out = F.scaled_dot_product_attention(
        padded, repeat_kv(k, Hq // Hkv), repeat_kv(v, Hq // Hkv), is_causal=True
    )
    return out[:, :, Tk - Tq :]
