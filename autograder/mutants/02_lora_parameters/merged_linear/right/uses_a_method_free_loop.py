# exercise: merged_linear
def merged_linear(layer):
    base = layer.base
    total = base.weight.detach().double().clone()
    A, B = layer.lora_A.detach().double(), layer.lora_B.detach().double()
    for k in range(A.shape[0]):
        total += (layer.alpha / layer.r) * torch.outer(B[:, k], A[k])
    out = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
    out.weight = nn.Parameter(total.to(base.weight.dtype))
    if base.bias is not None:
        out.bias = nn.Parameter(base.bias.detach().clone())
    return out
