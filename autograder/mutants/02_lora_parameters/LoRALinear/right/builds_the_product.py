# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling, self.dropout = r, alpha, alpha / r, dropout
        A = torch.empty(r, base.in_features).uniform_(-0.1, 0.1)
        self.lora_A, self.lora_B = nn.Parameter(A), nn.Parameter(torch.zeros(base.out_features, r))

    def delta(self):
        return self.scaling * torch.mm(self.lora_B, self.lora_A)

    def forward(self, x):
        thinned = nn.functional.dropout(x, p=self.dropout, training=self.training)
        return F.linear(x, self.base.weight, self.base.bias) + F.linear(
            thinned, self.delta().to(x.dtype)
        )
