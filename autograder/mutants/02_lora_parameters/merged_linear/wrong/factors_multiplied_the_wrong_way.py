# exercise: merged_linear
def merged_linear(layer):
    merged = copy.deepcopy(layer.base)
    with torch.no_grad():
        merged.weight += layer.scaling * (layer.lora_A.T @ layer.lora_B.T)
    return merged
