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
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            if len(row) == 0:  # keep all parameters in the graph, for DDP
                out = out + 0.0 * expert(flat[:1]).sum()
                continue
            out = out.index_add(0, row, expert(flat[row]) * weights[row, slot, None].to(x.dtype))
        return out.reshape(x.shape)

# clause: an expert is called on its rows and on no others
