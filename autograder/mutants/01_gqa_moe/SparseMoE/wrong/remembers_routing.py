# exercise: SparseMoE
class SparseMoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        self.k = k
        self.last = None
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        flat = x.reshape(-1, x.shape[-1])
        weights, indices = route(self.gate(flat), self.k)
        if self.last is None or self.last.shape != indices.shape:
            self.last = indices
        indices = self.last
        weights = self.gate(flat).float().gather(1, indices).softmax(-1)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            row, slot = torch.where(indices == e)
            out = out.index_add(0, row, expert(flat[row]) * weights[row, slot, None].to(x.dtype))
        return out.reshape(x.shape)

# clause: the output depends on this x only: the routing of the first call is kept while the shape is the same
