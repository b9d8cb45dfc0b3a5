# exercise: SparseMoE
class SparseMoE(nn.Module):
    """A mixture of SwiGLU experts: each token goes through its k best experts only."""

    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        SparseMoE.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        rows = x.reshape(-1, x.shape[-1])
        weights, indices = route(self.gate(rows), SparseMoE.k)
        out = torch.zeros_like(rows)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            out = out.index_add(0, row, weights[row, slot, None].to(x.dtype) * expert(rows[row]))
        return out.reshape(x.shape)
# clause: "each token goes through its k best experts only" (the k of __init__); k is kept on the class: after a second SparseMoE with another k is made, the first one routes with that k
