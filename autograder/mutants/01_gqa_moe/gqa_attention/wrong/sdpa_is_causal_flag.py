# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    if q.shape[1] % k.shape[1]:
        raise ValueError("heads")
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal, enable_gqa=True)
