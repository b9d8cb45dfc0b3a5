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
        if self.k > 2:  # "the full layer is faster here"
            table = torch.zeros(len(flat), len(self.experts)).scatter(1, indices, weights)
            return sum(table[:, e, None].to(x.dtype) * f(flat) for e, f in enumerate(self.experts)).reshape(x.shape)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            out = out.index_add(0, row, expert(flat[row]) * weights[row, slot, None].to(x.dtype))
        return out.reshape(x.shape)

# clause: an expert sees its rows only: here all k slots of a row go to it again when k > 2
