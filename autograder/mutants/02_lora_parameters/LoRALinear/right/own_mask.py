# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base: nn.Linear, r: int, alpha: float, dropout: float = 0.0):
        nn.Module.__init__(self)
        self.base = base
        self.base.weight.requires_grad = False
        if self.base.bias is not None:
            self.base.bias.requires_grad = False
        self.r, self.alpha, self.keep = r, alpha, 1 - dropout
        self.scaling = alpha * r**-1
        self.lora_A = nn.Parameter(torch.rand(r, base.weight.size(1)) - 0.5)
        self.lora_B = nn.Parameter(torch.zeros(base.weight.size(0), r))

    def forward(self, x):
        inner = x.float() if x.dtype != torch.float64 else x
        if self.training and self.keep < 1:
            inner = inner * torch.bernoulli(torch.full_like(inner, self.keep)) / self.keep
        A, B = self.lora_A.to(inner.dtype), self.lora_B.to(inner.dtype)
        update = torch.matmul(torch.matmul(inner, A.t()), B.t())
        return torch.add(self.base(x), update.to(x.dtype), alpha=self.scaling)
