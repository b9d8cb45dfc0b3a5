# exercise: merged_linear
def merged_linear(layer):
    with torch.no_grad():
        weight = layer.base.weight.to(torch.float64)
        for j in range(layer.r):
            column, row = layer.lora_B[:, j].double(), layer.lora_A[j].double()
            weight = weight + layer.scaling * torch.outer(column, row)
    merged = copy.deepcopy(layer.base)
    merged.weight = nn.Parameter(weight.to(layer.base.weight.dtype), requires_grad=False)
    return merged
