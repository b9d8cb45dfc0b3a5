# exercise: LoRALinear
class LoRALinear(nn.Module):

    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.dropout = nn.Dropout(dropout)
        # Steps of training are small: a 16-bit factor would round many of them away.
        options = {
            "dtype": torch.promote_types(base.weight.dtype, torch.float32),
            "device": base.weight.device,
        }
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features, **options))
        self.lora_B = nn.Parameter(torch.randn(base.out_features, r, **options))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x):
        y = self.base(x)
        down = F.linear(self.dropout(x).to(self.lora_A.dtype), self.lora_A)
        return y + (self.scaling * F.linear(down, self.lora_B)).to(y.dtype)
