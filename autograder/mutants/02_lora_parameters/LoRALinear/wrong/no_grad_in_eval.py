# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.lora_A = nn.Parameter(torch.randn(r, base.in_features) / r)
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        with torch.set_grad_enabled(self.training and torch.is_grad_enabled()):
            y = self.base(x)
            z = self.dropout(x).to(self.lora_A.dtype)
            return y + (F.linear(F.linear(z, self.lora_A), self.lora_B) * self.scaling).to(y.dtype)
# violates: differentiable, in eval mode, too: the factors get no gradient after eval()
