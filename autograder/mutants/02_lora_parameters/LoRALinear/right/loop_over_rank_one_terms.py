# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base
        for p in self.base.parameters():
            p.requires_grad = False
        self.r, self.alpha = r, alpha
        self.scaling = float(alpha) / r
        self.lora_dropout = nn.Dropout(dropout)
        kind = dict(dtype=base.weight.dtype, device=base.weight.device)
        self.lora_A = nn.Parameter(torch.normal(0.0, 0.02, (r, base.in_features)).to(**kind))
        self.lora_B = nn.Parameter(torch.zeros((base.out_features, r), **kind))

    def forward(self, x, *args):
        result = self.base(x)
        dropped = self.lora_dropout(x)
        for k in range(self.r):
            coordinate = (dropped * self.lora_A[k]).sum(-1, keepdim=True)
            result = result + self.scaling * coordinate * self.lora_B[:, k]
        return result
