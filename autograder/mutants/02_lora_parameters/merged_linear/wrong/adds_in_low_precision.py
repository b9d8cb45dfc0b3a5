# exercise: merged_linear
def merged_linear(layer):
    merged = copy.deepcopy(layer.base)
    wide = torch.promote_types(merged.weight.dtype, torch.float32)
    with torch.no_grad():
        update = layer.scaling * (layer.lora_B.to(wide) @ layer.lora_A.to(wide))
        merged.weight.add_(update.to(merged.weight.dtype))
    return merged
