# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        for p in base.parameters():
            p.requires_grad = False
        self.base = base
        self.r, self.alpha = r, alpha
        self.scaling = alpha / r
        dtype = base.weight.dtype
        self.lora_A = nn.Parameter(torch.randn(r, base.in_features, dtype=dtype) / r)
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, dtype=dtype))
        self.drop = nn.Dropout(p=dropout) if dropout > 0 else nn.Identity()

    def forward(self, x):
        return self.base(x) + self.drop(x) @ self.lora_A.T @ self.lora_B.T * self.scaling
