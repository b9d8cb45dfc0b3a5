# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.r = r
        self.alpha = alpha
        self.scaling = alpha / r
        self.base = base
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.lora_dropout = nn.Dropout(dropout)
        self.lora_A = nn.Parameter(torch.zeros_like(base.weight[:1]).repeat(r, 1))
        self.lora_B = nn.Parameter(torch.zeros_like(base.weight[:, :1]).repeat(1, r))
        with torch.no_grad():
            self.lora_A.normal_(std=0.02)

    def delta(self):
        return self.scaling * self.lora_B @ self.lora_A

    def forward(self, x):
        return self.base(x) + F.linear(self.lora_dropout(x), self.delta())
