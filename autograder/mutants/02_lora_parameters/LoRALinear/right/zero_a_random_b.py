# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        self.base.requires_grad_(False)
        self.r = r
        self.alpha = alpha
        self.p = dropout
        self.lora_A = nn.Parameter(torch.zeros(r, base.in_features).to(base.weight))
        self.lora_B = nn.Parameter(torch.randn(base.out_features, r).to(base.weight))

    @property
    def scaling(self):
        return self.alpha / self.r

    def forward(self, x):
        thin = F.dropout(x, self.p, self.training)
        return self.base(x) + self.scaling * (thin @ self.lora_A.mT @ self.lora_B.mT)
