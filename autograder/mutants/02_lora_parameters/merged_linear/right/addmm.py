# exercise: merged_linear
def merged_linear(layer):
    old = layer.base
    w = torch.addmm(
        old.weight.detach().double(),
        layer.lora_B.detach().double(),
        layer.lora_A.detach().double(),
        alpha=layer.scaling,
    )
    new = nn.Linear(old.in_features, old.out_features, bias=old.bias is not None)
    new.weight = nn.Parameter(w.to(old.weight.dtype))
    if old.bias is not None:
        new.bias = nn.Parameter(old.bias.detach().clone())
    return new
