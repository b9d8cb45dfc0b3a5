# exercise: merged_linear
def merged_linear(layer):
    merged = copy.deepcopy(layer.base)
    wide = torch.float64 if merged.weight.dtype == torch.float64 else torch.float32
    delta = (layer.alpha / layer.r) * (layer.lora_B.detach().to(wide) @ layer.lora_A.detach().to(wide))
    merged.weight.data = (layer.base.weight.detach().to(wide) + delta).to(merged.weight.dtype)
    return merged
