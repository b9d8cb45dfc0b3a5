# exercise: merged_linear
def merged_linear(layer):
    base = layer.base
    kind = torch.promote_types(base.weight.dtype, torch.float32)
    with torch.no_grad():
        W = base.weight.to(kind) + layer.scaling * (layer.lora_B.to(kind) @ layer.lora_A.to(kind))
        new = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
        new.weight = nn.Parameter(W.to(base.weight.dtype))
        if base.bias is not None:
            b = base.bias.data
            new.bias = nn.Parameter(b.clone() if b.dtype == torch.float32 else b)
    return new
# violates: no memory is shared: the bias is the base's own for a 16-bit base
