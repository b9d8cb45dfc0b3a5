# exercise: merged_linear
def merged_linear(layer):
    base, mode = layer.base, layer.training
    eye = torch.eye(base.in_features, dtype=base.weight.dtype)
    bias = 0 if base.bias is None else base.bias
    with torch.no_grad():
        weight = (layer(eye) - bias).T
    merged = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None)
    merged = merged.to(base.weight.dtype)
    with torch.no_grad():
        merged.weight.copy_(weight)
        if base.bias is not None:
            merged.bias.copy_(base.bias)
    return merged
