# exercise: merged_linear
def merged_linear(layer):
    merged = copy.deepcopy(layer)
    with torch.no_grad():
        merged.base.weight += layer.scaling * layer.lora_B @ layer.lora_A
        merged.lora_B.zero_()
    return merged
