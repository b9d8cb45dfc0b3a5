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
        self.lora_A = nn.Linear(base.in_features, r, bias=False, **options)
        self.lora_B = nn.Linear(r, base.out_features, bias=False, **options)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x):
        y = self.base(x)
        down = self.lora_A(self.dropout(x).float())
        return y + (self.scaling * self.lora_B(down)).to(y.dtype)
