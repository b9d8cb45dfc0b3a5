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
        def gathered(name):
            stacked = torch.stack([getattr(expert, name).weight for expert in self.experts])
            return stacked[indices]

        g = torch.einsum("nkfd,nd->nkf", gathered("w_gate"), rows)
        u = torch.einsum("nkfd,nd->nkf", gathered("w_up"), rows)
        y = torch.einsum("nkdf,nkf->nkd", gathered("w_down"), F.silu(g) * u)
        out = torch.einsum("nkd,nk->nd", y, weights)
        return out.reshape(B, T, D)
