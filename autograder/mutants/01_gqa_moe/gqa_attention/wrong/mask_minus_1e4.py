# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    if q.shape[1] % k.shape[1]:
        raise ValueError("heads")
    n = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(n, 1), v.repeat_interleave(n, 1)
    Tq, Tk = q.shape[2], k.shape[2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(~torch.ones(Tq, Tk, dtype=torch.bool).tril(Tk - Tq), -1e4)
    return scores.softmax(-1) @ v

# clause: forbidden keys get no weight, however low the allowed scores are
