# exercise: merged_linear
def merged_linear(layer):
    merged = copy.deepcopy(layer.base)
    with torch.no_grad():
        delta = layer.scaling * (layer.lora_B.float() @ layer.lora_A.float())
        merged.weight.copy_(merged.weight.float() + delta)
        layer.lora_B.zero_()
    return merged
