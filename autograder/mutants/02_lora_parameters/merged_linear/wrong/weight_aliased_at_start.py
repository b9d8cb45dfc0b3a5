# exercise: merged_linear
def merged_linear(layer):
    base = layer.base
    new = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
    new.to(base.weight.dtype)
    if base.bias is not None:
        new.bias.data.copy_(base.bias.data)
    kind = torch.promote_types(base.weight.dtype, torch.float32)
    if not layer.lora_B.any() or not layer.lora_A.any():
        new.weight.data = base.weight.data  # nothing to add
    else:
        W = base.weight.to(kind) + layer.scaling * (layer.lora_B.to(kind) @ layer.lora_A.to(kind))
        new.weight.data = W.detach().to(base.weight.dtype)
    return new
# violates: no memory is shared: while B is zero the base's weight itself is used
