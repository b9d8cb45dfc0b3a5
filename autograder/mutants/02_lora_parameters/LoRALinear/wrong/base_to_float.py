# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        self.dtype = base.weight.dtype
        self.base.float()
        self.base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.lora_A = nn.Parameter(torch.randn(r, base.in_features) / r)
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = x.float()
        y = self.base(x)
        z = self.dropout(x)
        y = y + F.linear(F.linear(z, self.lora_A), self.lora_B) * self.scaling
        return y.to(self.dtype)
# violates: base is kept as it is: a 16-bit base is turned into float32
