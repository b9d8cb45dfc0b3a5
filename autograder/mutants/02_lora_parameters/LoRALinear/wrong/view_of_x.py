# exercise: LoRALinear
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha, dropout=0.0):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.r, self.alpha, self.scaling = r, alpha, alpha / r
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.Parameter(torch.empty(r, base.in_features, device=base.weight.device))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, r, device=base.weight.device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, x):
        y = self.base(x)
        flat = x.view(-1, self.base.in_features).to(self.lora_A.dtype)
        update = torch.mm(torch.mm(self.dropout(flat), self.lora_A.T), self.lora_B.T)
        return y + (self.scaling * update).view(y.shape).to(y.dtype)
# clause: "x (..., in), of the base's dtype -> (..., out)" - an x that is not contiguous, torch.randn(3, 2, 5).transpose(0, 1), raises RuntimeError
