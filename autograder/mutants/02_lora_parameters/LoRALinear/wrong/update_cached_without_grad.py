# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.Parameter(base.weight.new_empty(r, base.in_features))
        self.lora_B = nn.Parameter(base.weight.new_zeros(base.out_features, r))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self._update = None

    def forward(self, x):
        if self.training or torch.is_grad_enabled():
            update = F.linear(F.linear(self.dropout(x), self.lora_A), self.lora_B)
        else:
            if self._update is None:  # no training: the factors stand still, multiply them once
                self._update = self.lora_B @ self.lora_A
            update = F.linear(x, self._update)
        return self.base(x) + self.scaling * update
# clause: "y = base(x) + (alpha / r) B A dropout(x)" (lora_A, lora_B as they are at the call) - eval mode under torch.no_grad(): call, change lora_B (load another adapter), call again: the old update
