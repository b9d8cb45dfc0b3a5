# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        new = {"dtype": base.weight.dtype, "device": base.weight.device}
        self.lora_A = nn.Parameter(torch.randn(r, base.in_features, **new) / math.sqrt(base.in_features))
        self.lora_B = nn.Parameter(torch.zeros((base.out_features, r), **new))
        self.drop = nn.Dropout(p=dropout) if dropout > 0 else nn.Identity()

    def forward(self, x):
        low = F.linear(self.drop(x), self.lora_A)
        return self.base(x) + F.linear(low, self.lora_B) * self.scaling
