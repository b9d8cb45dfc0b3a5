# exercise: merged_linear
def merged_linear(layer):
    with torch.no_grad():
        layer.base.weight += layer.scaling * (layer.lora_B @ layer.lora_A)
    return layer.base
