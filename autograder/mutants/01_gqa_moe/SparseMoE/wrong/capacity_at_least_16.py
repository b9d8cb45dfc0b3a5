# exercise: SparseMoE
class SparseMoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        weights, indices = route(self.gate(flat), self.k)
        capacity = max(16, math.ceil(1.25 * len(flat) * self.k / len(self.experts)))
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            row, slot = row[:capacity], slot[:capacity]
            out = out.index_add(0, row, expert(flat[row]) * weights[row, slot, None].to(x.dtype))
        return out.reshape(x.shape)

# clause: tokens over a capacity are dropped (seen with larger batches only)
