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
        y = self.base(x)
        z = self.dropout(x).to(self.lora_A.dtype).transpose(-1, -2)
        update = (self.lora_B @ (self.lora_A @ z)).transpose(-1, -2)
        return y + (self.scaling * update).to(y.dtype)
# violates: x (..., in): fails for x of shape (in,)
