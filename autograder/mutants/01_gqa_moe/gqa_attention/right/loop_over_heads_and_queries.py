# exercise: gqa_attention
def gqa_attention(q, k, v, causal=True):
    B, Hq, Tq, D = q.shape
    Hkv, Tk = k.size(1), k.size(2)
    if Hq % Hkv != 0:
        raise ValueError("Hq % Hkv != 0")
    group = Hq // Hkv
    heads = []
    for h in range(Hq):
        kh, vh = k[:, h // group], v[:, h // group]
        rows = []
        for i in range(Tq):
            last = Tk - Tq + i + 1 if causal else Tk
            s = (q[:, h, i].unsqueeze(1) * kh[:, :last]).sum(-1) / D**0.5
            rows.append((s.softmax(-1).unsqueeze(-1) * vh[:, :last]).sum(1))
        heads.append(torch.stack(rows, 1))
    return torch.stack(heads, 1)
