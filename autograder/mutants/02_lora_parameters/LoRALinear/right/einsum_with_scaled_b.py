# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base, self.r, self.alpha, self.p = base, r, alpha, dropout
        base.weight.requires_grad = False
        if base.bias is not None:
            base.bias.requires_grad = False
        w = base.weight
        self.lora_A = nn.Parameter(w.new_empty(r, w.shape[1]).uniform_(-0.1, 0.1))
        self.lora_B = nn.Parameter(w.new_zeros(w.shape[0], r))

    @property
    def scaling(self):
        return self.alpha / self.r

    def forward(self, x):
        dropped = F.dropout(x, self.p, training=self.training)
        b = self.scaling * self.lora_B
        return self.base(x) + torch.einsum("or,ri,...i->...o", b, self.lora_A, dropped)
