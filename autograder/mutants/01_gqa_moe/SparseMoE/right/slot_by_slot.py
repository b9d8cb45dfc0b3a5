# exercise: SparseMoE
class SparseMoE(nn.Module):
    def __init__(self, d_model, d_ff, n_experts, k):
        super().__init__()
        self.k = k
        self.gate = nn.Linear(d_model, n_experts, bias=False)
        self.experts = nn.ModuleList([SwiGLU(d_model, d_ff) for _ in range(n_experts)])

    def forward(self, x):
        B, T, D = x.shape
        rows = x.reshape(-1, D)
        weights, indices = route(self.gate(rows), self.k)
        weights = weights.to(x.dtype)
        out = torch.zeros_like(rows)
        for slot in range(self.k):
            for e in range(len(self.experts)):
                rows_of_e = (indices[:, slot] == e).nonzero().flatten()
                if len(rows_of_e) == 0:
                    continue
                y = self.experts[e](rows[rows_of_e])
                out[rows_of_e] = out[rows_of_e] + weights[rows_of_e, slot, None] * y
        return out.reshape(B, T, D)
