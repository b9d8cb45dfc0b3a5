# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.lora_A = nn.Parameter(torch.randn(r, base.in_features) / r)
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        self.dropout = nn.Dropout(dropout)
        self._delta = None

    def train(self, mode=True):
        self._delta = None
        return super().train(mode)

    def forward(self, x):
        y = self.base(x)
        z = self.dropout(x).to(self.lora_A.dtype)
        if self.training:
            delta = self.lora_B @ self.lora_A
        else:
            if self._delta is None:
                self._delta = self.lora_B @ self.lora_A
            delta = self._delta
        return y + (F.linear(z, delta) * self.scaling).to(y.dtype)
# violates: y = base(x) + (alpha/r) B A x with the CURRENT A and B: in eval mode the first product is kept
