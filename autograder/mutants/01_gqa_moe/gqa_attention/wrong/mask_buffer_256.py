# exercise: gqa_attention
_BUFFER = torch.ones(256, 256, dtype=torch.bool).tril()


def gqa_attention(q, k, v, causal=True):
    if q.shape[1] % k.shape[1]:
        raise ValueError("heads")
    n = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(n, 1), v.repeat_interleave(n, 1)
    Tq, Tk = q.shape[2], k.shape[2]
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    if causal:
        scores = scores.masked_fill(~_BUFFER[Tk - Tq:Tk, :Tk], -torch.inf)
    return scores.softmax(-1) @ v

# clause: any Tk: a mask buffer of a fixed size
